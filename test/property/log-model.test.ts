import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Log } from '../../engine/log/log.ts';
import { MemoryLog } from '../../engine/log/memorylog.ts';
import { SimDisk } from '../sim/simdisk.ts';
import { reopen } from '../support/log.ts';
import { seeded } from '../support/seeded.ts';

const DIR = '/log';
const GROUPS = 3;

type Action =
  | { kind: 'append'; group: number; back: number; term: number; size: number }
  | { kind: 'sync' }
  | { kind: 'flush' }
  | { kind: 'close' }
  | { kind: 'kill' }
  | { kind: 'drop'; spared: number; share: number }
  | { kind: 'restart'; group: number; ahead: number }
  | { kind: 'read'; group: number; share: number; count: number };

const group = fc.nat(GROUPS - 1);
const append = fc.record({
  kind: fc.constant('append' as const),
  group,
  back: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(30) }),
  term: fc.nat(3),
  size: fc.oneof({ weight: 6, arbitrary: fc.nat(300) }, { weight: 2, arbitrary: fc.nat(5000) }, fc.nat(20_000)),
});
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 20, arbitrary: append },
  { weight: 5, arbitrary: fc.constantFrom<Action>({ kind: 'sync' }, { kind: 'flush' }) },
  { weight: 1, arbitrary: fc.constantFrom<Action>({ kind: 'close' }, { kind: 'kill' }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('drop' as const), spared: fc.nat(2 * GROUPS), share: fc.nat(100) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), group, ahead: fc.nat(40) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      group,
      share: fc.nat(100),
      count: fc.integer({ min: 1, max: 40 }),
    }),
  },
);

/** Entries [from, to) as texts. */
function entries(log: Log, group: number, from: number, to: number): string[] {
  const found: string[] = [];
  log.read(group, from, to, ({ index, term, bytes, start, length }) => {
    found.push(`${index} ${term} ${Buffer.from(bytes.subarray(start, start + length)).toString('latin1')}`);
    return true;
  });
  return found;
}

/** The log on disk may still have what was dropped; from there on both are the same. */
function compare(disk: Log, memory: Log): void {
  for (let group = 0; group < GROUPS; group++) {
    expect(disk.lastIndex(group)).toBe(memory.lastIndex(group));
    expect(disk.firstIndex(group)).toBeLessThanOrEqual(memory.firstIndex(group));
    const first = memory.firstIndex(group);
    const to = memory.lastIndex(group) + 1;
    for (let index = first; index < to; index++) {
      if (disk.termAt(group, index) !== memory.termAt(group, index)) throw new Error(`another term of entry ${index}`);
    }
    expect(disk.termAt(group, to)).toBe(-1);
  }
}

it('is the log in memory, over any calls', () => {
  let rotations = 0;
  let drops = 0;
  let reads = 0;
  fc.assert(
    fc.property(fc.array(action, { minLength: 60, maxLength: 300, size: 'max' }), fc.nat(), (actions, seed) => {
      const options = { segmentBytes: 4096 + 8192 * (1 + (seed % 3)), reserveBytes: 1024 * (seed % 9) };
      const sim = new SimDisk(seeded(seed));
      let { log } = reopen(sim, DIR, options);
      const memory = new MemoryLog();
      const restarting = new Set<number>();
      let number = 0;
      for (const act of actions) {
        if (act.kind === 'append') {
          const last = memory.lastIndex(act.group);
          // Not below what was dropped, as nothing that a snapshot covers is replaced.
          const back = restarting.has(act.group) || last === 0 ? 0 : act.back;
          const index = Math.max(last + 1 - back, memory.firstIndex(act.group));
          const bytes = Buffer.from(`${number++} `.padEnd(act.size, '\0'), 'latin1');
          log.append(act.group, act.term, index, bytes, 0, bytes.length);
          memory.append(act.group, act.term, index, bytes, 0, bytes.length);
          restarting.delete(act.group);
        } else if (act.kind === 'sync' || act.kind === 'flush') {
          log[act.kind]();
        } else if (act.kind === 'close' || act.kind === 'kill') {
          if (act.kind === 'close') log.close();
          else log.flush();
          rotations += log.segmentCount;
          sim.crash('nothing');
          log = reopen(sim, DIR, options).log;
          for (const group of restarting) log.restartAt(group, memory.firstIndex(group));
        } else if (act.kind === 'drop') {
          // A segment goes when no group needs it.
          for (let group = 0; group < GROUPS; group++) {
            if (restarting.has(group) || group === act.spared) continue;
            const first = memory.firstIndex(group);
            const index = first + Math.floor(((memory.lastIndex(group) - first) * act.share) / 100);
            const before = log.firstIndex(group);
            log.dropThrough(group, index);
            memory.dropThrough(group, index);
            if (log.firstIndex(group) !== before) drops++;
          }
        } else if (act.kind === 'restart') {
          const index = memory.lastIndex(act.group) + 1 + act.ahead;
          log.restartAt(act.group, index);
          memory.restartAt(act.group, index);
          restarting.add(act.group);
        } else {
          const first = memory.firstIndex(act.group);
          const end = memory.lastIndex(act.group) + 1;
          const from = first + Math.floor(((end - first) * act.share) / 100);
          const to = Math.min(end, from + act.count);
          const found = entries(log, act.group, from, to);
          expect(found).toEqual(entries(memory, act.group, from, to));
          reads += found.length;
        }
        compare(log, memory);
      }
      for (let group = 0; group < GROUPS; group++) {
        const first = memory.firstIndex(group);
        const end = memory.lastIndex(group) + 1;
        expect(entries(log, group, first, end)).toEqual(entries(memory, group, first, end));
      }
    }),
    { numRuns: Number(process.env.MILLRACE_ROUNDS ?? 40) },
  );
  // The runs met what they are for.
  expect(rotations).toBeGreaterThan(50);
  expect(drops).toBeGreaterThan(20);
  expect(reads).toBeGreaterThan(500);
}, 3_600_000);
