/** Streams: how ids and nodes lie in memory, and what XADD makes of the clock. Replies in general: the differential test. */
import { describe, expect, it } from 'vitest';
import { lookupQuiet } from '../../engine/keyspace.ts';
import { valueWord } from '../../engine/record.ts';
import { Reply } from '../../engine/reply.ts';
import {
  compareIds,
  decrementId,
  ID_AUTO_SEQUENCE,
  ID_GIVEN,
  ID_INVALID,
  incrementId,
  parseId,
  replyId,
} from '../../engine/types/stream-id.ts';
import { indexLast } from '../../engine/types/stream-index.ts';
import { nodeUsed } from '../../engine/types/stream-node.ts';
import {
  readEnd,
  readMirrored,
  readVarint,
  readWide,
  varintBytes,
  wideBytes,
  writeMirrored,
  writeVarint,
  writeWide,
} from '../../engine/types/stream-number.ts';
import { listpackInteger, listpackString } from '../../engine/types/stream-size.ts';
import { valueBytes } from '../../engine/values.ts';
import { TestEngine } from '../support/engine.ts';

const MAX = '18446744073709551615';

function parse(text: string, missing = 0): string {
  const buf = Buffer.from(`..${text}..`, 'latin1');
  const id = new Uint32Array(6);
  const form = parseId(buf, 2, buf.length - 4, missing, id, 1);
  if (form === ID_INVALID) return 'invalid';
  const reply = new Reply();
  replyId(reply, id, 1);
  const written = Buffer.from(reply.u8.subarray(0, reply.length)).toString().split('\r\n')[1];
  return form === ID_AUTO_SEQUENCE ? `${written} auto` : written;
}

describe('ids', () => {
  it('are read as Redis reads them and written in decimal', () => {
    for (const text of ['0-0', '1-2', '1526919030474-3', '999999999-1000000000', `9007199254740991-9007199254740992`]) {
      expect(parse(text)).toBe(text);
    }
    for (const text of [
      '4294967295-4294967296',
      '2147483648-2147483647',
      `${MAX}-${MAX}`,
      `10000000000000000-${MAX}`,
    ]) {
      expect(parse(text)).toBe(text);
    }
    expect(parse('7')).toBe('7-0');
    expect(parse('7', 0xffffffff)).toBe(`7-${MAX}`);
    expect(parse('7-*')).toBe('7-0 auto');
    expect(parse('007-0001')).toBe('7-1');
    expect(parse(' 7-+1')).toBe('7-1');
    expect(parse('7- -1')).toBe(`7-${MAX}`);
    expect(parse('7-1\0rest')).toBe('7-1');
    for (const text of [
      '',
      '-',
      '+',
      '*',
      '-1',
      '1-',
      '1--1',
      '1-1-1',
      'x',
      '1-x',
      '1 ',
      '18446744073709551616',
      `1-${MAX}0`,
    ]) {
      expect([text, parse(text)]).toEqual([text, 'invalid']);
    }
    expect(parse('0'.repeat(127))).toBe('0-0');
    expect(parse('0'.repeat(128))).toBe('invalid');
    expect(ID_GIVEN).not.toBe(ID_INVALID);
  });

  it('count up and down over all words', () => {
    const id = Uint32Array.of(9, 0, 0xffffffff, 0xffffffff, 0xffffffff);
    expect(incrementId(id, 1)).toBe(true);
    expect([...id]).toEqual([9, 1, 0, 0, 0]);
    expect(decrementId(id, 1)).toBe(true);
    expect([...id]).toEqual([9, 0, 0xffffffff, 0xffffffff, 0xffffffff]);
    const highest = new Uint32Array(4).fill(0xffffffff);
    expect(incrementId(highest, 0)).toBe(false);
    expect([...highest]).toEqual([0, 0, 0, 0]);
    expect(decrementId(highest, 0)).toBe(false);
    expect([...highest]).toEqual([...new Uint32Array(4).fill(0xffffffff)]);
    expect(compareIds(Uint32Array.of(0, 5, 0, 0), 0, Uint32Array.of(0, 4, 1, 9), 0)).toBe(1);
    expect(compareIds(Uint32Array.of(0, 0x80000000, 0, 0), 0, Uint32Array.of(0, 0x7fffffff, 0, 0), 0)).toBe(1);
  });
});

describe('numbers', () => {
  it('come back as they were, from either end', () => {
    const u8 = new Uint8Array(32);
    for (const value of [0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455, 268435456, 2 ** 31 - 1]) {
      expect(writeVarint(u8, 3, value)).toBe(3 + varintBytes(value));
      expect([readVarint(u8, 3), readEnd]).toEqual([value, 3 + varintBytes(value)]);
      expect(writeMirrored(u8, 5, value)).toBe(5 + varintBytes(value));
      expect([readMirrored(u8, 5 + varintBytes(value)), readEnd]).toEqual([value, 5]);
    }
    const words = new Uint32Array(3);
    for (let bits = 0; bits <= 64; bits++) {
      for (const value of [2n ** BigInt(bits) - 1n, BigInt.asUintN(64, 2n ** BigInt(bits) + 5n)]) {
        const [upper, lower] = [Number(value >> 32n), Number(value & 0xffffffffn)];
        const end = writeWide(u8, 2, upper, lower);
        expect(end).toBe(2 + wideBytes(upper, lower));
        readWide(u8, 2, words, 1);
        expect([...words, readEnd]).toEqual([0, upper, lower, end]);
      }
    }
  });
});

describe('listpack sizes', () => {
  function size(text: string): number {
    const buf = Buffer.from(`.${text}`);
    return listpackString(buf, 1, buf.length - 1);
  }

  it('of integers grow at the bounds of their encodings', () => {
    const sizes: [string, number][] = [
      ['0', 2],
      ['127', 2],
      ['128', 3],
      ['4095', 3],
      ['4096', 4],
      ['-1', 3],
      ['-4096', 3],
      ['-4097', 4],
      ['32767', 4],
      ['32768', 5],
      ['-32768', 4],
      ['-32769', 5],
      ['8388607', 5],
      ['8388608', 6],
      ['-8388609', 6],
      ['2147483647', 6],
      ['2147483648', 10],
      ['-2147483648', 6],
      ['-2147483649', 10],
      ['9223372036854775807', 10],
      ['-9223372036854775808', 10],
    ];
    for (const [text, bytes] of sizes) {
      expect([text, size(text)]).toEqual([text, bytes]);
      const value = BigInt.asUintN(64, BigInt(text));
      expect(listpackInteger(Number(value >> 32n), Number(value & 0xffffffffn))).toBe(bytes);
    }
  });

  it('of strings are their bytes and two lengths', () => {
    for (const text of [
      '',
      'a',
      '-',
      '01',
      '-0',
      '+1',
      '1.0',
      '9223372036854775808',
      '-9223372036854775809',
      '1'.repeat(21),
    ]) {
      expect([text, size(text)]).toEqual([text, text.length + 2]);
    }
    expect(size('x'.repeat(63))).toBe(65);
    expect(size('x'.repeat(64))).toBe(67);
    expect(size('x'.repeat(125))).toBe(128);
    expect(size('x'.repeat(126))).toBe(130);
    expect(size('x'.repeat(4096))).toBe(4103);
    expect(size('x'.repeat(20_000))).toBe(20_008);
  });
});

describe('nodes', () => {
  function rootOf(engine: TestEngine, key: string): number {
    engine.run('exists', key);
    return valueWord(engine.call.arena, lookupQuiet(engine.call, 1));
  }

  it('lie as their opening comment says', () => {
    const engine = new TestEngine();
    engine.run('xadd', 's', '5-1', 'f', 'xy');
    engine.run('xadd', 's', '7-0', 'f', 'z');
    const root = rootOf(engine, 's');
    const a = engine.call.arena;
    const node = indexLast(a, root);
    const bytes = Buffer.from(a.u8.slice(node + 60, node + nodeUsed(a, node))).toString('hex');
    expect(bytes).toBe('0166' + '01000002787906' + '010200017a05');
  });

  it('take little memory for a short stream, and a few bytes for an entry of a long one', () => {
    const engine = new TestEngine();
    engine.run('xadd', 'short', '*', 'f', 'v');
    rootOf(engine, 'short');
    expect(valueBytes(engine.call.arena, lookupQuiet(engine.call, 1))).toBeLessThan(200);
    for (let i = 1; i <= 10_000; i++) engine.run('xadd', 'long', `${1_700_000_000_000 + i}-0`, 'myfield', '__data__');
    rootOf(engine, 'long');
    expect(valueBytes(engine.call.arena, lookupQuiet(engine.call, 1)) / 10_000).toBeLessThan(18);
  });
});

describe('deleting', () => {
  it('gives back the memory of entries in the middle of a node', () => {
    const engine = new TestEngine();
    for (let i = 1; i <= 90; i++) engine.run('xadd', 's', i, 'f', 'x'.repeat(30));
    const bytes = (): number => {
      engine.run('exists', 's');
      return valueBytes(engine.call.arena, lookupQuiet(engine.call, 1));
    };
    const full = bytes();
    for (let i = 1; i <= 90; i++) if (i % 10 !== 0) engine.run('xdel', 's', i);
    expect(bytes()).toBeLessThan(full / 3);
    engine.verify();
    expect(engine.run('xlen', 's')).toBe(':9\r\n');
  });
});

describe('XADD', () => {
  it('with * follows the clock, and never goes back', () => {
    const engine = new TestEngine();
    const add = (): string => engine.run('xadd', 's', '*', 'f', 'v').split('\r\n')[1];
    engine.nowMs = 1_700_000_000_123;
    expect(add()).toBe('1700000000123-0');
    expect(add()).toBe('1700000000123-1');
    engine.nowMs -= 50;
    expect(add()).toBe('1700000000123-2');
    engine.nowMs += 1000;
    expect(add()).toBe('1700000001073-0');
    engine.run('xadd', 's', `1700000002000-${MAX}`, 'f', 'v');
    expect(add()).toBe('1700000002001-0');
  });

  it('counts entries beyond 32 bits', () => {
    const engine = new TestEngine();
    engine.run('xadd', 's', '1', 'f', 'v');
    engine.run('xsetid', 's', '2', 'entriesadded', '4294967295');
    engine.run('xadd', 's', '3', 'f', 'v');
    expect(engine.run('xinfo', 'stream', 's')).toContain('entries-added\r\n:4294967296\r\n');
  });
});

it('XREAD does not pretend to wait', () => {
  const engine = new TestEngine();
  engine.run('xadd', 's', '1', 'f', 'v');
  expect(engine.run('xread', 'block', '0', 'streams', 's', '0')).toMatch(/^-ERR XREAD cannot wait/);
});

/** What is left of a stream after approximate trimming, on two replicas that differ in its nodes only. */
describe('approximate trimming on replicas', () => {
  /** `entries` entries of which `deleted` are deleted again; in two engines, one of which has them from the other's dump. */
  function replicas(entries: number, deleted: (i: number) => boolean): TestEngine[] {
    const writer = new TestEngine();
    const loader = new TestEngine();
    for (let i = 1; i <= entries; i++) writer.run('xadd', 's', `${i}-1`, 'f', 'v'.repeat(i % 50));
    for (let i = 1; i <= entries; i++) if (deleted(i)) writer.run('xdel', 's', `${i}-1`);
    const dump = Buffer.from(writer.run('dump', 's'), 'latin1');
    const header = dump.indexOf('\n') + 1;
    expect(loader.run('restore', 's', '0', dump.subarray(header, dump.length - 2))).toBe('+OK\r\n');
    for (const engine of [writer, loader]) engine.call.isReplica = true;
    return [writer, loader];
  }

  it.each([
    ['xtrim s minid ~ 100-0', (i: number) => i === 100],
    ['xtrim s minid ~ 250-0', (i: number) => i % 3 === 0],
    ['xtrim s maxlen ~ 250', (i: number) => i % 7 === 0],
    ['xtrim s maxlen ~ 20 limit 130', (i: number) => i % 2 === 0],
    ['xtrim s minid ~ 390-0 limit 130', (i: number) => i % 2 === 0],
    ['xadd s maxlen ~ 120 500-1 f v', (i: number) => i > 80 && i < 230],
  ])('leaves the same: %s', (command, deleted) => {
    const engines = replicas(400, deleted);
    const [one, other] = engines.map((engine) => [
      engine.run(...command.split(' ')),
      engine.run('xlen', 's'),
      engine.run('xrange', 's', '-', '+'),
    ]);
    expect(one).toEqual(other);
  });

  it('drops no more than LIMIT says', () => {
    const [engine] = replicas(400, () => false);
    expect(engine.run('xtrim', 's', 'maxlen', '~', '20', 'limit', '130')).toBe(':130\r\n');
    expect(engine.run('xtrim', 's', 'minid', '~', '400-0', 'limit', '200')).toBe(':200\r\n');
    expect(engine.run('xtrim', 's', 'maxlen', '~', '20')).toBe(':50\r\n');
  });
});
