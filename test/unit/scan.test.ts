import { describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { TestEngine } from '../support/engine.ts';

const NOW = 1_700_000_000_000;

/** The next cursor and the keys of a SCAN reply. */
function parse(reply: string): [string, string[]] {
  const parts = reply.split('\r\n');
  const keys: string[] = [];
  for (let i = 5; i < parts.length; i += 2) keys.push(parts[i]);
  return [parts[2], keys];
}

function fill(engine: TestEngine, count: number): void {
  for (let i = 0; i < count; i++) engine.run('set', `key:${i}`, i);
}

describe('SCAN', () => {
  it('returns every key once while nothing changes, a bounded number at a time', () => {
    const engine = new TestEngine();
    fill(engine, 5000);
    const seen: string[] = [];
    let cursor = '0';
    do {
      const [next, keys] = parse(engine.run('scan', cursor, 'count', 20));
      expect(keys.length).toBeLessThan(20 + 40);
      seen.push(...keys);
      cursor = next;
    } while (cursor !== '0');
    expect(seen.length).toBe(5000);
    expect(new Set(seen).size).toBe(5000);
  });

  it.each([1, 2, 3])('returns every key that stays, while the tables grow and shrink (seed %i)', (seed) => {
    const engine = new TestEngine();
    const random = new Random(seed);
    fill(engine, 2000);
    const seen = new Set<string>();
    let cursor = '0';
    let extra = 0;
    let growing = true;
    do {
      const [next, keys] = parse(engine.run('scan', cursor, 'count', 5 + random.below(30)));
      for (const key of keys) seen.add(key);
      cursor = next;
      for (let i = random.below(300); i > 0; i--) {
        if (growing) engine.run('set', `extra:${extra++}`, 'x');
        else if (extra > 0) engine.run('del', `extra:${--extra}`);
      }
      if (random.below(10) === 0) growing = !growing;
    } while (cursor !== '0');
    for (let i = 0; i < 2000; i++) expect(seen.has(`key:${i}`)).toBe(true);
  });

  it('filters by pattern and type, and skips what has expired', () => {
    const engine = new TestEngine();
    engine.nowMs = NOW;
    fill(engine, 100);
    engine.run('set', 'key:gone', 'x', 'px', 1);
    engine.run('rpush', 'list', 'a');
    engine.nowMs = NOW + 1;
    expect(parse(engine.run('scan', 0, 'count', 1000, 'match', 'key:1?'))[1].length).toBe(10);
    expect(parse(engine.run('scan', 0, 'count', 1000, 'type', 'LIST'))[1]).toEqual(['list']);
    expect(parse(engine.run('scan', 0, 'count', 1000, 'type', 'nothing'))[1]).toEqual([]);
    expect(parse(engine.run('scan', 0, 'count', 1000, 'match', '*'))[1].length).toBe(101);
    expect(engine.run('keys', 'key:g*')).toBe('*0\r\n');
  });

  it('reads cursors as Redis does', () => {
    const engine = new TestEngine();
    fill(engine, 3);
    for (const cursor of ['', '+0', '00', '0']) expect(parse(engine.run('scan', cursor))[1].length).toBe(3);
    for (const cursor of ['18446744073709551615', '-1', '281474976710656']) {
      expect(engine.run('scan', cursor)).toBe('*2\r\n$1\r\n0\r\n*0\r\n');
    }
    for (const cursor of ['18446744073709551616', ' 1', '1 ', 'x', '-', '+', '1.5', '99999999999999999999999']) {
      expect(engine.run('scan', cursor)).toBe('-ERR invalid cursor\r\n');
    }
    expect(engine.run('scan', 0, 'count')).toBe('-ERR syntax error\r\n');
    expect(engine.run('scan', 0, 'count', 0)).toBe('-ERR syntax error\r\n');
    expect(engine.run('scan', 0, 'count', 'x')).toBe('-ERR value is not an integer or out of range\r\n');
    expect(engine.run('scan', 0, 'foo', 'x')).toBe('-ERR syntax error\r\n');
  });
});

describe('RANDOMKEY', () => {
  it('draws every key, and only live ones', () => {
    const engine = new TestEngine();
    engine.nowMs = NOW;
    expect(engine.run('randomkey')).toBe('$-1\r\n');
    fill(engine, 20);
    const seen = new Set<string>();
    for (let i = 0; i < 2000; i++) seen.add(engine.run('randomkey'));
    expect(seen.size).toBe(20);
    for (let i = 1; i < 20; i++) engine.run('pexpire', `key:${i}`, 5);
    engine.nowMs = NOW + 5;
    for (let i = 0; i < 50; i++) expect(engine.run('randomkey')).toBe('$5\r\nkey:0\r\n');
    engine.run('del', 'key:0');
    expect(engine.run('randomkey')).toBe('$-1\r\n');
  });
});

describe('OBJECT', () => {
  it('tells idle time under LRU and frequency under LFU', () => {
    const engine = new TestEngine();
    engine.nowMs = NOW;
    engine.run('set', 'key', 'v');
    engine.nowMs = NOW + 5100;
    expect(engine.run('object', 'idletime', 'key')).toBe(':5\r\n');
    expect(engine.run('object', 'idletime', 'key')).toBe(':5\r\n');
    engine.run('touch', 'key');
    expect(engine.run('object', 'idletime', 'key')).toBe(':0\r\n');
    expect(engine.run('object', 'freq', 'key')).toMatch(/^-ERR An LFU maxmemory policy is not selected/);
    engine.settings.set('maxmemory-policy', 3);
    engine.run('set', 'key', 'v');
    engine.run('set', 'new', 'v');
    expect(engine.run('object', 'freq', 'new')).toBe(':5\r\n');
    expect(engine.run('object', 'idletime', 'new')).toMatch(/^-ERR An LFU maxmemory policy is selected/);
    for (let i = 0; i < 1000; i++) engine.run('get', 'new');
    expect(Number(engine.run('object', 'freq', 'new').slice(1))).toBeGreaterThan(10);
    expect(engine.run('object', 'freq', 'nokey')).toBe('$-1\r\n');
  });

  it('counts references as for shared integers', () => {
    const engine = new TestEngine();
    engine.run('set', 'key', '9999');
    expect(engine.run('object', 'refcount', 'key')).toBe(':2147483647\r\n');
    engine.run('incr', 'key');
    expect(engine.run('object', 'refcount', 'key')).toBe(':1\r\n');
  });
});
