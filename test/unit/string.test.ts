import { describe, expect, it } from 'vitest';
import { liveBytes } from '../../engine/alloc.ts';
import { Random } from '../../engine/random.ts';
import { MAX_INLINE_BYTES } from '../../engine/types/string.ts';
import { TestEngine } from '../support/engine.ts';

const MIB = 1024 * 1024;

function engineWith(options: { shards?: number; arenaBytes?: number } = {}): TestEngine {
  const engine = new TestEngine(options);
  engine.nowMs = 1_700_000_000_000;
  return engine;
}

function used(engine: TestEngine): number {
  return engine.shards.arenas.reduce((sum, arena) => sum + liveBytes(arena), 0);
}

describe('string values', () => {
  it('cross from inline to a root of their own and back, with and without expiry', () => {
    const engine = engineWith();
    const before = used(engine);
    for (const expiry of [[], ['px', '1000']]) {
      for (const length of [MAX_INLINE_BYTES - 1, MAX_INLINE_BYTES, MAX_INLINE_BYTES + 1, 10, 3 * MAX_INLINE_BYTES]) {
        const text = 'v'.repeat(length);
        expect(engine.run('set', 'key', text, ...expiry)).toBe('+OK\r\n');
        expect(engine.run('get', 'key') === `$${length}\r\n${text}\r\n`).toBe(true);
        expect(engine.run('append', 'key', 'tail')).toBe(`:${length + 4}\r\n`);
        expect(engine.run('getrange', 'key', -6, -1)).toBe('$6\r\nvvtail\r\n');
        engine.verify();
      }
    }
    engine.run('del', 'key');
    engine.run('flushall');
    expect(used(engine)).toBe(before);
  });

  it('replace values of other types and free them', () => {
    const engine = engineWith({ shards: 1 });
    const before = used(engine);
    engine.run('rpush', 'key', ...Array.from({ length: 1000 }, (_, i) => `a rather long element number ${i}`));
    engine.run('expire', 'key', 100);
    engine.run('set', 'key', 'v', 'keepttl');
    expect(engine.run('ttl', 'key')).toBe(':100\r\n');
    engine.run('set', 'key', 'v');
    expect(engine.run('ttl', 'key')).toBe(':-1\r\n');
    engine.run('del', 'key');
    // The database's empty table and its index by expiry stay.
    expect(used(engine) - before).toBeLessThan(4096);
  });

  it('grow by appending in linear time', () => {
    const engine = engineWith({ shards: 1 });
    const chunk = 'c'.repeat(1000);
    for (let i = 0; i < 3000; i++) engine.run('append', 'key', chunk);
    expect(engine.run('strlen', 'key')).toBe(':3000000\r\n');
    // No more slack than a MiB.
    expect(used(engine)).toBeLessThan(3_000_000 + 1.2 * MIB);
    engine.verify();
  });

  it('say so when the arena has no room', () => {
    const engine = engineWith({ shards: 1, arenaBytes: 16 * MIB });
    expect(engine.run('setrange', 'key', 400 * MIB, 'x')).toMatch(/^-OOM /);
    expect(engine.run('exists', 'key')).toBe(':0\r\n');
    engine.run('set', 'key', 'abc');
    expect(engine.run('setrange', 'key', 400 * MIB, 'x')).toMatch(/^-OOM /);
    expect(engine.run('setrange', 'key', 512 * MIB, 'x')).toMatch(/^-ERR string exceeds/);
    expect(engine.run('get', 'key')).toBe('$3\r\nabc\r\n');
    engine.run('setrange', 'key', 6 * MIB, 'x');
    expect(engine.run('copy', 'key', 'other')).toMatch(/^-OOM /);
    expect(engine.run('rename', 'key', 'other')).toBe('+OK\r\n');
    engine.verify();
  });

  it('count in place across the range of int64', () => {
    const engine = engineWith();
    for (const [start, by, result] of [
      ['999', '1', '1000'],
      ['-1', '1', '0'],
      ['9007199254740991', '1', '9007199254740992'],
      ['9007199254740993', '-1', '9007199254740992'],
      ['9223372036854775806', '1', '9223372036854775807'],
      ['-9223372036854775807', '-1', '-9223372036854775808'],
      ['9223372036854775807', '-9223372036854775808', '-1'],
    ]) {
      engine.run('set', 'n', start);
      expect(engine.run('incrby', 'n', by)).toBe(`:${result}\r\n`);
      expect(engine.run('get', 'n')).toBe(`$${result.length}\r\n${result}\r\n`);
    }
    engine.run('set', 'n', '9223372036854775807');
    expect(engine.run('incr', 'n')).toBe('-ERR increment or decrement would overflow\r\n');
    expect(engine.run('decrby', 'n', '-9223372036854775808')).toBe('-ERR decrement would overflow\r\n');
  });

  it('count on and back over every number of digits, with and without an expiry', () => {
    const engine = engineWith();
    const random = new Random(7);
    let sum = 0;
    engine.run('set', 'n', '0');
    for (let i = 0; i < 20_000; i++) {
      if (i % 1000 === 0) engine.run(i % 2000 === 0 ? 'persist' : 'expire', 'n', '1000');
      const by = random.below(10 ** (1 + random.below(11))) * (sum > 0 && random.below(2) === 0 ? -1 : 1);
      sum += by;
      expect(engine.run('incrby', 'n', String(by))).toBe(`:${sum}\r\n`);
      if (i % 97 === 0) {
        sum = 10 ** random.below(12) - random.below(3);
        engine.run('set', 'n', String(sum), 'keepttl');
      }
    }
    expect(engine.run('get', 'n')).toBe(`$${String(sum).length}\r\n${sum}\r\n`);
  });

  it('hide a key whose time is past, and delete it at the next write', () => {
    const engine = engineWith();
    engine.run('set', 'key', 'v', 'px', 10);
    expect(engine.run('pttl', 'key')).toBe(':10\r\n');
    engine.nowMs = (engine.nowMs as number) + 10;
    expect(engine.run('get', 'key')).toBe('$-1\r\n');
    expect(engine.run('pttl', 'key')).toBe(':-2\r\n');
    expect(engine.run('dbsize')).toBe(':1\r\n');
    expect(engine.run('del', 'key')).toBe(':0\r\n');
    expect(engine.run('dbsize')).toBe(':0\r\n');
    engine.run('set', 'key', 'v', 'pxat', 1);
    expect(engine.run('setnx', 'key', 'w')).toBe(':1\r\n');
    expect(engine.run('ttl', 'key')).toBe(':-1\r\n');
  });
});
