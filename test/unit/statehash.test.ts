/**
 * The hash of a state: equal for engines that hold the same, however they came to it, and changed by any change. What an
 * engine holds is read by commands (`stateOf`) and compared beside it.
 */
import { describe, expect, it } from 'vitest';
import type { Random } from '../../engine/random.ts';
import { StateHasher, stateHash } from '../../engine/statehash.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { anyCommand } from '../support/gen/any.ts';
import { seeded } from '../support/seeded.ts';
import { TestSnapshots } from '../support/snapshots.ts';
import { differences, stateOf } from '../support/state.ts';

const START_MS = 1_700_000_000_000;
const ARENA_BYTES = 64 * 1024 * 1024;

function engineOf(lines: readonly (string | Arg[])[], shards = 2, hashSeeds: [number, number] = [1, 2]): TestEngine {
  const engine = new TestEngine({ shards, hashSeeds, arenaBytes: ARENA_BYTES });
  engine.nowMs = START_MS;
  for (const line of lines) {
    const reply = typeof line === 'string' ? engine.line(line) : engine.run(...line);
    if (reply.startsWith('-')) throw new Error(`${line}: ${reply}`);
  }
  return engine;
}

function hashOf(engine: TestEngine): string {
  return stateHash(engine.shards, engine.nowMs as number);
}

/** Those commands give states that all differ. */
function expectDistinct(states: readonly (readonly (string | Arg[])[])[]): void {
  const seen = new Map<string, string>();
  for (const lines of states) {
    const hash = hashOf(engineOf(lines));
    expect(hash).toMatch(/^[0-9a-f]{16}$/);
    expect(seen.get(hash), lines.map(String).join('; ')).toBe(undefined);
    seen.set(hash, lines.map(String).join('; '));
  }
}

function expectEqual(states: readonly (readonly (string | Arg[])[])[]): void {
  const hashes = states.map((lines, i) => hashOf(engineOf(lines, 1 + i, [i, 7 * i])));
  expect(new Set(hashes).size, JSON.stringify(hashes)).toBe(1);
}

const long = 'x'.repeat(100);
const many = Array.from({ length: 600 }, (_, i) => `m${i}`);

describe('any change shows', () => {
  it('of keys, types, expiries and databases', () => {
    expectDistinct([
      [],
      ['SET a 1'],
      ['SET a 2'],
      ['SET b 1'],
      ['SET a 1', 'SET b 1'],
      ['SET a 1', 'PEXPIREAT a 1700000001000'],
      ['SET a 1', 'PEXPIREAT a 1700000001001'],
      ['SET a 1', 'MOVE a 1'],
      ['SET a 1', 'MOVE a 2'],
      ['SET a 1', 'SET b 2'],
      ['SET a 2', 'SET b 1'],
      ['SET ab c'],
      ['SET a bc'],
      [['SET', 'a', '']],
      [['SET', '', 'a']],
      [['SET', '', '']],
      [['SET', 'a', '\0']],
      [['SET', 'a', '\0\0']],
      ['RPUSH a 1'],
      ['SADD a 1'],
      ['ZADD a 1 1'],
      ['HSET a 1 1'],
      [['HSET', 'a', '1', '']],
      ['XADD a 1-1 1 1'],
    ]);
  });

  it('of long strings, in every byte', () => {
    const states = [0, 1, 2, 3, 4, 50_000, 99_996, 99_997, 99_998, 99_999, 100_000].map((at) => [
      ['SET', 'a', 'x'.repeat(100_000)] as Arg[],
      `SETRANGE a ${at} y`,
    ]);
    expectDistinct(states);
  });

  it('of elements', () => {
    const bulk = (command: string, of: readonly string[]): Arg[] => [command, 'a', ...of];
    for (const rest of [[], many]) {
      const more = rest.length > 0;
      expectDistinct([
        [bulk('RPUSH', ['1', '2', ...rest])],
        [bulk('RPUSH', ['2', '1', ...rest])],
        [bulk('RPUSH', ['12', ...rest])],
        [bulk('RPUSH', ['', '12', ...rest])],
        [bulk('RPUSH', ['12', '', ...rest])],
        [bulk('RPUSH', [...rest, '1', '1'])],
      ]);
      expectDistinct([
        [bulk('SADD', ['1', '2', ...rest])],
        [bulk('SADD', ['1', '3', ...rest])],
        [bulk('SADD', ['1', '2', '3', ...rest])],
        [bulk('SADD', ['12', ...rest])],
      ]);
      const pairs = rest.flatMap((field) => [field, 'v']);
      expectDistinct([
        [bulk('HSET', ['f', 'g', ...pairs])],
        [bulk('HSET', ['g', 'f', ...pairs])],
        [bulk('HSET', ['fg', '', ...pairs])],
        [bulk('HSET', ['f', '1', 'g', '2', ...pairs])],
        [bulk('HSET', ['f', '2', 'g', '1', ...pairs])],
      ]);
      const scored = rest.flatMap((member) => ['1', member]);
      expectDistinct([
        [bulk('ZADD', ['1', 'x', '2', 'y', ...scored])],
        [bulk('ZADD', ['2', 'x', '1', 'y', ...scored])],
        [bulk('ZADD', ['1', 'x', '2.0000000000000004', 'y', ...scored])],
        [bulk('ZADD', ['1', 'x', 'inf', 'y', ...scored])],
        [bulk('ZADD', ['1', 'x', '-inf', 'y', ...scored])],
        [bulk('ZADD', ['0', 'x', ...(more ? scored : ['1', 'y'])])],
      ]);
    }
  });

  it('of streams', () => {
    expectDistinct([
      ['XADD a 1-1 f v'],
      ['XADD a 1-2 f v'],
      ['XADD a 2-1 f v'],
      ['XADD a 1-1 f w'],
      ['XADD a 1-1 g v'],
      ['XADD a 1-1 v f'],
      ['XADD a 1-1 f v g w'],
      ['XADD a 1-1 f v', 'XADD a 1-2 f v'],
      ['XADD a 1-1 f v', 'XADD a 1-2 g v'],
      ['XADD a 1-1 f v', 'XADD a 1-2 f v', 'XDEL a 1-2'],
      ['XADD a 1-1 f v', 'XADD a 1-2 f v', 'XTRIM a MAXLEN 1'],
      ['XADD a 1-1 f v', 'XADD a 1-2 f v', 'XDEL a 1-1'],
      ['XADD a 1-1 f v', 'XDEL a 1-1'],
      ['XADD a 1-1 f v', 'XTRIM a MAXLEN 0'],
      ['XADD a 1-1 f v', 'XSETID a 1-2'],
      ['XADD a 1-1 f v', 'XSETID a 1-1 ENTRIESADDED 9 MAXDELETEDID 0-0'],
      ['XADD a 1-1 f v', 'XSETID a 1-1 ENTRIESADDED 9 MAXDELETEDID 0-1'],
    ]);
  });
});

describe('what does not show', () => {
  it('encodings', () => {
    expectEqual([['SET a 12'], ['APPEND a 1', 'APPEND a 2'], ['SET a 11', 'INCR a'], [['SET', 'a', long], 'SET a 12']]);
    expectEqual([
      ['SADD a 1 2'],
      ['SADD a 2 x', 'SREM a x', 'SADD a 1'],
      [
        ['SADD', 'a', '2', '1', ...many],
        ['SREM', 'a', ...many],
      ],
    ]);
    expectEqual([['HSET a f v g w'], ['HSET a g w f x', ['HSET', 'a', 'h', long], 'HSET a f v', 'HDEL a h']]);
    expectEqual([['ZADD a 1 x 2 y'], ['ZADD a 5 x 2 y', ['ZADD', 'a', '1', long], ['ZREM', 'a', long], 'ZADD a 1 x']]);
    const inTable = [['ZADD', 'a', '1', long] as Arg[], 'ZADD a -0 x', ['ZREM', 'a', long] as Arg[]];
    expectEqual([['ZADD a 0 x'], ['ZADD a -0 x'], inTable]);
    expect(engineOf(inTable).line('ZSCORE a x')).toContain('-0');
    const inNodes = [...many.map((m) => `RPUSH a ${m}`), ...many.slice(2).map(() => 'RPOP a')];
    expectEqual([['RPUSH a m0 m1'], inNodes, ['LPUSH a m1 m0']]);
  });

  it('the way to a stream with the same facts', () => {
    const facts = 'XSETID a 9-9 ENTRIESADDED 7 MAXDELETEDID 5-5';
    expectEqual([
      ['XADD a 1-1 f v', 'XADD a 2-1 g w', facts],
      ['XADD a 0-1 g w', 'XADD a 1-1 f v', 'XADD a 1-2 f v', 'XADD a 2-1 g w', 'XDEL a 0-1 1-2', facts],
    ]);
  });

  it('order, and databases that were exchanged and emptied', () => {
    expectEqual([
      ['SET a 1', 'SET b 2', 'SET c 3', 'MOVE c 1'],
      ['SET b 2', 'SET c 3', 'SET d 4', 'SET a 1', 'MOVE c 1', 'DEL d'],
      ['SET c 3', 'SWAPDB 0 1', 'SET b 2', 'SET a 1'],
      ['SET x 1', 'MOVE x 3', 'FLUSHALL', 'SET b 2', 'SET a 1', 'SET c 3', 'SWAPDB 1 3', 'MOVE c 3', 'SWAPDB 1 3'],
    ]);
  });

  it('keys that have expired, deleted or not', () => {
    const engine = engineOf(['SET a 1', 'SET b 2 PX 1000']);
    const both = hashOf(engine);
    expect(stateHash(engine.shards, START_MS + 999)).toBe(both);
    const one = hashOf(engineOf(['SET a 1']));
    expect(stateHash(engine.shards, START_MS + 1000)).toBe(one);
    engine.nowMs = START_MS + 1000;
    engine.expire();
    expect(hashOf(engine)).toBe(one);
  });

  it('in how many steps it was made', () => {
    const engine = engineOf(
      many.map((name) => `SET ${name} 1`),
      3,
    );
    const hasher = new StateHasher();
    for (const buckets of [1, 7, 1e9]) {
      hasher.start(engine.shards, START_MS);
      let steps = 1;
      while (!hasher.step(buckets)) steps++;
      expect(hasher.value).toBe(hashOf(engine));
      if (buckets === 1) expect(steps).toBeGreaterThan(many.length / 12);
    }
  });
});

/** What a log may hold: SPOP takes what the order of a table offers, which is why its effect is logged instead. */
function loggedCommand(r: Random): Arg[] {
  for (;;) {
    const command = anyCommand(r);
    if (!/^spop$/i.test(String(command[0])) && (r.below(200) === 0 || !/^flush/i.test(String(command[0]))))
      return command;
  }
}

it('engines with different histories inside hold the same, and as a snapshot too, after random commands', () => {
  /** Hash by state and state by hash, over all runs: each determines the other. */
  const hashes = new Map<string, string>();
  const states = new Map<string, string>();
  for (let seed = 1; seed <= 8; seed++) {
    const r = seeded(seed);
    let one = engineOf([], 3, [seed, 1]);
    const other = engineOf([], 2, [5, seed]);
    for (let i = 0; i < 600; i++) {
      const nowMs = (one.nowMs as number) + r.below(20) * r.below(100);
      const db = r.below(20) === 0 ? r.below(3) : one.call.db;
      const command = loggedCommand(r);
      for (const engine of [one, other]) {
        engine.nowMs = nowMs;
        engine.call.db = db;
        engine.run(...command);
      }
      if (r.below(10) === 0) one.expire();
      const text = `seed ${seed}, command ${i}: ${command.map(String).join(' ').slice(0, 200)}`;
      const hash = hashOf(one);
      if (hashOf(other) !== hash) throw new Error(`${text}: ${differences(stateOf(one), stateOf(other))}`);
      if (i % 10 === 0) {
        const state = JSON.stringify([...stateOf(one)].sort());
        expect(hashes.get(state) ?? hash, text).toBe(hash);
        expect(states.get(hash) ?? state, text).toBe(state);
        hashes.set(state, hash);
        states.set(hash, state);
      }
      if (r.below(150) > 0) continue;
      one = reloaded(one);
      expect(hashOf(one), text).toBe(hash);
    }
  }
  expect(hashes.size).toBeGreaterThan(200);
});

/** An engine that has loaded a snapshot of this one. */
function reloaded(engine: TestEngine): TestEngine {
  const nowMs = engine.nowMs as number;
  const snapshots = new TestSnapshots(engine);
  for (const arena of engine.shards.arenas) arena.tryLock(0);
  snapshots.begin(nowMs);
  snapshots.finish();
  const loaded = snapshots.load(nowMs);
  loaded.call.db = engine.call.db;
  return loaded;
}
