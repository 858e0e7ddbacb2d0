/**
 * RDB bytes that were changed: cut at every place, with bytes changed at random, with parts exchanged. Each must load or
 * give an RdbError, leave sound arenas behind, and no block that no key owns.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { ArenaFullError } from '../../engine/alloc.ts';
import { Random } from '../../engine/random.ts';
import { loadValue } from '../../engine/rdb/decode.ts';
import { RdbError } from '../../engine/rdb/errors.ts';
import { RdbInput } from '../../engine/rdb/input.ts';
import { TestEngine } from '../support/engine.ts';
import {
  bytes,
  bytesWithoutKeys,
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
  pair,
  rawId,
  rdbErrorOf,
  str,
  verifyAll,
  ziplist,
  zipmap,
} from '../support/rdb.ts';

const ROUNDS = 2500;

const words = Array.from({ length: 40 }, (_, i) => `w${i}`);
const texts = words.map((word) => str(word));
const node = str(listpack(2, 1, 2, 'f', 'g', 0, 2, 0, 0, 'v', 7, 5, 3, 1, -1, 'w', 8, 5, 0, 3, 2, 1, 'other', 'x', 6));
const group = bytes(1, str('g'), 5, 1, 2, 1, rawId(5, 1), i64(9), 3, 1, str('c'), i64(5), 1, rawId(5, 1));

/** One value of every type, short and long. */
const VALUES: readonly (readonly [number, Buffer])[] = [
  [0, str('plain')],
  [0, bytes(0xc2, 1, 2, 3, 4)],
  [0, literals('z'.repeat(90))],
  [0, bytes(0xc3, 5, 20, 0, 'a', 0xe0, 10, 0)],
  [0, str('l'.repeat(70_000))],
  [1, bytes(len(40), ...texts)],
  [1, bytes(len(4), str('q'.repeat(200)), str('r'.repeat(200)), 0xc0, 1, literals('s'.repeat(50)))],
  [2, bytes(len(40), ...texts)],
  [2, bytes(3, 0xc0, 1, 0xc0, 2, 0xc0, 3)],
  [3, bytes(3, str('a'), 3, '1.5', str('b'), 254, str('c'), 255)],
  [4, bytes(3, ...texts.slice(0, 6))],
  [4, bytes(1, str('a'), str('b'.repeat(70)))],
  [5, bytes(3, str('a'), f64(3), str('b'), f64(2), str('c'.repeat(65)), f64(1))],
  [5, bytes(len(40), ...words.map((word, i) => bytes(str(word), f64(i))))],
  [
    9,
    str(
      zipmap(
        [
          ['a', 'b'],
          ['c', 'd'.repeat(300)],
        ],
        2,
      ),
    ),
  ],
  [10, str(ziplist('a', 5, -300, 'x'.repeat(70), 2n ** 40n))],
  [11, str(intset(4, -70000, 5, 6, 70000))],
  [12, str(ziplist('a', 1, 'b', '2.5', 'c', 3))],
  [13, str(ziplist('a', 1, 'b', 'x'.repeat(300), 'c', -1))],
  [14, bytes(2, str(ziplist('a', 1)), str(ziplist('b'.repeat(300), 2)))],
  [15, bytes(1, str(rawId(5, 1)), node, 2, 9, 9, 1, str('g'), 5, 1, 0, 0)],
  [16, str(listpack('a', 1, 'b', 'x'.repeat(90), 'c', -5000))],
  [17, str(listpack('a', 1, 'b', '2.5', 'c', 3))],
  [18, bytes(2, 2, str(listpack('a', 5, 70000, -1)), 1, str('p'.repeat(300)))],
  [19, bytes(2, str(rawId(5, 1)), node, str(rawId(50, 0)), node, 4, len(99), 1, 5, 1, 6, 0, 9, group)],
  [20, str(listpack('a', 5, 'b'))],
];

const items = VALUES.map(([type, value], i) => pair(type, `k${i}`, value));
const everything = bytes(
  bytes(0xfa, str('redis-ver'), str('7.0.15'), 0xfe, 0, 0xfb, 30, 1),
  ...items.slice(0, 10),
  bytes(0xfc, i64(4_000_000_000_000), 0xf8, 5),
  ...items.slice(10),
  bytes(0xf5, str('code'), 0xf7, 9, 2, 7, 5, str('s'), 0, 0xfe, 3, ...items.slice(0, 5)),
);

let engine: TestEngine;
let empty = 0;

/** Loads the bytes; says whether that went well. Fails when something else than an RdbError comes of it. */
function attempt(content: Uint8Array, what: () => string): boolean {
  try {
    const error = rdbErrorOf(() => load(engine, content));
    verifyAll(engine);
    expect(bytesWithoutKeys(engine)).toBe(empty);
    return error === undefined;
  } catch (error) {
    throw new Error(`${what()}: ${Buffer.from(content).toString('hex').slice(0, 4000)}`, { cause: error });
  }
}

beforeAll(() => {
  engine = new TestEngine({ shards: 1, arenaBytes: 4 * 1024 * 1024 });
  empty = bytesWithoutKeys(engine);
});

describe('changed bytes', () => {
  it('are good before they are changed', () => {
    expect(attempt(everything, () => 'unchanged')).toBe(true);
  });

  it('cut at every place', () => {
    for (const item of items) {
      if (item.length > 5000) continue;
      for (let end = 1; end < item.length; end++) {
        expect(attempt(item.subarray(0, end), () => `cut at ${end}`)).toBe(false);
      }
    }
  });

  it('a file cut at every place, in pieces', () => {
    const whole = file(...items.filter((item) => item.length < 5000));
    const sound = new TestEngine({ shards: 1, arenaBytes: 4 * 1024 * 1024 });
    for (let end = 0; end < whole.length; end += 7) {
      const cut = whole.subarray(0, end);
      expect(rdbErrorOf(() => loadFile(sound, memorySource(cut, 100)))).toBeInstanceOf(RdbError);
      expect(bytesWithoutKeys(sound)).toBe(empty);
    }
    expect(loadFile(sound, memorySource(whole, 100)).report.keys).toBeGreaterThan(20);
  });

  it('one byte of one value', () => {
    const random = new Random(4711);
    let good = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const changed = Buffer.from(items[random.below(items.length)]);
      // Where the structure is: most of it lies in front.
      const at = random.below(Math.min(changed.length, 150));
      changed[at] = random.below(2) === 0 ? random.below(256) : changed[at] ^ (1 << random.below(8));
      if (attempt(changed, () => `round ${round}, byte ${at}`)) good++;
    }
    expect(good).toBeGreaterThan(ROUNDS / 20);
    expect(good).toBeLessThan(ROUNDS);
  });

  it('many bytes, parts of other values, and bytes left out', () => {
    const random = new Random(815);
    for (let round = 0; round < ROUNDS; round++) {
      const from = items[random.below(items.length)];
      const other = items[random.below(items.length)];
      const at = random.below(Math.min(from.length, 200));
      const to = random.below(Math.min(other.length, 200));
      const changed = bytes(from.subarray(0, at), other.subarray(to));
      for (let n = random.below(4); n > 0; n--) changed[random.below(changed.length)] = random.below(256);
      attempt(changed, () => `round ${round}`);
    }
  });

  it('nothing but chance', () => {
    const random = new Random(99);
    for (let round = 0; round < ROUNDS; round++) {
      const content = Buffer.from(Array.from({ length: 1 + random.below(60) }, () => random.below(256)));
      attempt(round % 2 === 0 ? content : pair(random.below(22), 'k', content), () => `round ${round}`);
    }
  });
});

describe('a full arena', () => {
  it('whatever the type, nothing of the value stays', () => {
    const many = Array.from({ length: 20_000 }, (_, i) => `member:${i}:${'x'.repeat(80)}`);
    const nodes = Array.from({ length: 400 }, (_, i) =>
      bytes(str(rawId(i + 1, 0)), str(listpack(1, 0, 1, 'f', 0, 2, 0, 0, 'v'.repeat(4000), 4))),
    );
    const values: (readonly [number, Buffer])[] = [
      [0, str('x'.repeat(1_500_000))],
      [0, literals('x'.repeat(1_500_000))],
      [1, bytes(len(many.length), ...many.map(str))],
      [2, bytes(len(many.length), ...many.map(str))],
      [4, bytes(len(many.length / 2), ...many.map(str))],
      [5, bytes(len(many.length), ...many.map((member, i) => bytes(str(member), f64(i))))],
      [15, bytes(len(nodes.length), ...nodes, len(nodes.length), len(1000), 0, 0)],
    ];
    const small = new TestEngine({ shards: 1, arenaBytes: 1024 * 1024 });
    const base = bytesWithoutKeys(small);
    for (const [type, value] of values) {
      expect(() => load(small, pair(type, 'k', value)), `type ${type}`).toThrow(ArenaFullError);
      verifyAll(small);
      expect(small.run('dbsize')).toBe(':0\r\n');
      expect(bytesWithoutKeys(small)).toBe(base);
    }
  });
});

describe('an arena that is full at another moment', () => {
  it.each([2, 4, 5])('type %i', (type) => {
    const small = new TestEngine({ shards: 1, arenaBytes: 1024 * 1024 });
    const base = bytesWithoutKeys(small);
    for (let size = 16; size <= 330; size += 60) {
      const members = Array.from({ length: 40_000 }, (_, i) => str(`${i}:`.padEnd(size, 'x')));
      const parts = type === 5 ? members.flatMap((member) => [member, f64(5)]) : members;
      const count = type === 4 ? members.length / 2 : members.length;
      expect(() => load(small, bytes(pair(type, 'k', len(count)), Buffer.concat(parts)))).toThrow(ArenaFullError);
      verifyAll(small);
      expect(bytesWithoutKeys(small)).toBe(base);
    }
  });
});

describe('RESTORE payloads', () => {
  it('of any type with any bytes, make the key or nothing', () => {
    const random = new Random(31337);
    for (let round = 0; round < ROUNDS / 2; round++) {
      const [, value] = VALUES[random.below(VALUES.length)];
      const [type] = VALUES[random.below(VALUES.length)];
      engine.run('exists', 'k');
      const error = rdbErrorOf(() => loadValue(engine.call, 1, type, new RdbInput(value), 0));
      verifyAll(engine);
      expect(engine.run('exists', 'k')).toBe(error === undefined ? ':1\r\n' : ':0\r\n');
      expect(bytesWithoutKeys(engine)).toBe(empty);
    }
  });
});
