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

function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

function inlineBytes(engine: TestEngine, key: string): number[] {
  const record = recordOf(engine, key);
  const a = engine.call.arena;
  const start = valueStart(a, record);
  return [...a.u8.slice(start, start + valueWord(a, record))];
}

const WIDE = [
  '-9223372036854775808',
  '-9007199254740993',
  '-4294967297',
  '-1',
  '0',
  '4294967296',
  '9223372036854775807',
];

describe('a set of integers', () => {
  it('lies in its record, as the comment says', () => {
    const engine = oneShard();
    engine.line('sadd s 5 -1');
    expect(inlineBytes(engine, 's')).toEqual([1, 0xff, 0xff, 5, 0]);
  });

  it('becomes as wide as its widest integer, at either end', () => {
    for (const wide of ['32768', '-32769', '2147483648', '-2147483649', ...WIDE]) {
      const engine = oneShard();
      engine.run('sadd', 's', '7', '-3', '300');
      engine.run('sadd', 's', wide);
      engine.run('sadd', 's', '-3', '8', wide);
      const expected = [...new Set(['-3', '7', '8', '300', wide])];
      expected.sort((x, y) => (BigInt(x) < BigInt(y) ? -1 : 1));
      expect([...membersOf(engine, 's').keys()]).toEqual(expected);
      expect(formOf(engine, 's')).toBe('integers');
    }
  });

  it('keeps all of 64 bits apart', () => {
    const engine = oneShard();
    const near = ['9007199254740992', '9007199254740993', '9223372036854775806', '-9223372036854775807'];
    for (const member of [...near, ...WIDE]) expect(engine.run('sadd', 's', member)).toBe(':1\r\n');
    const expected = [...near, ...WIDE].sort((x, y) => (BigInt(x) < BigInt(y) ? -1 : 1));
    expect([...membersOf(engine, 's').keys()]).toEqual(expected);
    for (const member of near) expect(engine.run('srem', 's', member)).toBe(':1\r\n');
    expect([...membersOf(engine, 's').keys()]).toEqual(WIDE);
    expect(engine.run('sismember', 's', near[1])).toBe(':0\r\n');
  });

  it('is packed with its first member that is no integer, and stays so', () => {
    const engine = oneShard();
    engine.run('sadd', 's', ...WIDE);
    for (const odd of ['-0', '01', '+1', '9223372036854775808', '']) engine.run('sadd', 's', odd);
    expect(formOf(engine, 's')).toBe('packed');
    expect([...membersOf(engine, 's').keys()]).toEqual([...WIDE, '-0', '01', '+1', '9223372036854775808', '']);
    engine.run('srem', 's', '-0', '01', '+1', '9223372036854775808', '');
    expect(engine.line('object encoding s')).toContain('hashtable');
  });

  it('becomes a table when it is large or the new member is long', () => {
    const engine = oneShard();
    engine.run('sadd', 's', ...Array.from({ length: 512 }, (_, i) => i * 3));
    expect(formOf(engine, 's')).toBe('integers');
    engine.run('sadd', 's', 1);
    expect(formOf(engine, 's')).toBe('table');
    engine.run('sadd', 't', 1, 2, 'x'.repeat(65));
    expect(formOf(engine, 't')).toBe('table');
    expect(membersOf(engine, 's').size).toBe(513);
    expect(membersOf(engine, 't').size).toBe(3);
  });
});

describe('a packed set', () => {
  it('becomes a table with its 33rd member, or a long one', () => {
    const engine = oneShard();
    for (const member of numbered('m', 32)) engine.run('sadd', 's', member);
    expect(formOf(engine, 's')).toBe('packed');
    engine.run('sadd', 's', 'm0');
    expect(formOf(engine, 's')).toBe('packed');
    engine.run('sadd', 's', 'm32');
    expect(formOf(engine, 's')).toBe('table');
    expect(new Set(membersOf(engine, 's').keys())).toEqual(new Set(numbered('m', 33)));
    engine.run('sadd', 't', 'a', 'x'.repeat(64));
    expect(formOf(engine, 't')).toBe('packed');
    engine.run('sadd', 't', 'x'.repeat(65));
    expect(formOf(engine, 't')).toBe('table');
  });

  it('takes little: five members of 8 bytes and the key fit one block of 80 bytes', () => {
    const engine = oneShard();
    engine.run('sadd', 's', ...numbered('member:', 5));
    expect(usableSize(engine.call.arena, recordOf(engine, 's'))).toBeLessThanOrEqual(80);
  });
});

describe('SMOVE', () => {
  it('moves within a key, to a new key, and to one of any form', () => {
    const engine = new TestEngine();
    engine.line('sadd a 1 2');
    expect(engine.line('smove a a 1')).toBe(':1\r\n');
    expect(engine.line('smove a a 3')).toBe(':0\r\n');
    for (const [to, member] of [
      ['new', '1'],
      ['packed', '1'],
      ['table', '1'],
    ]) {
      engine.run('sadd', 'a', '1');
      if (to === 'packed') engine.run('sadd', to, 'x');
      if (to === 'table') engine.run('sadd', to, ...numbered('m', 100));
      expect(engine.run('smove', 'a', to, member)).toBe(':1\r\n');
      expect(membersOf(engine, to).has(member)).toBe(true);
      expect(membersOf(engine, 'a').has(member)).toBe(false);
    }
    expect(engine.line('smove a packed 2')).toBe(':1\r\n');
    expect(engine.line('exists a')).toBe(':0\r\n');
  });
});

describe('SPOP', () => {
  for (const [form, members] of [
    ['integers', numbered('', 300)],
    ['packed', numbered('m', 30)],
    ['table', numbered('m', 3000)],
  ] as const) {
    it(`of a set of form ${form} takes what it returns and nothing else, whatever the share`, () => {
      for (const count of [0, 1, 2, members.length >> 1, members.length - 5, members.length - 1, members.length, 1e6]) {
        const engine = oneShard();
        engine.run('sadd', 's', ...members);
        engine.run('pexpireat', 's', 4_000_000_000_000);
        expect(formOf(engine, 's')).toBe(form);
        const popped = stringsOf(engine.run('spop', 's', count));
        expect(engine.call.dirty).toBe(popped.length);
        expect(popped.length).toBe(Math.min(count, members.length));
        const left = membersOf(engine, 's');
        expect(left.size).toBe(members.length - popped.length);
        expect(new Set([...popped, ...left.keys()])).toEqual(new Set(members));
        if (left.size > 0) expect(engine.line('pexpiretime s')).toBe(':4000000000000\r\n');
        else expect(engine.line('exists s')).toBe(':0\r\n');
        engine.verify();
      }
    });
  }

  it('pops down to nothing, one at a time', () => {
    const engine = oneShard();
    const members = numbered('m', 2000);
    engine.run('sadd', 's', ...members);
    const popped = members.map(() => stringsOf(engine.run('spop', 's'))[0]);
    expect(new Set(popped)).toEqual(new Set(members));
    expect(engine.line('spop s')).toBe('$-1\r\n');
    expect(engine.line('exists s')).toBe(':0\r\n');
  });

  it('leaves integers when nothing else stays, as Redis does', () => {
    const engine = oneShard();
    engine.run('sadd', 's', ...numbered('', 600), 'x');
    for (let i = 0; formOf(engine, 's') === 'table' && i < 100; i++) {
      engine.run('del', 's');
      engine.run('sadd', 's', ...numbered('', 600), 'x');
      engine.run('spop', 's', 590);
    }
    expect(formOf(engine, 's')).toBe('integers');
    expect(membersOf(engine, 's').size).toBe(11);
  });
});

describe('SRANDMEMBER', () => {
  for (const [form, members] of [
    ['integers', numbered('', 50)],
    ['packed', numbered('m', 30)],
    ['table', numbered('m', 200)],
  ] as const) {
    it(`draws evenly from a set of form ${form}`, () => {
      const engine = oneShard();
      engine.run('sadd', 's', ...members);
      expect(formOf(engine, 's')).toBe(form);
      for (const count of [0, -1, 1, 3, members.length >> 1, members.length - 1]) {
        const draws = new Map<string, number>(members.map((member) => [member, 0]));
        const each = count === 0 ? 1 : Math.abs(count);
        const rounds = Math.ceil((members.length * 200) / each);
        const tail: Arg[] = count === 0 ? [] : [count];
        for (let i = 0; i < rounds; i++) {
          const drawn = stringsOf(engine.run('srandmember', 's', ...tail));
          expect(new Set(drawn).size).toBe(each);
          for (const member of drawn) draws.set(member, (draws.get(member) as number) + 1);
        }
        // 200 expected each; five standard deviations either way, less for large counts.
        expect(Math.min(...draws.values())).toBeGreaterThan(125);
        expect(Math.max(...draws.values())).toBeLessThan(280);
      }
    });
  }

  it('refuses to draw more than a reply can hold', () => {
    const engine = oneShard();
    engine.line('sadd s a');
    expect(engine.line('srandmember s -16777217')).toBe('-ERR value is out of range\r\n');
    expect(engine.line('srandmember nokey -16777217')).toBe('*0\r\n');
  });
});

describe('SSCAN', () => {
  it('returns every member that stays, while others come and go', () => {
    const engine = oneShard();
    const members = numbered('stay', 3000);
    engine.run('sadd', 's', ...members);
    const seen = new Set<string>();
    let cursor = '0';
    let calls = 0;
    do {
      const [next, ...found] = stringsOf(engine.run('sscan', 's', cursor, 'count', 20));
      cursor = next;
      for (const member of found) seen.add(member);
      for (let i = 0; i < 30; i++) engine.run(calls < 40 ? 'sadd' : 'srem', 's', `move${calls % 40}:${i}`);
      calls++;
    } while (cursor !== '0');
    expect(calls).toBeGreaterThan(40);
    for (const member of members) expect(seen.has(member)).toBe(true);
  });

  it('matches integers by their digits, and ends with any cursor it never gave', () => {
    const engine = oneShard();
    engine.line('sadd s 1 12 21 -1');
    expect(stringsOf(engine.line('sscan s 0 match 1*'))).toEqual(['0', '1', '12']);
    engine.run('sadd', 't', ...numbered('m', 200));
    expect(engine.line('sscan t 99999999999')).toBe('*2\r\n$1\r\n0\r\n*0\r\n');
  });
});

describe('unions and the like', () => {
  it('work across shards and forms, and may store over a source', () => {
    const engine = new TestEngine({ shards: 8 });
    const model = new Map<string, Set<string>>();
    const put = (key: string, members: string[]): void => {
      engine.run('sadd', key, ...members);
      model.set(key, new Set(members));
    };
    put('integers', numbered('', 200));
    put('packed', [...numbered('', 20), ...numbered('m', 10)]);
    put('table', [...numbered('', 300), ...numbered('m', 300)]);
    const all = new Set([...model.values()].flatMap((set) => [...set]));
    const common = new Set(numbered('', 20));
    const keys = [...model.keys()];
    expect(new Set(stringsOf(engine.run('sunion', ...keys)))).toEqual(all);
    expect(new Set(stringsOf(engine.run('sinter', ...keys)))).toEqual(common);
    expect(engine.run('sintercard', 3, ...keys)).toBe(':20\r\n');
    expect(engine.run('sintercard', 3, ...keys, 'limit', 7)).toBe(':7\r\n');
    expect(new Set(stringsOf(engine.run('sdiff', 'table', 'packed')))).toEqual(
      new Set([...(model.get('table') as Set<string>)].filter((m) => !(model.get('packed') as Set<string>).has(m))),
    );
    engine.run('sdiffstore', 'packed', 'table', 'packed', 'integers');
    expect(membersOf(engine, 'packed').size).toBe(600 - 200 - 10);
    engine.run('sunionstore', 'table', 'integers', 'nokey');
    expect(formOf(engine, 'table')).toBe('integers');
    engine.run('sinterstore', 'integers', 'integers', 'nokey');
    expect(engine.line('exists integers')).toBe(':0\r\n');
    engine.verify();
  });

  it('gives SDIFF the same result by both ways', () => {
    const engine = new TestEngine();
    engine.run('sadd', 'large', ...numbered('m', 1000));
    engine.run('sadd', 'small1', ...numbered('m', 10));
    engine.run('sadd', 'small2', ...numbered('m', 20));
    // Two subtrahends much smaller than the first set: taken out of a copy of it.
    const left = stringsOf(engine.run('sdiff', 'large', 'small1', 'small2'));
    expect(new Set(left)).toEqual(new Set(numbered('m', 1000).slice(20)));
    expect(stringsOf(engine.run('sdiff', 'large', 'small1', 'large'))).toEqual([]);
    expect(stringsOf(engine.run('sdiff', 'small2', 'large'))).toEqual([]);
  });
});

describe('the memory of a set', () => {
  it('is measured, copied and given back', () => {
    const engine = oneShard();
    const a = engine.shards.arenas[0];
    engine.line('set other x');
    const before = a.f64[COUNTER_USED_BYTES] - baseBytes(a);
    engine.run('sadd', 's', ...numbered('member', 20_000));
    const record = recordOf(engine, 's');
    const used = a.f64[COUNTER_USED_BYTES] - baseBytes(a) - before;
    expect(valueBytes(a, record)).toBeLessThanOrEqual(used);
    expect(valueBytes(a, record)).toBeGreaterThan(used * 0.97);
    engine.line('copy s t');
    expect(new Set(membersOf(engine, 't').keys())).toEqual(new Set(membersOf(engine, 's').keys()));
    engine.verify();
    engine.line('del s t');
    expect(a.f64[COUNTER_USED_BYTES] - baseBytes(a)).toBe(before);
  });
});

describe('a union of large sets', () => {
  it('takes time by their members, not by the square of them', () => {
    const engine = oneShard();
    engine.run('sadd', 'a', ...numbered('member:', 60_000));
    engine.run('sadd', 'b', ...numbered('member:', 120_000).slice(30_000));
    const startedMs = performance.now();
    expect(engine.line('sunionstore to a b')).toBe(':120000\r\n');
    // 4 s when members filled the places of a list in the order of its hashes.
    expect(performance.now() - startedMs).toBeLessThan(1000);
  });
});
