/**
 * Random work on a log with several groups: appends of all sizes, replacements, gaps, drops, rotations, re-opens. Beside
 * it the plain list of what was appended, from which everything follows that may be found after a crash:
 * the records on the disk are a run of that list, which ends at or behind the last acknowledged one.
 */
import { LogError } from '../../engine/log/errors.ts';
import type { SegmentLog } from '../../engine/log/segmentlog.ts';
import type { Random } from '../../engine/random.ts';
import { PowerLoss, type SimDisk } from '../sim/simdisk.ts';
import { reopen } from './log.ts';
import { seeded } from './seeded.ts';

export const WORKLOAD_OPTIONS = { segmentBytes: 12 * 1024, reserveBytes: 4096 };
export const WORKLOAD_DIRECTORY = '/data/log';

interface Appended {
  group: number;
  term: number;
  index: number;
  payload: string;
  isRestart: boolean;
}

/** What a list of appends comes to, for one group. */
interface ModelGroup {
  last: number;
  entries: Map<number, Appended>;
}

export class LogWorkload {
  log!: SegmentLog;
  private readonly disk: SimDisk;
  private readonly random: Random;
  private readonly groupCount: number;
  private appended: Appended[] = [];
  /** So many of them were said to be durable. */
  private acknowledged = 0;
  /** Dropped up to here, per group: entries above must never be missing. */
  private readonly dropped = new Map<number, number>();
  private model = new Map<number, ModelGroup>();
  private readonly pendingRestart = new Map<number, number>();

  constructor(disk: SimDisk, seed: number) {
    this.disk = disk;
    this.random = seeded(seed);
    this.groupCount = 1 + this.random.below(3);
  }

  /** Opens the log and checks what it holds against the list; what was lost is taken off the list. */
  open(): void {
    const { log, records } = reopen(this.disk, WORKLOAD_DIRECTORY, WORKLOAD_OPTIONS);
    this.log = log;
    this.pendingRestart.clear();
    // The payload begins with its place in the list.
    const first = records.length === 0 ? this.appended.length : Number.parseInt(records[0].payload, 10);
    const count = records.length === 0 ? this.lastKnown() : first + records.length;
    if (count < this.acknowledged)
      throw new Error(`${this.acknowledged} appends were acknowledged, ${count} are there`);
    if (count > this.appended.length) throw new Error('more is there than was appended');
    records.forEach((record, i) => {
      const expected = this.appended[first + i];
      if (
        record.group !== expected.group ||
        record.index !== expected.index ||
        record.term !== expected.term ||
        record.payload !== expected.payload
      ) {
        throw new Error(
          `append ${first + i} was read as entry ${record.index} of group ${record.group}: ${record.payload}`,
        );
      }
    });
    this.appended.length = count;
    this.acknowledged = count;
    this.rebuild();
    this.verify();
  }

  /** When no record is left: as many appends as make every group end where the log says it ends. */
  private lastKnown(): number {
    for (let count = this.appended.length; count >= 0; count--) {
      const model = modelOf(this.appended.slice(0, count));
      let agrees = true;
      for (let group = 0; group < this.groupCount; group++) {
        if ((model.get(group)?.last ?? 0) !== this.log.lastIndex(group)) agrees = false;
      }
      if (agrees) return count;
    }
    throw new Error('no run of appends ends as the log does');
  }

  private rebuild(): void {
    this.model = modelOf(this.appended);
  }

  /** The log's entries are those of the model: all that were not dropped, and no other. */
  verify(): void {
    for (let group = 0; group < this.groupCount; group++) {
      if (this.pendingRestart.has(group)) continue;
      const own = this.model.get(group);
      const first = this.log.firstIndex(group);
      const last = this.log.lastIndex(group);
      if (last !== (own?.last ?? 0)) throw new Error(`group ${group} ends at ${last}, not at ${own?.last}`);
      if (own === undefined) continue;
      const needed = Math.max(Math.min(...own.entries.keys(), last + 1), (this.dropped.get(group) ?? 0) + 1);
      if (first > needed && first <= last + 1 && needed <= last) {
        throw new Error(`group ${group} begins at ${first}, and ${needed} was never dropped`);
      }
      let next = first;
      this.log.read(group, first, last + 1, ({ index, term, bytes, start, length }) => {
        const entry = own.entries.get(next);
        const payload = Buffer.from(bytes.subarray(start, start + length)).toString('latin1');
        if (entry === undefined || index !== next || term !== entry.term || payload !== entry.payload) {
          throw new Error(`entry ${next} of group ${group} was read as entry ${index}: ${payload}`);
        }
        if (this.log.termAt(group, index) !== term) throw new Error(`wrong term for entry ${index} of group ${group}`);
        next++;
        return true;
      });
      if (next !== last + 1) throw new Error(`group ${group} was read up to ${next}, not ${last}`);
    }
  }

  /** Some random work. Throws what the disk throws. */
  run(rounds: number): void {
    for (let i = 0; i < rounds; i++) this.step();
  }

  private step(): void {
    const { random, log } = this;
    const choice = random.below(100);
    if (choice < 50) {
      const count = 1 + random.below(6);
      for (let i = 0; i < count; i++) this.append();
      if (random.below(4) > 0) this.sync();
      else if (random.below(2) === 0) this.retry(() => log.flush());
    } else if (choice < 75) {
      this.append();
      this.sync();
    } else if (choice < 80) {
      this.sync();
    } else if (choice < 88) {
      const group = random.below(this.groupCount);
      const index = Math.max(0, log.lastIndex(group) - random.below(20));
      // Nothing below what a snapshot covers is ever replaced.
      if (!this.pendingRestart.has(group)) {
        this.dropped.set(group, Math.max(index, this.dropped.get(group) ?? 0));
        this.retry(() => log.dropThrough(group, index));
        log.reclaim();
      }
    } else if (choice < 91) {
      const group = random.below(this.groupCount);
      const index = log.lastIndex(group) + 1 + random.below(50);
      log.restartAt(group, index);
      this.pendingRestart.set(group, index);
    } else if (choice < 95) {
      if (log.bufferedBytes === 0) this.verify();
    } else {
      this.retry(() => log.close());
      this.acknowledged = this.appended.length;
      this.retry(() => this.open());
    }
  }

  private append(): void {
    const { random, log } = this;
    const group = random.below(this.groupCount);
    const last = log.lastIndex(group);
    const restartIndex = this.pendingRestart.get(group);
    let index = last + 1;
    if (restartIndex === undefined && random.below(10) === 0) {
      index = Math.max(log.firstIndex(group), (this.dropped.get(group) ?? 0) + 1, index - random.below(8));
    }
    if (index > last + 1) return;
    const isRestart = restartIndex !== undefined || !this.model.has(group);
    const term = Math.max(0, log.termAt(group, last)) + (random.below(10) === 0 ? 1 : 0);
    const payload = `${this.appended.length} ${filler(random)}`;
    const bytes = Buffer.from(`xyz${payload}`, 'latin1');
    log.append(group, term, index, bytes, 3, bytes.length - 3);
    const entry = { group, term, index, payload, isRestart };
    this.appended.push(entry);
    this.pendingRestart.delete(group);
    apply(this.model, entry);
  }

  private sync(): void {
    this.retry(() => this.log.sync());
    this.acknowledged = this.appended.length;
  }

  /** As the writer does: what failed is done again, but for syncs. */
  private retry(call: () => void): void {
    for (let attempt = 0; ; attempt++) {
      try {
        call();
        return;
      } catch (error) {
        if (!(error instanceof LogError) || attempt > 20) throw error;
        if (error.code !== 'NO_SPACE' && error.code !== 'IO' && error.code !== 'READ_ONLY') throw error;
      }
    }
  }
}

function modelOf(appended: Appended[]): Map<number, ModelGroup> {
  const model = new Map<number, ModelGroup>();
  for (const entry of appended) apply(model, entry);
  return model;
}

function apply(model: Map<number, ModelGroup>, entry: Appended): void {
  let own = model.get(entry.group);
  if (own === undefined || entry.isRestart) {
    own = { last: 0, entries: new Map() };
    model.set(entry.group, own);
  }
  for (let index = entry.index; index <= own.last; index++) own.entries.delete(index);
  own.entries.set(entry.index, entry);
  own.last = entry.index;
}

/** Mostly short; at times as long as a segment, or longer. */
function filler(random: Random): string {
  const kind = random.below(100);
  const length =
    kind < 60
      ? random.below(200)
      : kind < 90
        ? random.below(1500)
        : kind < 98
          ? random.below(5000)
          : random.below(30_000);
  // Zeros too: they must not look like an end.
  return String.fromCharCode(random.below(4) === 0 ? 0 : 33 + random.below(90)).repeat(length);
}

/** Runs `call`; true when the power went. */
export function untilPowerLoss(call: () => void): boolean {
  try {
    call();
    return false;
  } catch (error) {
    if (error instanceof PowerLoss) return true;
    throw error;
  }
}
