/** Rounds of faults on a simulated disk, as many as the caller wants; an error names the seed and the step. */
import { LogError } from '../../engine/log/errors.ts';
import { type Fault, type Loss, SimDisk } from '../sim/simdisk.ts';
import { LogWorkload, untilPowerLoss } from './logworkload.ts';
import { seeded } from './seeded.ts';

const STEPS = 12;
const LOSSES: readonly Loss[] = ['unsynced', 'torn', 'torn', 'nothing'];

/** The same work again and again, with the power going at each of its calls of the disk. How many crashes there were. */
export function powerLossRound(seed: number): number {
  for (let step = 1; ; step++) {
    try {
      if (!crashAt(seed, step)) return step - 1;
    } catch (error) {
      throw new Error(`seed ${seed}, crash at step ${step}: ${(error as Error).message}`, { cause: error });
    }
  }
}

function crashAt(seed: number, step: number): boolean {
  const random = seeded(Math.imul(seed, 1009) + step);
  const disk = new SimDisk(random);
  const workload = new LogWorkload(disk, seed);
  disk.failAt(step, 'crash');
  untilPowerLoss(() => {
    workload.open();
    workload.run(STEPS);
  });
  const hasCrashed = disk.fired > 0;
  disk.crash(LOSSES[random.below(LOSSES.length)]);
  // Recovery is interrupted too, sometimes more than once.
  while (random.below(2) === 0) {
    disk.failAt(disk.steps + 1 + random.below(20), 'crash');
    if (untilPowerLoss(() => workload.open())) disk.crash(LOSSES[random.below(LOSSES.length)]);
    else disk.clearFaults();
  }
  workload.open();
  workload.run(3);
  disk.crash('unsynced');
  workload.open();
  workload.verify();
  return hasCrashed;
}

/** The same work again and again, with something going wrong at each of its calls of the disk. How many faults struck. */
export function faultRound(seed: number): number {
  let struck = 0;
  for (const fault of ['ENOSPC', 'EIO', 'EROFS', 'short'] as const) {
    for (let step = 1; ; step++) {
      try {
        const fired = failAt(seed, step, fault);
        struck += fired;
        if (fired < 0) break;
      } catch (error) {
        throw new Error(`seed ${seed}, ${fault} at step ${step}: ${(error as Error).message}`, { cause: error });
      }
    }
  }
  return struck;
}

/** -1 when the work was over before the step. */
function failAt(seed: number, step: number, fault: Fault): number {
  const random = seeded(Math.imul(seed, 1013) + step);
  const disk = new SimDisk(random);
  const workload = new LogWorkload(disk, seed);
  // A short write may be followed by one that fails.
  const times = 1 + random.below(4);
  if (fault === 'short' && random.below(2) === 0) disk.failAt(step + 1, 'ENOSPC');
  disk.failAt(step, fault, fault === 'short' ? 1 : times);
  let isOver = false;
  try {
    for (let attempt = 0; attempt < 10; attempt++) {
      try {
        workload.open();
        break;
      } catch (error) {
        if (!(error instanceof LogError)) throw error;
      }
    }
    workload.run(STEPS);
    isOver = disk.steps < step;
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    if (error.code === 'CORRUPT') throw error;
  }
  disk.crash(LOSSES[random.below(LOSSES.length)]);
  workload.open();
  // What was found counts as durable, also what a process that could not sync it has left in the system's memory.
  disk.crash('unsynced');
  workload.open();
  workload.verify();
  return isOver ? -1 : disk.fired;
}
