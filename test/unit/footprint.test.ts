/** What commands say that they will make in memory, beside what they make. */
import { describe, expect, it } from 'vitest';
import { arenaBytes } from '../../engine/alloc.ts';
import { Footprint } from '../../engine/footprint.ts';
import type { SettingName } from '../../engine/settings.ts';
import { MainShards } from '../../net/dispatch-shards.ts';
import { Footprints } from '../../net/footprints.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { payloadOf } from '../support/rdb-write.ts';

const MIB = 1024 * 1024;
/** A page for each kind of block. */
const SLACK_BYTES = 64 * 1024;
const COUNT = 10_000;

function footprintOf(engine: TestEngine, ...command: Arg[]): Footprint {
  const footprints = new Footprints(engine.call, new MainShards(engine.call, { settledMs: 0 }, true));
  let footprint = new Footprint();
  engine.runBy((row) => {
    footprint = footprints.measure(row, 0, 0);
  }, command);
  return footprint;
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Values that are as small as DUMP has them and large in memory, and the other way round. */
const VALUES: Record<string, { make: Arg[]; settings?: [SettingName, number][] }> = {
  'a set of integers': { make: ['sadd', 'k', ...numbers(COUNT)] },
  'a packed set that is a table where it is restored': {
    make: ['sadd', 'k', ...numbers(COUNT)],
    settings: [['set-max-intset-entries', COUNT]],
  },
  'a set of texts': { make: ['sadd', 'k', ...numbers(COUNT).map((i) => `m${i}`)] },
  'a hash': { make: ['hset', 'k', ...numbers(COUNT).flatMap((i) => [i, ''])] },
  'a packed hash that is a table where it is restored': {
    make: ['hset', 'k', ...numbers(COUNT).flatMap((i) => [i, ''])],
    settings: [['hash-max-listpack-entries', COUNT]],
  },
  'a sorted set': { make: ['zadd', 'k', ...numbers(COUNT).flatMap((i) => [i % 3, i])] },
  'a packed sorted set that is a table where it is restored': {
    make: ['zadd', 'k', ...numbers(COUNT).flatMap((i) => [i % 3, i])],
    settings: [['zset-max-listpack-entries', COUNT]],
  },
  'a list of small elements': { make: ['rpush', 'k', ...numbers(COUNT).map((i) => i % 10)] },
  'a list of large elements': { make: ['rpush', 'k', ...numbers(40).map(() => 'x'.repeat(20_000))] },
  'a string': { make: ['set', 'k', 'x'.repeat(300_000)] },
};

describe('RESTORE', () => {
  function expectBound(payload: Buffer): void {
    const to = new TestEngine({ shards: 1, arenaBytes: 64 * MIB });
    to.run('set', 'other', 'v');
    const said = footprintOf(to, 'restore', 'k', '0', payload).bytes;
    const before = arenaBytes(to.shards.arenas[0]);
    expect(to.run('restore', 'k', '0', payload)).toBe('+OK\r\n');
    const taken = arenaBytes(to.shards.arenas[0]) - before;
    expect(taken).toBeLessThan(said + SLACK_BYTES);
  }

  it('of a stream takes no more than it says', () => {
    const from = new TestEngine({ shards: 1, arenaBytes: 64 * MIB });
    for (let i = 1; i <= COUNT; i++) from.run('xadd', 's', `${i}-0`, 'f', '1');
    expectBound(payloadOf(from.run('dump', 's')));
  });

  it.each(Object.entries(VALUES))('of %s takes no more than it says', (_, { make, settings }) => {
    const from = new TestEngine({ shards: 1, arenaBytes: 64 * MIB });
    for (const [name, value] of settings ?? []) from.settings.set(name, value);
    from.run(...make);
    const payload = payloadOf(from.run('dump', 'k'));
    expectBound(payload);
  });
});
