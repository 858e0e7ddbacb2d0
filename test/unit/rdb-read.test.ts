/** RDB bytes made by hand: old encodings, items that are no keys, what cannot be, files in pieces. */
import { describe, expect, it } from 'vitest';
import { Crc64 } from '../../engine/rdb/crc64.ts';
import { loadValue } from '../../engine/rdb/decode.ts';
import { RdbInput } from '../../engine/rdb/input.ts';
import { RdbFile } from '../../engine/rdb/read.ts';
import { LoadReport } from '../../engine/rdb/report.ts';
import { TestEngine } from '../support/engine.ts';
import {
  bytes,
  f64,
  file,
  i64,
  intset,
  len,
  listpack,
  literals,
  load,
  loadFile,
  memorySource,
  type Part,
  pair,
  rawId,
  rdbErrorOf,
  str,
  u16,
  u32,
  verifyAll,
  ziplist,
  zipmap,
} from '../support/rdb.ts';

/** Loads one key `k` and checks it from the inside; returns the engine. */
function loaded(type: number, ...value: readonly Part[]): TestEngine {
  const engine = new TestEngine();
  expect(load(engine, pair(type, 'k', ...value))).toBe(1);
  verifyAll(engine);
  return engine;
}

/** The bulk strings of a reply. */
function strings(reply: string): string[] {
  return [...reply.matchAll(/\$\d+\r\n(.*?)\r\n/gs)].map((match) => match[1]);
}

function encoding(engine: TestEngine): string {
  return strings(engine.run('object', 'encoding', 'k'))[0];
}

function codeOf(...parts: readonly Part[]): string | undefined {
  const engine = new TestEngine();
  const error = rdbErrorOf(() => load(engine, bytes(...parts)));
  verifyAll(engine);
  return error?.code;
}

const LONG = 'x'.repeat(300);
const LONGER = 'y'.repeat(20_000);
const INTEGERS = [0, 12, 13, 127, 128, -1, -128, -129, 4095, -4096, 4096, 32767, -32768, 8388607, -8388608];
const WIDE = [2147483647n, -2147483648n, 2147483648n, 9223372036854775807n, -9223372036854775808n];
const MIXED = ['', 'a', ...INTEGERS, LONG, ...WIDE, 'b', LONGER, 'z'];

describe('strings', () => {
  it.each([
    [str('abc'), 'abc', 'embstr'],
    [str(''), '', 'embstr'],
    [str(LONG), LONG, 'raw'],
    [str('123'), '123', 'int'],
    [bytes(0xc0, 0x80), '-128', 'int'],
    [bytes(0xc1, 0xff, 0x7f), '32767', 'int'],
    [bytes(0xc2, 0, 0, 0, 0x80), '-2147483648', 'int'],
    [bytes(0x81, 0, 0, 0, 0, 0, 0, 0, 2, 'ab'), 'ab', 'embstr'],
    [literals(LONG), LONG, 'raw'],
    [bytes(0xc3, 6, 6, 2, 'abc', 0x20, 2), 'abcabc', 'embstr'],
    [bytes(0xc3, 5, 20, 0, 'a', 0xe0, 10, 0), 'a'.repeat(20), 'embstr'],
  ])('%#', (value, text, form) => {
    const engine = loaded(0, value);
    expect(engine.run('get', 'k')).toBe(`$${text.length}\r\n${text}\r\n`);
    expect(encoding(engine)).toBe(form);
  });

  it('long ones have a block of their own', () => {
    for (const size of [65536, 65537, 1_000_000]) {
      const text = 'q'.repeat(size);
      expect(loaded(0, str(text)).run('get', 'k')).toBe(`$${size}\r\n${text}\r\n`);
      expect(loaded(0, literals(text)).run('strlen', 'k')).toBe(`:${size}\r\n`);
    }
  });

  it('names of keys may be encoded too', () => {
    const engine = new TestEngine();
    expect(load(engine, bytes(0, 0xc0, 7, str('x'), 0, literals(LONG), 0xc0, 8, 0, 0xc1, 1, 1, literals(LONGER)))).toBe(
      3,
    );
    expect(engine.run('mget', '7', LONG, '257')).toBe(`*3\r\n$1\r\nx\r\n$1\r\n8\r\n$20000\r\n${LONGER}\r\n`);
    verifyAll(engine);
  });

  it('what cannot be is refused', () => {
    expect(codeOf(0, str('k'), 0xc4)).toBe('BAD_STRING');
    expect(codeOf(0, str('k'), 0x82)).toBe('BAD_STRING');
    expect(codeOf(0, str('k'), 0x81, 0x7f, 0, 0, 0, 0, 0, 0, 0)).toBe('BAD_STRING');
    expect(codeOf(0, str('k'), 0x80, 0x3f, 0, 0, 0)).toBe('TRUNCATED');
    // Literals beyond the end, a copy from before the beginning, another length than said, too great a gain.
    expect(codeOf(0, str('k'), 0xc3, 2, 4, 3, 'a')).toBe('BAD_STRING');
    expect(codeOf(0, str('k'), 0xc3, 4, 4, 0, 'a', 0x20, 1)).toBe('BAD_STRING');
    expect(codeOf(0, str('k'), 0xc3, 3, 4, 1, 'ab')).toBe('BAD_STRING');
    expect(codeOf(0, str('k'), 0xc3, 3, len(2 ** 30), 1, 'ab')).toBe('BAD_STRING');
  });
});

describe('lists', () => {
  const texts = MIXED.map(String);

  it.each([
    ['plain', 1, [len(MIXED.length), ...texts.map(str)]],
    ['ziplist', 10, [str(ziplist(...MIXED))]],
    ['quicklist', 14, [len(2), str(ziplist(...MIXED.slice(0, 5))), str(ziplist(...MIXED.slice(5)))]],
    [
      'quicklist2',
      18,
      [
        len(4),
        2,
        str(listpack(...MIXED.slice(0, 5))),
        2,
        str(listpack()),
        1,
        str(texts[5]),
        2,
        str(listpack(...MIXED.slice(6))),
      ],
    ],
  ] as const)('%s', (_, type, value) => {
    const engine = loaded(type, ...value);
    expect(strings(engine.run('lrange', 'k', 0, -1))).toEqual(texts);
    expect(encoding(engine)).toBe('quicklist');
  });

  it('short ones lie in their record', () => {
    for (const count of [1, 2, 126, 127, 128]) {
      const items = Array.from({ length: count }, (_, i) => (i % 10 === 0 ? '' : String(i % 10)));
      for (const value of [
        [1, len(count), ...items.map(str)],
        [18, 1, 2, str(listpack(...items))],
      ] as const) {
        const [type, ...rest] = value;
        expect(strings(loaded(type, ...rest).run('lrange', 'k', 0, -1))).toEqual(items);
      }
    }
  });

  it('a node of more elements than a ziplist or listpack can count', () => {
    const items = Array.from({ length: 70_000 }, (_, i) => i);
    expect(loaded(18, 1, 2, str(listpack(...items))).run('llen', 'k')).toBe(':70000\r\n');
    expect(loaded(10, str(ziplist(...items))).run('lindex', 'k', -1)).toBe('$5\r\n69999\r\n');
  });
});

describe('hashes', () => {
  const pairs: [string, string][] = [
    ['a', '1'],
    ['', 'x'],
    ['f', ''],
    ['-12', 'y'.repeat(64)],
  ];

  it.each([
    ['plain', 4, [len(4), ...pairs.flat().map(str)], 'listpack'],
    ['zipmap', 9, [str(zipmap(pairs))], 'listpack'],
    ['zipmap with room', 9, [str(zipmap(pairs, 3))], 'listpack'],
    ['ziplist', 13, [str(ziplist('a', 1, '', 'x', 'f', '', -12, 'y'.repeat(64)))], 'listpack'],
    ['listpack', 16, [str(listpack('a', 1, '', 'x', 'f', '', -12, 'y'.repeat(64)))], 'listpack'],
    [
      'compressed listpack',
      16,
      [literals(listpack('a', 1, '', 'x', 'f', '', -12, 'y'.repeat(64)).toString('latin1'))],
      'listpack',
    ],
  ] as const)('%s', (_, type, value, form) => {
    const engine = loaded(type, ...value);
    expect(strings(engine.run('hgetall', 'k'))).toEqual(pairs.flat());
    expect(encoding(engine)).toBe(form);
  });

  it.each([
    [512, 64, 'listpack', 'listpack', 'listpack'],
    [513, 1, 'hashtable', 'hashtable', 'hashtable'],
    // What came packed stays packed; a zipmap and strings of their own are measured.
    [2, 65, 'hashtable', 'hashtable', 'listpack'],
    [2, 300, 'hashtable', 'hashtable', 'listpack'],
  ])('%i fields of %i bytes', (count, size, plain, map, packed) => {
    const items: [string, string][] = Array.from({ length: count }, (_, i) => [`f${i}`, `${i}`.padEnd(size, 'v')]);
    const flat = items.flat();
    for (const [form, type, value] of [
      [plain, 4, bytes(len(count), ...flat.map(str))],
      [map, 9, str(zipmap(items))],
      [packed, 13, str(ziplist(...flat))],
      [packed, 16, str(listpack(...flat))],
    ] as const) {
      const engine = loaded(type, value);
      expect(encoding(engine)).toBe(form);
      expect(strings(engine.run('hgetall', 'k')).sort()).toEqual([...flat].sort());
      expect(engine.run('hset', 'k', 'more', 'x'.repeat(70))).toBe(':1\r\n');
      expect(engine.run('hlen', 'k')).toBe(`:${count + 1}\r\n`);
      verifyAll(engine);
    }
  });

  it('the same field twice is refused, whatever the form', () => {
    const twice = ['a', '1', 'b', '2', 'a', '3'];
    expect(codeOf(pair(4, 'k', 3, ...twice.map(str)))).toBe('BAD_VALUE');
    expect(codeOf(pair(16, 'k', str(listpack(...twice))))).toBe('BAD_VALUE');
    const many = Array.from({ length: 600 }, (_, i) => [`f${i % 599}`, 'v']).flat();
    expect(codeOf(pair(4, 'k', len(600), ...many.map(str)))).toBe('BAD_VALUE');
    expect(codeOf(pair(16, 'k', str(listpack(...many))))).toBe('BAD_VALUE');
    // A field may be spelled as some value is.
    expect(codeOf(pair(16, 'k', str(listpack('a', 'b', 'b', 'a'))))).toBeUndefined();
  });

  it('a field without a value is refused', () => {
    expect(codeOf(pair(16, 'k', str(listpack('a', '1', 'b'))))).toBe('BAD_VALUE');
    expect(codeOf(pair(13, 'k', str(ziplist('a'))))).toBe('BAD_VALUE');
    expect(codeOf(pair(9, 'k', str([1, 1, 97, 0xff])))).toBe('BAD_VALUE');
  });
});

describe('sets', () => {
  it.each([
    ['plain', 2, [len(3), str('a'), str('b'), str('')], ['', 'a', 'b'], 'hashtable'],
    ['plain integers', 2, [len(3), str('30'), 0xc0, 0xff, str('2')], ['-1', '2', '30'], 'intset'],
    ['no number by the strict rule', 2, [len(2), str('1'), str('01')], ['01', '1'], 'hashtable'],
    ['listpack', 20, [str(listpack('a', 5, -70000))], ['-70000', '5', 'a'], 'hashtable'],
    ['intset of 2 bytes', 11, [str(intset(2, -300, 0, 7))], ['-300', '0', '7'], 'intset'],
    ['intset of 4 bytes', 11, [str(intset(4, -70000, 2147483647))], ['-70000', '2147483647'], 'intset'],
    [
      'intset of 8 bytes',
      11,
      [str(intset(8, -(2n ** 63n), -1, 5, 2n ** 63n - 1n))],
      ['-1', '-9223372036854775808', '5', '9223372036854775807'],
      'intset',
    ],
  ] as const)('%s', (_, type, value, members, form) => {
    const engine = loaded(type, ...value);
    expect(strings(engine.run('smembers', 'k')).sort()).toEqual(members);
    expect(encoding(engine)).toBe(form);
    for (const member of members) expect(engine.run('sismember', 'k', member)).toBe(':1\r\n');
  });

  it.each([512, 513])('%i integers', (count) => {
    const integers = Array.from({ length: count }, (_, i) => i * 3 - 500);
    for (const value of [
      bytes(11, str('k'), str(intset(4, ...integers))),
      bytes(2, str('k'), len(count), ...integers.map((n) => str(`${n}`))),
    ]) {
      const engine = new TestEngine();
      load(engine, value);
      verifyAll(engine);
      expect(encoding(engine)).toBe(count === 512 ? 'intset' : 'hashtable');
      expect(
        strings(engine.run('smembers', 'k'))
          .map(Number)
          .sort((a, b) => a - b),
      ).toEqual(integers);
    }
  });

  it.each([1, 32, 33, 600])('%i words', (count) => {
    const words = Array.from({ length: count }, (_, i) => `w${i}`).sort();
    expect(strings(loaded(2, len(count), ...words.map(str)).run('smembers', 'k')).sort()).toEqual(words);
    expect(strings(loaded(20, str(listpack(...words))).run('smembers', 'k')).sort()).toEqual(words);
  });

  it('the same member twice, and integers out of order, are refused', () => {
    expect(codeOf(pair(2, 'k', 3, str('a'), str('b'), str('a')))).toBe('BAD_VALUE');
    expect(codeOf(pair(2, 'k', 3, str('1'), str('2'), 0xc0, 1))).toBe('BAD_VALUE');
    expect(codeOf(pair(20, 'k', str(listpack('a', 'b', 'b'))))).toBe('BAD_VALUE');
    const many = Array.from({ length: 600 }, (_, i) => str(`m${i % 599}`));
    expect(codeOf(pair(2, 'k', len(600), ...many))).toBe('BAD_VALUE');
    expect(codeOf(pair(11, 'k', str(intset(2, 5, 4))))).toBe('BAD_VALUE');
    expect(codeOf(pair(11, 'k', str(intset(8, 1, 1))))).toBe('BAD_VALUE');
    expect(codeOf(pair(11, 'k', str(bytes(u32(3), u32(0)))))).toBe('BAD_VALUE');
    expect(codeOf(pair(11, 'k', str(bytes(u32(2), u32(0xffffffff), 0, 0))))).toBe('BAD_VALUE');
  });
});

describe('sorted sets', () => {
  const entries: [string, string][] = [
    ['min', '-inf'],
    ['a', '-1.5'],
    ['b', '0'],
    ['c', '0'],
    ['d', '3'],
    ['e', '1e+22'],
    ['max', 'inf'],
  ];
  const flat = entries.flat();
  const infinite: Record<string, number> = { inf: Number.POSITIVE_INFINITY, '-inf': Number.NEGATIVE_INFINITY };
  const score = (text: string): number => infinite[text] ?? Number(text);
  const asText = ([member, text]: [string, string]): Buffer => {
    if (text === 'inf') return bytes(str(member), 254);
    return text === '-inf' ? bytes(str(member), 255) : bytes(str(member), text.length, text);
  };

  it.each([
    ['scores as text', 3, [len(7), ...entries.map(asText)]],
    [
      'binary scores, the greatest first',
      5,
      [len(7), ...[...entries].reverse().map(([m, s]) => bytes(str(m), f64(score(s))))],
    ],
    [
      'in no order',
      5,
      [len(7), ...[3, 0, 6, 2, 5, 1, 4].map((i) => bytes(str(entries[i][0]), f64(score(entries[i][1]))))],
    ],
    ['ziplist', 12, [str(ziplist('min', '-inf', 'a', '-1.5', 'b', 0, 'c', '0', 'd', 3, 'e', '1e+22', 'max', 'inf'))]],
    ['listpack', 17, [str(listpack('min', '-inf', 'a', '-1.5', 'b', 0, 'c', '0', 'd', 3, 'e', '1e+22', 'max', 'inf'))]],
  ] as const)('%s', (_, type, value) => {
    const engine = loaded(type, ...value);
    expect(strings(engine.run('zrange', 'k', 0, -1, 'withscores'))).toEqual(flat);
    expect(encoding(engine)).toBe('listpack');
  });

  it.each([
    [128, 64, 'listpack', 'listpack'],
    [129, 1, 'skiplist', 'skiplist'],
    [2, 65, 'skiplist', 'listpack'],
    [2, 300, 'skiplist', 'listpack'],
  ])('%i members of %i bytes', (count, size, plain, packed) => {
    const members = Array.from({ length: count }, (_, i) => `${i}`.padStart(size, '0'));
    for (const [form, type, value] of [
      [plain, 5, bytes(len(count), ...members.map((m, i) => bytes(str(m), f64(i * 2))))],
      [plain, 3, bytes(len(count), ...members.map((m, i) => bytes(str(m), `${i * 2}`.length, `${i * 2}`)))],
      [packed, 12, str(ziplist(...members.flatMap((m, i) => [m, i * 2])))],
      [packed, 17, str(listpack(...members.flatMap((m, i) => [m, i * 2])))],
    ] as const) {
      const engine = loaded(type, value);
      expect(encoding(engine)).toBe(form);
      expect(strings(engine.run('zrange', 'k', 0, -1))).toEqual(members);
      expect(engine.run('zrank', 'k', members[count - 1])).toBe(`:${count - 1}\r\n`);
      expect(engine.run('zadd', 'k', 1, 'z'.repeat(70))).toBe(':1\r\n');
      expect(engine.run('zcard', 'k')).toBe(`:${count + 1}\r\n`);
      verifyAll(engine);
    }
  });

  it('scores that are no numbers, the same member twice, and a member without a score are refused', () => {
    expect(codeOf(pair(3, 'k', 1, str('a'), 253))).toBe('BAD_VALUE');
    expect(codeOf(pair(3, 'k', 1, str('a'), 2, '1x'))).toBe('BAD_VALUE');
    expect(codeOf(pair(5, 'k', 1, str('a'), f64(Number.NaN)))).toBe('BAD_VALUE');
    expect(codeOf(pair(17, 'k', str(listpack('a', 'nan'))))).toBe('BAD_VALUE');
    expect(codeOf(pair(17, 'k', str(listpack('a', 1, 'a', 2))))).toBe('BAD_VALUE');
    expect(codeOf(pair(5, 'k', 2, str('a'), f64(1), str('a'), f64(2)))).toBe('BAD_VALUE');
    const many = Array.from({ length: 200 }, (_, i) => bytes(str(`m${i % 199}`), f64(i)));
    expect(codeOf(pair(5, 'k', len(200), ...many))).toBe('BAD_VALUE');
    expect(codeOf(pair(17, 'k', str(listpack('a', 1, 'b'))))).toBe('BAD_VALUE');
  });
});

describe('streams', () => {
  /** Two nodes: 5-1 {f: v, g: 7}; 6-0 deleted; 8-3 {other: x} | 2^32-9 {f: -1}, 2^32-10 deleted. */
  const nodes = bytes(
    len(2),
    str(rawId(5, 1)),
    str(listpack(2, 1, 2, 'f', 'g', 0, 2, 0, 0, 'v', 7, 5, 3, 1, -1, 'w', 8, 5, 0, 3, 2, 1, 'other', 'x', 6)),
    str(rawId(2 ** 32, 9)),
    literals(listpack(1, 1, 1, 'f', 0, 2, 0, 0, -1, 4, 3, 0, 1, 'gone', 4).toString('latin1')),
  );
  const last = bytes(len(2 ** 32), len(12));
  const groups = (newer: boolean, active: boolean): Buffer =>
    bytes(
      len(2),
      bytes(str('one'), len(5), len(1), newer ? len(2n ** 64n - 1n) : ''),
      bytes(len(1), rawId(5, 1), i64(1234), len(3)),
      bytes(len(1), str('consumer'), i64(55), active ? i64(56) : '', len(1), rawId(5, 1)),
      bytes(str('two'), len(0), len(0), newer ? len(0) : '', len(0), len(0)),
    );
  const extra = bytes(len(5), len(1), len(6), len(0), len(2n ** 33n + 5n));

  function check(engine: TestEngine, deleted: string, added: string): void {
    expect(strings(engine.run('xrange', 'k', '-', '+'))).toEqual([
      ...['5-1', 'f', 'v', 'g', '7'],
      ...['8-3', 'other', 'x'],
      ...['4294967296-9', 'f', '-1'],
    ]);
    const info = engine.run('xinfo', 'stream', 'k');
    expect(info).toContain('length\r\n:3\r\n');
    expect(info).toContain('last-generated-id\r\n$13\r\n4294967296-12\r\n');
    expect(info).toContain(`max-deleted-entry-id\r\n$3\r\n${deleted}\r\n`);
    expect(info).toContain(`entries-added\r\n:${added}\r\n`);
    expect(info).toContain('recorded-first-entry-id\r\n$3\r\n5-1\r\n');
    expect(info).toContain('radix-tree-keys\r\n:2\r\n');
  }

  it('of the first version', () => {
    check(loaded(15, nodes, len(3), last, groups(false, false)), '0-0', '3');
  });

  it('of the second and third version, with groups, which are counted', () => {
    for (const type of [19, 21]) {
      const engine = new TestEngine();
      const report = new LoadReport();
      load(engine, pair(type, 'k', nodes, len(3), last, extra, groups(true, type === 21)), { report });
      verifyAll(engine);
      check(engine, '6-0', '8589934597');
      expect(report.skippedGroups).toBe(2);
    }
  });

  it('deleted entries of the last node count when it is full', () => {
    const deleted = Array.from({ length: 60 }, (_, i) => [3, i, 0, 1, 4]).flat();
    const live = Array.from({ length: 39 }, (_, i) => [2, 60 + i, 0, 1, 4]).flat();
    const body = str(listpack(39, 60, 1, 'f', 0, ...deleted, ...live));
    const engine = loaded(19, 1, str(rawId(1, 0)), body, len(39), len(99), len(0), Buffer.alloc(4), len(99), 0);
    expect(engine.run('xinfo', 'stream', 'k')).toContain('radix-tree-keys\r\n:1\r\n');
    engine.run('xadd', 'k', '100-0', 'f', '1');
    expect(engine.run('xinfo', 'stream', 'k')).toContain('radix-tree-keys\r\n:1\r\n');
    engine.run('xadd', 'k', '101-0', 'f', '1');
    expect(engine.run('xinfo', 'stream', 'k')).toContain('radix-tree-keys\r\n:2\r\n');
    verifyAll(engine);
  });

  it('may be empty', () => {
    const engine = loaded(19, 0, 0, len(7), len(8), 0, 0, len(7), len(8), len(4), 0);
    expect(engine.run('xlen', 'k')).toBe(':0\r\n');
    expect(engine.run('xadd', 'k', '7-8', 'f', 'v')).toMatch(/^-ERR/);
    expect(engine.run('xadd', 'k', '7-*', 'f', 'v')).toBe('$3\r\n7-9\r\n');
  });

  it.each([
    ['another length', [nodes, len(4), last, 0]],
    ['a last id before the last entry', [nodes, len(3), len(8), len(3), 0]],
    ['a node id that is none', [1, str('id'), str(listpack(1, 0, 1, 'f', 0, 2, 0, 0, 1, 4)), 1, len(9), 0, 0]],
    [
      'nodes out of order',
      [2, ...[9, 5].flatMap((t) => [str(rawId(t, 0)), str(listpack(1, 0, 1, 'f', 0, 2, 0, 0, 1, 4))]), 2, len(9), 0, 0],
    ],
    [
      'entries out of order',
      [1, str(rawId(1, 0)), str(listpack(2, 0, 1, 'f', 0, 2, 0, 0, 1, 4, 2, 0, 0, 1, 4)), 2, 1, 0, 0],
    ],
    ['the id 0-0', [1, str(rawId(0, 0)), str(listpack(1, 0, 1, 'f', 0, 2, 0, 0, 1, 4)), 1, 9, 0, 0]],
    ['an entry of another length', [1, str(rawId(1, 0)), str(listpack(1, 0, 1, 'f', 0, 2, 0, 0, 1, 5)), 1, 1, 0, 0]],
    ['an entry without fields', [1, str(rawId(1, 0)), str(listpack(1, 0, 0, 0, 2, 0, 0, 3)), 1, 1, 0, 0]],
    ['other counts', [1, str(rawId(1, 0)), str(listpack(0, 1, 1, 'f', 0, 2, 0, 0, 1, 4)), 1, 1, 0, 0]],
    ['half an entry', [1, str(rawId(1, 0)), str(listpack(1, 0, 1, 'f', 0, 2, 0)), 1, 1, 0, 0]],
    ['more fields than elements', [1, str(rawId(1, 0)), str(listpack(1, 0, 2 ** 31 - 1, 'f', 0)), 1, 1, 0, 0]],
    ['an id that is no number', [1, str(rawId(1, 0)), str(listpack(1, 0, 1, 'f', 0, 2, 'x', 0, 1, 4)), 1, 1, 0, 0]],
    ['no entries in a node', [1, str(rawId(1, 0)), str(listpack(0, 0, 1, 'f', 0)), 0, 1, 0, 0]],
  ] as const)('%s is refused', (_, value) => {
    expect(codeOf(pair(15, 'k', ...value))).toBe('BAD_VALUE');
  });
});

describe('packed bytes that cannot be', () => {
  const good = listpack('ab', 5, LONG);
  const old = ziplist('ab', 5, LONG, LONG);
  const changed = (from: Uint8Array, at: number, value: number): Buffer => {
    const copy = Buffer.from(from);
    copy[at] = value;
    return copy;
  };

  it.each([
    ['another size', changed(good, 0, 1)],
    ['another count', changed(good, 4, 4)],
    ['no end', changed(good, good.length - 1, 0)],
    ['an unknown element', changed(good, 6, 0xf7)],
    ['the end mark as an element', changed(good, 6, 0xff)],
    ['another length backwards', changed(good, 9, 4)],
    ['another long length backwards', changed(good, good.length - 2, 0x81)],
    ['an element beyond the end', changed(good, 12, 0xef)],
    ['a header alone', good.subarray(0, 6)],
    ['nothing', bytes()],
  ])('listpack: %s', (_, blob) => {
    expect(codeOf(pair(18, 'k', 1, 2, str(blob)))).toBe('BAD_VALUE');
  });

  it.each([
    ['another size', changed(old, 0, 1)],
    ['another last entry', changed(old, 4, 11)],
    ['another count', changed(old, 8, 3)],
    ['no end', changed(old, old.length - 1, 0)],
    ['another length before', changed(old, 14, 5)],
    ['the end mark as an entry', changed(old, 10, 0xff)],
    ['an unknown entry', changed(old, 11, 0xc1)],
    ['an entry beyond the end', changed(old, 11, 0x7f)],
    ['a header alone', old.subarray(0, 10)],
  ])('ziplist: %s', (_, blob) => {
    expect(codeOf(pair(10, 'k', str(blob)))).toBe('BAD_VALUE');
  });

  it.each([
    ['another count', bytes(2, 1, 'a', 1, 0, 'b', 0xff)],
    ['no end', bytes(1, 1, 'a', 1, 0, 'b')],
    ['an entry beyond the end', bytes(1, 1, 'a', 9, 0, 'b', 0xff)],
    ['room beyond the end', bytes(1, 1, 'a', 1, 9, 'b', 0xff)],
    ['an end before the end', bytes(1, 0xff, 'a', 1, 0, 'b', 0xff)],
    ['a long length beyond the end', bytes(1, 0xfe, 1, 0, 0, 0xff)],
  ])('zipmap: %s', (_, blob) => {
    expect(codeOf(pair(9, 'k', str(blob)))).toBe('BAD_VALUE');
  });

  it('an element that reaches over the end mark to what looks like its length', () => {
    expect(codeOf(pair(18, 'k', 1, 2, str(bytes(u32(10), u16(1), 0x83, 'a', 2, 0xff))), 4)).toBe('BAD_VALUE');
  });

  it('an unknown kind of list node', () => {
    expect(codeOf(pair(18, 'k', 1, 3, str('x')))).toBe('BAD_VALUE');
  });

  it('an unknown count is counted', () => {
    const blob = Buffer.from(listpack('a', 'b'));
    blob.set(u16(65535), 4);
    expect(loaded(18, 1, 2, str(blob)).run('llen', 'k')).toBe(':2\r\n');
    const pairs = Buffer.from(zipmap([['a', 'b']]));
    pairs[0] = 254;
    expect(loaded(9, str(pairs)).run('hlen', 'k')).toBe(':1\r\n');
  });
});

describe('items', () => {
  it('databases, expiries, and all that is no key', () => {
    const engine = new TestEngine();
    engine.nowMs = 1_700_000_000_000;
    const report = new LoadReport();
    const content = bytes(
      bytes(0xfa, str('redis-ver'), str('7.0.15'), 0xfa, str('ctime'), 0xc2, u32(1_600_000_000)),
      bytes(
        0xf5,
        str('#!lua name=x'),
        0xf6,
        str('name'),
        str('lua'),
        1,
        str('text'),
        str('code'),
        0xf6,
        str('n'),
        str('l'),
        0,
        str('c'),
      ),
      bytes(
        0xf7,
        len(2n ** 63n + 5n),
        2,
        7,
        5,
        str('s'),
        3,
        Buffer.alloc(4),
        4,
        Buffer.alloc(8),
        1,
        len(2n ** 64n - 1n),
        0,
      ),
      bytes(0xfe, 3, 0xfb, 2, 1, 0xfc, i64(1_800_000_000_000), pair(0, 'a', str('1'))),
      bytes(0xfd, u32(1_900_000_000), 0xf8, len(1000), pair(0, 'b', str('2'))),
      bytes(0xf9, 200, pair(0, 'c', str('3'))),
      bytes(0xfe, 0, pair(0, 'a', str('4'))),
      0xff,
      'never read',
    );
    expect(load(engine, content, { report })).toBe(4);
    verifyAll(engine);
    expect(report.facts).toEqual(
      new Map([
        ['redis-ver', '7.0.15'],
        ['ctime', '1600000000'],
      ]),
    );
    expect([report.keys, report.skippedFunctions, report.skippedModuleData]).toEqual([4, 3, 1]);
    engine.call.db = 3;
    expect(engine.run('mget', 'a', 'b', 'c')).toBe('*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n');
    expect(engine.run('pexpiretime', 'a')).toBe(':1800000000000\r\n');
    expect(engine.run('pexpiretime', 'b')).toBe(':1900000000000\r\n');
    expect(engine.run('pexpiretime', 'c')).toBe(':-1\r\n');
    // 'b' was just used by MGET, so it is loaded once more to be asked.
    engine.run('del', 'b');
    load(engine, bytes(0xfe, 3, 0xf8, len(1000), pair(0, 'b', str('2'))));
    engine.call.db = 3;
    expect(['999', '1000']).toContain(engine.run('object', 'idletime', 'b').slice(1, -2));
    engine.call.db = 0;
    expect(engine.run('get', 'a')).toBe('$1\r\n4\r\n');
  });

  it('frequency of use, under a policy that counts it', () => {
    const engine = new TestEngine();
    engine.settings.set('maxmemory-policy', 3);
    load(engine, bytes(0xf9, 200, pair(0, 'c', str('3'))));
    expect(engine.run('object', 'freq', 'c')).toBe(':200\r\n');
  });

  it('expired keys of every type are left out when that is asked for', () => {
    const gone = bytes(0xfc, i64(1000));
    const stream = bytes(1, str(rawId(5, 1)), str(listpack(1, 0, 1, 'f', 0, 2, 0, 0, 'v', 4)), 1, 5, 1);
    const values: [number, Buffer][] = [
      [0, str('x')],
      [0, bytes(0xc1, 1, 2)],
      [0, literals(LONG)],
      [1, bytes(2, str('a'), 0xc0, 1)],
      [2, bytes(1, str('a'))],
      [3, bytes(2, str('a'), 1, '5', str('b'), 254)],
      [4, bytes(1, str('a'), str('b'))],
      [5, bytes(1, str('a'), f64(1))],
      [9, str(zipmap([['a', 'b']]))],
      [10, str(ziplist('a'))],
      [11, str(intset(2, 1))],
      [12, str(ziplist('a', 1))],
      [13, str(ziplist('a', 1))],
      [14, bytes(1, str(ziplist('a')))],
      [15, bytes(stream, 1, str('g'), 0, 0, 1, rawId(5, 1), i64(1), 1, 1, str('c'), i64(1), 1, rawId(5, 1))],
      [16, str(listpack('a', 1))],
      [17, str(listpack('a', 1))],
      [18, bytes(2, 2, str(listpack('a')), 1, str('b'))],
      [19, bytes(stream, 0, 0, 0, 0, 1, 0)],
      [20, str(listpack('a'))],
      [21, bytes(stream, 0, 0, 0, 0, 1, 1, str('g'), 0, 0, 0, 0, 1, str('c'), i64(1), i64(1), 0)],
    ];
    const engine = new TestEngine();
    const report = new LoadReport();
    const content = bytes(
      ...values.map(([type, value], i) => bytes(gone, pair(type, `k${i}`, value))),
      pair(0, 'z', str('1')),
    );
    expect(load(engine, content, { dropExpired: true, report })).toBe(1);
    expect([report.expired, report.skippedGroups]).toEqual([values.length, 0]);
    expect(load(new TestEngine(), content)).toBe(values.length + 1);
  });

  it('empty collections of a file are left out', () => {
    const report = new LoadReport();
    const engine = new TestEngine();
    const empty: [number, Buffer][] = [
      [1, bytes(0)],
      [2, bytes(0)],
      [3, bytes(0)],
      [4, bytes(0)],
      [5, bytes(0)],
      [9, str(zipmap([]))],
      [10, str(ziplist())],
      [11, str(intset(2))],
      [12, str(ziplist())],
      [13, str(ziplist())],
      [14, bytes(1, str(ziplist()))],
      [16, str(listpack())],
      [17, str(listpack())],
      [18, bytes(1, 2, str(listpack()))],
      [20, str(listpack())],
    ];
    expect(load(engine, bytes(...empty.map(([type, value], i) => pair(type, `k${i}`, value))), { report })).toBe(0);
    expect(report.emptyKeys).toBe(empty.length);
    verifyAll(engine);
  });

  it('what cannot be loaded is named', () => {
    const message = (...parts: Part[]): string =>
      rdbErrorOf(() => load(new TestEngine(), bytes(...parts)))?.message ?? '';
    expect(message(pair(0, 'twice', str('1')), pair(1, 'twice', 1, str('a')))).toContain('"twice" is there already');
    expect(message(pair(7, 'bloom\x01', len(5)))).toMatch(/"bloom\\x01" has type 7.*module/);
    expect(message(pair(6, 'm', len(5)))).toMatch(/"m" has type 6.*module/);
    expect(message(pair(0, 'a', str('1')), pair(22, 'new', 1))).toMatch(
      /^RDB, byte 10: .*"new" has the unknown type 22/,
    );
    expect(message(8, 0xff)).toContain('unknown type or opcode 8');
    expect(message(0xf4, 1, 1, 1)).toContain('244');
    expect(message(0xfe, 16)).toContain('database 16, of 16');
    expect(codeOf(0xfe, 16)).toBe('BAD_DATABASE');
    expect(codeOf(pair(0, 'a', str('1')), pair(0, 'a', str('1')))).toBe('DUPLICATE_KEY');
    expect(codeOf(pair(0, 'a', str('1')), 0xfe, 1, pair(0, 'a', str('1')))).toBeUndefined();
    expect(codeOf(0xf7, 1, 9)).toBe('BAD_VALUE');
  });
});

describe('loadValue', () => {
  it('makes the key in an argument', () => {
    const engine = new TestEngine();
    const { call } = engine;
    engine.nowMs = 1_000_000;
    for (const [type, value] of [
      [0, str('x')],
      [0, str('y'.repeat(100_000))],
      [16, str(listpack('a', 1))],
      [1, bytes(1, str('e'))],
      [5, bytes(1, str('m'), f64(1))],
      [2, bytes(1, str('m'))],
      [15, bytes(0, 0, 1, 1, 0)],
    ] as const) {
      engine.run('del', 'the-key');
      const input = new RdbInput(value);
      // The arguments of RESTORE, as the run before has left them.
      engine.run('exists', 'the-key');
      loadValue(call, 1, type, input, 2_000_000);
      expect(input.at).toBe(value.length);
      expect(engine.run('pexpiretime', 'the-key')).toBe(':2000000\r\n');
      verifyAll(engine);
    }
  });

  it('an empty collection is an error, and makes no key', () => {
    const engine = new TestEngine();
    engine.run('exists', 'k');
    expect(rdbErrorOf(() => loadValue(engine.call, 1, 4, new RdbInput(bytes(0)), 0))?.code).toBe('EMPTY_VALUE');
    expect(rdbErrorOf(() => loadValue(engine.call, 1, 99, new RdbInput(bytes(0)), 0))?.code).toBe('UNKNOWN_TYPE');
    expect(engine.run('exists', 'k')).toBe(':0\r\n');
  });
});

describe('files', () => {
  it('keys that straddle pieces, of any size', () => {
    const items: Buffer[] = [];
    for (let i = 0; i < 2000; i++) items.push(pair(0, `key:${i}`, str('v'.repeat((i * 37) % 9000))));
    items.push(bytes(0xfe, 2), pair(0, 'huge', str('h'.repeat(11_000_000))));
    items.push(
      pair(
        4,
        'hash',
        len(60_000),
        ...Array.from({ length: 60_000 }, (_, i) => bytes(str(`f${i}`), str('w'.repeat(90)))),
      ),
    );
    items.push(pair(0, 'last', str('1')));
    const content = file(...items);
    const engine = new TestEngine();
    const reader = loadFile(engine, memorySource(content, 1_000_000));
    verifyAll(engine);
    expect(reader.report.keys).toBe(2003);
    expect(reader.version).toBe(11);
    expect(reader.doneBytes).toBe(reader.sizeBytes);
    expect(engine.run('strlen', 'key:1999')).toBe(`:${(1999 * 37) % 9000}\r\n`);
    engine.call.db = 2;
    expect(engine.run('strlen', 'huge')).toBe(':11000000\r\n');
    expect(engine.run('hlen', 'hash')).toBe(':60000\r\n');
    expect(engine.run('get', 'last')).toBe('$1\r\n1\r\n');
  });

  it('a step ends when its time is over, and says how far it is', () => {
    const content = file(...Array.from({ length: 5000 }, (_, i) => pair(0, `k${i}`, str('v'))));
    const engine = new TestEngine();
    engine.call.setClock(1);
    const reader = new RdbFile(memorySource(content));
    let steps = 0;
    for (let done = 0; reader.step(engine.call, 0); steps++) {
      expect(reader.doneBytes).toBeGreaterThan(done);
      done = reader.doneBytes;
      // Other commands in between may use another database.
      engine.call.db = 5;
    }
    expect(steps).toBeGreaterThan(50);
    engine.call.db = 0;
    expect(engine.run('dbsize')).toBe(':5000\r\n');
  });

  it('headers and checksums', () => {
    const code = (content: Uint8Array): string | undefined =>
      rdbErrorOf(() => loadFile(new TestEngine(), memorySource(content)))?.code;
    const empty = bytes('REDIS0006', 0xff, [0xdc, 0xb3, 0x43, 0xf0, 0x5a, 0xdc, 0xf2, 0x56]);
    expect(code(empty)).toBeUndefined();
    expect(code(bytes('REDIS0004', 0xff))).toBeUndefined();
    expect(code(bytes('REDIS0006', 0xff, Buffer.alloc(8)))).toBeUndefined();
    for (let bit = 0; bit < 64; bit++) {
      const wrong = Buffer.from(empty);
      wrong[10 + (bit >>> 3)] ^= 1 << (bit & 7);
      expect(code(wrong)).toBe('CHECKSUM');
    }
    expect(code(bytes('REDIS0012', 0xff, Buffer.alloc(8)))).toBe('VERSION');
    expect(code(bytes('REDIS0000', 0xff, Buffer.alloc(8)))).toBe('VERSION');
    expect(code(bytes('REDIS00x1', 0xff, Buffer.alloc(8)))).toBe('NOT_RDB');
    expect(code(bytes('VALKEY080', 0xff, Buffer.alloc(8)))).toBe('NOT_RDB');
    expect(code(bytes('REDIS'))).toBe('NOT_RDB');
    expect(code(bytes('REDIS0006'))).toBe('TRUNCATED');
    expect(code(bytes('REDIS0006', 0xff, 1, 2))).toBe('TRUNCATED');
    expect(code(bytes('REDIS0006', pair(0, 'k', 0x80, 0x20, 0, 0, 0)))).toBe('TRUNCATED');
  });

  it('the checksum of a file of several pieces', () => {
    const body = file(...Array.from({ length: 1500 }, (_, i) => pair(0, `key:${i}`, str('v'.repeat(9000))))).subarray(
      0,
      -8,
    );
    const crc = new Crc64();
    crc.update(body, 0, body.length);
    const whole = bytes(body, u32(crc.low >>> 0), u32(crc.high >>> 0));
    const read = (content: Uint8Array): string | undefined =>
      rdbErrorOf(() => loadFile(new TestEngine(), memorySource(content)))?.code;
    expect(read(whole)).toBeUndefined();
    for (const at of [5000, 6_000_000, body.length - 5000]) {
      const changed = Buffer.from(whole);
      changed[at] = 'w'.charCodeAt(0);
      expect(read(changed)).toBe('CHECKSUM');
    }
  });

  it('the source is closed when the header is not good', () => {
    let closed = 0;
    const source = { ...memorySource(bytes('REDIS0099')), close: () => closed++ };
    expect(rdbErrorOf(() => new RdbFile(source))?.code).toBe('VERSION');
    expect(closed).toBe(1);
  });

  it('an error says where in the file it is', () => {
    const many = Array.from({ length: 1000 }, (_, i) => pair(0, `key:${i}`, str('v'.repeat(9000))));
    const before = bytes('REDIS0011', ...many);
    const error = rdbErrorOf(() => loadFile(new TestEngine(), memorySource(bytes(before, 77, 1, 'k', 0xff))));
    expect([error?.code, error?.offset]).toEqual(['UNKNOWN_TYPE', before.length + 3]);
  });

  it('a file that shrinks while it is read', () => {
    const content = file(...Array.from({ length: 1000 }, (_, i) => pair(0, `key:${i}`, str('v'.repeat(9000)))));
    const source = memorySource(content.subarray(0, 6_000_000));
    const error = rdbErrorOf(() => loadFile(new TestEngine(), { ...source, sizeBytes: content.length }));
    expect(error?.code).toBe('TRUNCATED');
  });
});
