import { describe, expect, it } from 'vitest';
import { usableSize } from '../../engine/alloc.ts';
import { COUNTER_USED_BYTES } from '../../engine/arena.ts';
import { baseBytes } from '../../engine/pages.ts';
import { valueStart, valueWord } from '../../engine/record.ts';
import { valueBytes } from '../../engine/values.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { formOf, membersOf, recordOf, stringsOf } from '../support/members.ts';

function oneShard(): TestEngine {
  return new TestEngine({ shards: 1, arenaBytes: 128 * 1024 * 1024 });
}

function pairs(count: number): string[] {
  return Array.from({ length: count }, (_, i) => [`f${i}`, `v${i}`]).flat();
}

describe('a small hash', () => {
  it('lies in its record, as the comment of pack.ts says', () => {
    const engine = oneShard();
    engine.run('hset', 'h', 'a', '1', 'bc', '');
    const record = recordOf(engine, 'h');
    const a = engine.call.arena;
    const start = valueStart(a, record);
    const bytes = [...a.u8.slice(start, start + valueWord(a, record))];
    expect(bytes).toEqual([4, 0, 0, 0, 1, 97, 1, 49, 2, 98, 99, 0]);
  });

  it('takes little: ten fields of 16 bytes with their values fit one block of 256 bytes', () => {
    const engine = oneShard();
    for (let i = 0; i < 10; i++) engine.run('hset', 'h', `field${i}`, 'abcdefghij');
    expect(formOf(engine, 'h')).toBe('packed');
    expect(usableSize(engine.call.arena, recordOf(engine, 'h'))).toBeLessThanOrEqual(256);
  });

  it('keeps values of all lengths, replaced by longer and shorter ones', () => {
    const engine = oneShard();
    engine.settings.set('hash-max-listpack-value', 100_000);
    const model = new Map<string, string>();
    const lengths = [0, 1, 253, 254, 255, 256, 300, 70_000, 5, 255, 0];
    for (const [i, length] of lengths.entries()) {
      for (const field of ['a', 'bb', 'ccc', 'd'.repeat(254), 'e'.repeat(255)]) {
        model.set(field, String(i % 10).repeat(length + field.length));
        engine.run('hset', 'h', field, model.get(field) as string);
        expect(membersOf(engine, 'h')).toEqual(model);
      }
    }
    expect(formOf(engine, 'h')).toBe('packed');
    for (const field of ['bb', 'd'.repeat(254), 'a']) {
      engine.run('hdel', 'h', field);
      model.delete(field);
      expect(membersOf(engine, 'h')).toEqual(model);
    }
  });

  it('does not take a value for a field', () => {
    const engine = oneShard();
    engine.run('hset', 'h', 'a', 'b', 'c', 'd');
    expect(engine.run('hget', 'h', 'b')).toBe('$-1\r\n');
    expect(engine.run('hdel', 'h', 'b', 'd')).toBe(':0\r\n');
    expect(engine.run('hset', 'h', 'd', 'x')).toBe(':1\r\n');
  });

  it('becomes a table by number or length, also of what HINCRBY makes', () => {
    const engine = oneShard();
    engine.run('hset', 'h', ...pairs(512));
    expect(formOf(engine, 'h')).toBe('packed');
    engine.run('hset', 'h', 'f0', 'again');
    expect(formOf(engine, 'h')).toBe('packed');
    engine.run('hset', 'h', 'one', 'more');
    expect(formOf(engine, 'h')).toBe('table');
    expect(membersOf(engine, 'h').size).toBe(513);
    expect(engine.line('hget h f0')).toBe('$5\r\nagain\r\n');
    engine.run('hset', 'long', 'a', '1');
    engine.run('hincrbyfloat', 'long', 'a', '1e70');
    expect(formOf(engine, 'long')).toBe('table');
  });
});

describe('a big hash', () => {
  it('replaces values by longer and shorter ones in place or not', () => {
    const engine = oneShard();
    const model = new Map<string, string>();
    engine.run('hset', 'h', 'x'.repeat(65), '1');
    model.set('x'.repeat(65), '1');
    for (const length of [10, 2000, 5, 8, 40, 41, 0, 100_000, 3]) {
      for (let i = 0; i < 100; i++) {
        model.set(`f${i}`, `${i}`.repeat(length));
        engine.run('hset', 'h', `f${i}`, model.get(`f${i}`) as string);
      }
      expect(formOf(engine, 'h')).toBe('table');
      expect(membersOf(engine, 'h')).toEqual(model);
      engine.verify();
    }
  });

  it('is measured, copied and given back', () => {
    const engine = oneShard();
    const a = engine.shards.arenas[0];
    engine.line('set other x');
    const before = a.f64[COUNTER_USED_BYTES] - baseBytes(a);
    engine.run('hset', 'h', ...pairs(20_000));
    const used = a.f64[COUNTER_USED_BYTES] - baseBytes(a) - before;
    const bytes = valueBytes(a, recordOf(engine, 'h'));
    expect(bytes).toBeLessThanOrEqual(used);
    expect(bytes).toBeGreaterThan(used * 0.97);
    engine.line('copy h copy');
    engine.run('hset', 'copy', 'f1', 'changed');
    const model = membersOf(engine, 'h');
    expect(model.get('f1')).toBe('v1');
    expect(membersOf(engine, 'copy')).toEqual(model.set('f1', 'changed'));
    engine.verify();
    engine.line('del h copy');
    expect(a.f64[COUNTER_USED_BYTES] - baseBytes(a)).toBe(before);
  });
});

describe('HSCAN', () => {
  it('returns every field that stays with its value', () => {
    const engine = oneShard();
    engine.run('hset', 'h', ...pairs(3000));
    const seen = new Map<string, string>();
    let cursor = '0';
    let calls = 0;
    do {
      const [next, ...found] = stringsOf(engine.run('hscan', 'h', cursor, 'count', 50, 'match', 'f*'));
      cursor = next;
      for (let i = 0; i < found.length; i += 2) seen.set(found[i], found[i + 1]);
      for (let i = 0; i < 20; i++) engine.run(calls < 20 ? 'hset' : 'hdel', 'h', `g${calls % 20}:${i}`, 'x');
      calls++;
    } while (cursor !== '0');
    expect(calls).toBeGreaterThan(20);
    expect(seen.size).toBe(3000);
    for (let i = 0; i < 3000; i++) expect(seen.get(`f${i}`)).toBe(`v${i}`);
  });
});

describe('HRANDFIELD', () => {
  for (const [form, size] of [
    ['packed', 40],
    ['table', 600],
  ] as const) {
    it(`draws distinct fields with their own values from a hash of form ${form}`, () => {
      const engine = oneShard();
      engine.run('hset', 'h', ...pairs(size));
      expect(formOf(engine, 'h')).toBe(form);
      for (const count of [1, 2, size >> 3, size >> 1, size - 1, size, size + 1, -3, -size * 2]) {
        const tail: Arg[] = [count, 'withvalues'];
        const drawn = stringsOf(engine.run('hrandfield', 'h', ...tail));
        expect(drawn.length / 2).toBe(count < 0 ? -count : Math.min(count, size));
        for (let i = 0; i < drawn.length; i += 2) expect(drawn[i + 1]).toBe(drawn[i].replace('f', 'v'));
        const fields = drawn.filter((_, i) => i % 2 === 0);
        if (count > 0) expect(new Set(fields).size).toBe(fields.length);
      }
    });
  }
});

describe('HINCRBY', () => {
  it('adds within 64 bits', () => {
    const engine = oneShard();
    expect(engine.line('hincrby h a 9007199254740993')).toBe(':9007199254740993\r\n');
    expect(engine.line('hincrby h a -1')).toBe(':9007199254740992\r\n');
    expect(engine.line('hincrby h a -9007199254740992')).toBe(':0\r\n');
    expect(engine.line('hincrby h b -9223372036854775808')).toBe(':-9223372036854775808\r\n');
    expect(engine.line('hincrby h b -1')).toBe('-ERR increment or decrement would overflow\r\n');
    expect(engine.line('hincrby h b 9223372036854775807')).toBe(':-1\r\n');
    expect(engine.line('hget h b')).toBe('$2\r\n-1\r\n');
    for (let i = 0; i < 300; i++) engine.line('hincrby h c -7');
    expect(engine.line('hget h c')).toBe('$5\r\n-2100\r\n');
  });
});
