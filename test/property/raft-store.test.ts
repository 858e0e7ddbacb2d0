import { expect, it } from 'vitest';
import { LogError } from '../../engine/log/errors.ts';
import { type Fault, type Loss, SimDisk } from '../sim/simdisk.ts';
import { StoreWorkload, untilPowerLoss } from '../support/raft-store-workload.ts';
import { seeded } from '../support/seeded.ts';

/** 1,000 in the full run. */
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 0);
const FIRST_SEED = Number(process.env.MILLRACE_SEED ?? 1);
const STEPS = 14;
const LOSSES: readonly Loss[] = ['unsynced', 'torn', 'torn', 'nothing'];

let losses = 0;

/** The same work again and again, with the power going at each of its calls of the disk. How many crashes there were. */
function powerLossRound(seed: number): number {
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
  const workload = new StoreWorkload(disk, seed);
  disk.failAt(step, 'crash');
  untilPowerLoss(() => {
    workload.open();
    workload.run(STEPS);
  });
  const hasCrashed = disk.fired > 0;
  disk.crash(LOSSES[random.below(LOSSES.length)]);
  // Recovery is interrupted too, sometimes more than once.
  while (random.below(2) === 0) {
    disk.failAt(disk.steps + 1 + random.below(30), 'crash');
    if (untilPowerLoss(() => workload.open())) disk.crash(LOSSES[random.below(LOSSES.length)]);
    else disk.clearFaults();
  }
  workload.open();
  workload.run(3);
  disk.crash('unsynced');
  workload.open();
  losses += workload.losses;
  return hasCrashed;
}

function faultRound(seed: number): number {
  let struck = 0;
  for (const fault of ['ENOSPC', 'EIO', 'EROFS', 'short'] as const) {
    for (let step = 1; ; step++) {
      try {
        const fired = failAt(seed, step, fault);
        if (fired < 0) break;
        struck += fired;
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
  const workload = new StoreWorkload(disk, seed);
  disk.failAt(step, fault, fault === 'short' ? 1 : 1 + random.below(4));
  let isOver = false;
  try {
    for (let attempt = 0; attempt < 10; attempt++) {
      try {
        workload.open();
        break;
      } catch (error) {
        if (!(error instanceof LogError) || error.code === 'CORRUPT') throw error;
      }
    }
    workload.run(STEPS);
    isOver = disk.steps < step;
  } catch (error) {
    if (!(error instanceof LogError) || error.code === 'CORRUPT') throw error;
  }
  disk.crash(LOSSES[random.below(LOSSES.length)]);
  workload.open();
  // What was found counts as durable, also what a process that could not sync it has left in the system's memory.
  disk.crash('unsynced');
  workload.open();
  return isOver ? -1 : disk.fired;
}

it('keeps every promise, wherever the power goes', () => {
  let crashes = 0;
  const rounds = ROUNDS || 16;
  for (let i = 0; i < rounds; i++) crashes += powerLossRound(FIRST_SEED + i);
  // As many places to crash as the work has calls of the disk.
  expect(crashes).toBeGreaterThan(rounds * 40);
  expect(losses).toBeGreaterThan(rounds);
}, 3_600_000);

it('keeps every promise, whatever call of the disk fails', () => {
  let faults = 0;
  const rounds = Math.ceil(ROUNDS / 10) || 3;
  for (let i = 0; i < rounds; i++) faults += faultRound(FIRST_SEED + i);
  expect(faults).toBeGreaterThan(rounds * 100);
}, 3_600_000);
