/** RESTORE of payloads that are broken in every way, and in arenas that are full: nothing is made, nothing is lost. */
import { describe, expect, it } from 'vitest';
import { ArenaFullError } from '../../engine/alloc.ts';
import { Random } from '../../engine/random.ts';
import { verifyAlloc } from '../../engine/verifyalloc.ts';
import { sortedReply } from '../support/differ.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { GENERATORS } from '../support/gen/any.ts';
import { eachKey, payloadOf, READ_COMPARISON, readAll, sealed } from '../support/rdb-write.ts';

const MIB = 1024 * 1024;

/** One key of every type and form. */
const VALUES: Arg[][] = [
  ['set', 'k', 'some text'],
  ['set', 'k', '-70000'],
  ['rpush', 'k', 'a', '1', 'b'.repeat(100)],
  ['rpush', 'k', ...Array.from({ length: 100 }, (_, i) => `element ${i}`), 'x'.repeat(9000)],
  ['sadd', 'k', '1', '-2', '300'],
  ['sadd', 'k', 'a', 'b', '3'],
  ['hset', 'k', 'f', '1', 'g', 'text'],
  ['hset', 'k', 'f', 'x'.repeat(65), 'g', '2'],
  ['zadd', 'k', '1', 'a', '2.5', 'b', 'inf', 'c'],
  ['zadd', 'k', '1', 'a', '2.5', 'x'.repeat(65)],
  ['xadd', 'k', '5-1', 'f', 'v', 'g', '2'],
];

/** Type and value of a payload. */
function bodies(): Buffer[] {
  return VALUES.map((command) => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 16 * MIB });
    engine.run(...command);
    if (command[0] === 'xadd') {
      engine.run('xadd', 'k', '6-1', 'other', 'v');
      engine.run('xdel', 'k', '5-1');
    }
    const payload = payloadOf(engine.run('dump', 'k'));
    return payload.subarray(0, payload.length - 10);
  });
}

describe('RESTORE of broken payloads', () => {
  const engine = new TestEngine({ shards: 1, arenaBytes: 8 * MIB });
  const [arena] = engine.shards.arenas;

  // The table is there from now on.
  engine.run('set', 'k', 'v');

  /** Either a key is made that can be read and dumped, or none is, and no block more is in use than before. */
  function restore(payload: Uint8Array, ...options: string[]): string {
    const before = verifyAlloc(arena);
    const reply = engine.run('restore', 'k', '0', payload, ...options);
    if (reply === '+OK\r\n') {
      engine.verify();
      for (const command of readAll(engine, 0)) engine.run(...command);
      engine.run('dump', 'k');
      return reply;
    }
    expect(reply).toMatch(/^-ERR (Bad data format|DUMP payload version or checksum are wrong)\r\n$/);
    if (options.length === 0) expect(engine.run('exists', 'k')).toBe(':0\r\n');
    expect(verifyAlloc(arena)).toBe(before);
    return reply;
  }

  it('ends early', () => {
    for (const body of bodies()) {
      for (let length = 0; length < body.length; length += body.length > 2000 ? 37 : 1) {
        engine.run('del', 'k');
        expect(restore(sealed(body.subarray(0, length)))).toMatch(/^-ERR Bad/);
      }
      const payload = sealed(body);
      for (let length = 0; length < payload.length; length += payload.length > 2000 ? 37 : 1) {
        expect(restore(payload.subarray(0, length))).toMatch(/^-ERR DUMP/);
      }
    }
  }, 60_000);

  it('has bytes changed', () => {
    const random = new Random(61);
    const outcomes = new Map<string, number>();
    for (let round = 0; round < 50; round++) {
      for (const body of bodies()) {
        const broken = Buffer.from(body);
        for (let i = 1 + random.below(3); i > 0; i--)
          broken[random.below(Math.min(broken.length, 200))] = random.below(256);
        engine.run('del', 'k');
        const reply = restore(sealed(broken));
        outcomes.set(reply, (outcomes.get(reply) ?? 0) + 1);
      }
    }
    expect(outcomes.size).toBe(2);
    engine.verify();
  }, 60_000);

  it('does not take the old value away', () => {
    engine.run('del', 'k');
    engine.run('rpush', 'k', ...Array.from({ length: 200 }, (_, i) => `element ${i}`));
    engine.run('pexpireat', 'k', '4102444800000');
    const dirty = engine.call.dirty;
    expect(dirty).toBe(1);
    for (const body of bodies()) restore(sealed(body.subarray(0, -1)), 'replace');
    expect(engine.call.dirty).toBe(0);
    expect(engine.run('llen', 'k')).toBe(':200\r\n');
    expect(engine.run('pexpiretime', 'k')).toBe(':4102444800000\r\n');
    engine.verify();
    expect(restore(sealed(bodies()[0]), 'replace')).toBe('+OK\r\n');
    expect(engine.run('get', 'k')).toBe('$9\r\nsome text\r\n');
    expect(engine.run('pexpiretime', 'k')).toBe(':-1\r\n');
    engine.verify();
    engine.run('set', 'k', 'some text');
    const blocks = verifyAlloc(arena);
    for (const body of bodies()) restore(sealed(body), 'replace');
    restore(sealed(bodies()[0]), 'replace');
    expect(verifyAlloc(arena)).toBe(blocks);
  });
});

describe('RESTORE', () => {
  it('keeps the old value when the arena has no room for the new one', () => {
    const large = new TestEngine({ shards: 1, arenaBytes: 256 * MIB });
    large.run('set', 'k', 'x'.repeat(8 * MIB));
    const payload = payloadOf(large.run('dump', 'k'));
    const engine = new TestEngine({ shards: 1, arenaBytes: 8 * MIB });
    engine.run('rpush', 'k', 'a', 'b');
    expect(() => engine.run('restore', 'k', '0', payload, 'replace')).toThrow(ArenaFullError);
    expect(engine.run('lrange', 'k', '0', '-1')).toBe('*2\r\n$1\r\na\r\n$1\r\nb\r\n');
    expect(engine.run('dbsize')).toBe(':1\r\n');
    engine.verify();
  });

  it('takes packed values whose length needs five bytes', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 16 * MIB });
    engine.settings.set('zset-max-listpack-entries', 5000);
    engine.settings.set('hash-max-listpack-entries', 5000);
    const numbers = Array.from({ length: 2000 }, (_, i) => i);
    engine.run('zadd', 'z', ...numbers.flatMap((i) => [i * 1.234567891, `m${i}`]));
    engine.run('hset', 'h', ...numbers.flatMap((i) => [`f${i}`, `${i} value`]));
    for (const key of ['z', 'h']) {
      const payload = payloadOf(engine.run('dump', key));
      expect(payload[1]).toBe(0x80);
      expect(engine.run('restore', `copy ${key}`, '0', payload)).toBe('+OK\r\n');
      expect(engine.run('object', 'encoding', `copy ${key}`)).toBe('$8\r\nlistpack\r\n');
    }
    expect(engine.run('zrange', 'copy z', 0, -1, 'withscores')).toBe(engine.run('zrange', 'z', 0, -1, 'withscores'));
    expect(engine.run('hgetall', 'copy h')).toBe(engine.run('hgetall', 'h'));
  });

  it('deletes the old value and makes no new one when the time has passed', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 16 * MIB });
    const payload = sealed(Buffer.from([0, 1, 97]));
    expect(engine.run('restore', 'k', '1', payload, 'absttl')).toBe('+OK\r\n');
    expect(engine.call.dirty).toBe(0);
    engine.run('set', 'k', 'v');
    expect(engine.run('restore', 'k', '1', payload, 'absttl', 'replace')).toBe('+OK\r\n');
    expect(engine.call.dirty).toBe(1);
    expect(engine.run('dbsize')).toBe(':0\r\n');
    expect(engine.run('restore', 'k', '9223372036854775807', payload)).toBe('+OK\r\n');
    expect(engine.run('dbsize')).toBe(':0\r\n');
    engine.verify();
  });

  it('makes equal keys of any that commands have made', () => {
    const random = new Random(67);
    const makers = Object.values(GENERATORS);
    for (let round = 0; round < 6; round++) {
      const engine = new TestEngine({ shards: 2, arenaBytes: 64 * MIB });
      engine.nowMs = 1_700_000_000_000;
      for (let i = 0; i < 1500; i++) engine.run(...makers[random.below(makers.length)](random));
      const copy = new TestEngine({ shards: 3, arenaBytes: 64 * MIB });
      copy.nowMs = engine.nowMs;
      engine.expire();
      eachKey(engine, 0, (_a, _record, key) => {
        const at = engine.run('pexpiretime', key).slice(1, -2);
        const payload = payloadOf(engine.run('dump', key));
        expect(copy.run('restore', key, at === '-1' ? '0' : at, payload, 'absttl')).toBe('+OK\r\n');
      });
      copy.verify();
      const commands = readAll(engine, 0);
      expect(commands.length).toBeGreaterThan(30);
      for (const command of commands) {
        const name = String(command[0]);
        const sort = (reply: string): string => sortedReply(reply, READ_COMPARISON.unorderedPairs.includes(name));
        const isFree = name === 'smembers' || name === 'hgetall';
        const [mine, theirs] = [engine.run(...command), copy.run(...command)];
        expect([command, isFree ? sort(theirs) : shown(theirs)]).toEqual([command, isFree ? sort(mine) : shown(mine)]);
      }
    }
  }, 60_000);
});

/** Without what XINFO tells of Redis's index, which has other nodes when the first entry of one has been deleted. */
function shown(reply: string): string {
  return reply.replace(/(radix-tree-nodes\r\n):\d+/, '$1');
}
