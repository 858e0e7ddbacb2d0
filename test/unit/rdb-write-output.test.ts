/** The bytes that RDB output, listpacks and items consist of, by hand; and buffers that grow. */
import { describe, expect, it } from 'vitest';
import { encodePair } from '../../engine/rdb/encode.ts';
import { ListpackWriter } from '../../engine/rdb/encode-listpack.ts';
import { RdbOutput } from '../../engine/rdb/output.ts';
import { listpackInteger, listpackString } from '../../engine/types/stream-size.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { eachKey } from '../support/rdb-write.ts';

const newEngine = (): TestEngine => new TestEngine({ shards: 1, arenaBytes: 8 * 1024 * 1024 });

function hex(out: RdbOutput): string {
  return Buffer.from(out.u8.slice(0, out.length)).toString('hex');
}

function written(write: (out: RdbOutput) => void): string {
  const out = new RdbOutput(new Uint8Array(0));
  write(out);
  return hex(out);
}

/** The one key of an engine, as an item. */
function item(...commands: Arg[][]): string {
  const engine = newEngine();
  for (const command of commands) engine.run(...command);
  return written((out) => eachKey(engine, 0, (a, record) => encodePair(a, record, out)));
}

describe('RDB output', () => {
  it.each([
    [0, '00'],
    [63, '3f'],
    [64, '4040'],
    [16383, '7fff'],
    [16384, '8000004000'],
    [4294967295, '80ffffffff'],
  ])('writes the length %d', (length, bytes) => {
    expect(written((out) => out.lengthOf(length))).toBe(bytes);
  });

  it('writes numbers of 64 bits', () => {
    expect(written((out) => out.wideLength(0, 5))).toBe('05');
    expect(written((out) => out.wideLength(1, 5))).toBe('810000000100000005');
    expect(written((out) => out.u64(0x01020304, 0x05060708))).toBe('0807060504030201');
    expect(written((out) => out.milliseconds(1000))).toBe('e803000000000000');
    expect(written((out) => out.milliseconds(2 ** 53 - 1))).toBe('ffffffffffff1f00');
    expect(written((out) => out.milliseconds(2 ** 63))).toBe('ffffffffffffff7f');
    expect(written((out) => out.milliseconds(2 ** 63 - 1024))).toBe('00fcffffffffff7f');
    expect(written((out) => out.milliseconds(-2))).toBe('feffffffffffffff');
    expect(written((out) => out.double(-2.5))).toBe('00000000000004c0');
  });

  it('fills in lengths that stand before what they count', () => {
    for (const [count, length] of [
      [3, '03'],
      [63, '3f'],
      [64, '4040'],
      [16383, '7fff'],
    ] as const) {
      const bytes = written((out) => {
        const at = out.reserveLength(false);
        for (let i = 0; i < count; i++) out.byte(7);
        out.fillLength(at, false, count);
      });
      expect(bytes).toBe(length + '07'.repeat(count));
    }
    const out = new RdbOutput();
    const at = out.reserveLength(true);
    out.fillLength(at, true, 3);
    expect(hex(out)).toBe('8000000003');
    expect(() => out.fillLength(0, false, 16384)).toThrow(/does not fit/);
  });

  it('grows, and stays in shared memory', () => {
    for (const buffer of [new SharedArrayBuffer(8), new ArrayBuffer(8)]) {
      const out = new RdbOutput(new Uint8Array(buffer, 4));
      for (let i = 0; i < 1000; i++) out.u32(i);
      expect(out.u8.buffer.constructor).toBe(buffer.constructor);
      expect(out.length).toBe(4000);
      expect(new Uint32Array(out.u8.slice(0, 4000).buffer)).toEqual(Uint32Array.from({ length: 1000 }, (_, i) => i));
    }
  });
});

describe('items', () => {
  it('are what the format says', () => {
    expect(item(['set', 'a', '7'], ['pexpireat', 'a', '4102444800000'])).toBe('fc00d8c32cbb030000000161c007');
    expect(item(['set', 'a', ''])).toBe('00016100');
    expect(item(['set', '12', '-00'])).toBe('00c00c032d3030');
    expect(item(['sadd', 's', '1', '-2'])).toBe('0b01730c0200000002000000feff0100');
    expect(item(['sadd', 's', 'x'])).toBe('020173010178');
    expect(item(['hset', 'h', '1', 'ab'])).toBe('1001680d0d0000000200010182616203ff');
    expect(item(['rpush', 'l', '1', 'ab'])).toBe('12016c01020d0d0000000200010182616203ff');
    expect(item(['zadd', 'z', '0.5', 'a'])).toBe('11017a0f0f000000020081610283302e3504ff');
    expect(item(['zadd', 'z', '1', 'x'.repeat(65)])).toBe(`05017a014041${'78'.repeat(65)}000000000000f03f`);
  });

  it.each(['127', '-128', '128', '-129', '32767', '-32768', '32768', '2147483647', '-2147483648'])(
    'write %s as an integer',
    (text) => {
      const value = Number(text);
      const bytes = Buffer.alloc(5);
      const size = value >= -128 && value < 128 ? 1 : value >= -32768 && value < 32768 ? 2 : 4;
      bytes[0] = size === 1 ? 0xc0 : size === 2 ? 0xc1 : 0xc2;
      bytes.writeIntLE(value, 1, size);
      expect(item(['set', 'a', text])).toBe(`000161${bytes.toString('hex', 0, 1 + size)}`);
    },
  );

  it.each(['2147483648', '-2147483649', '01', '-0', '+1', '1 ', '', '-', '99999999999'])(
    'write "%s" as it is',
    (text) => {
      const length = text.length.toString(16).padStart(2, '0');
      expect(item(['set', 'a', text])).toBe(`000161${length}${Buffer.from(text).toString('hex')}`);
    },
  );

  it('have a value larger than their buffer', () => {
    const engine = newEngine();
    engine.run('rpush', 'l', ...Array.from({ length: 3000 }, (_, i) => `element ${i}`));
    eachKey(engine, 0, (a, record) => {
      const small = new RdbOutput(new Uint8Array(8));
      encodePair(a, record, small);
      const large = new RdbOutput();
      encodePair(a, record, large);
      expect(hex(small)).toBe(hex(large));
      expect(small.u8[0]).toBe(18);
    });
  });
});

describe('listpacks', () => {
  const listpack = new ListpackWriter();
  const out = new RdbOutput();

  function bytesOf(write: () => void): number {
    out.length = 0;
    listpack.begin(out, 100_000);
    const before = listpack.bytes;
    write();
    const bytes = listpack.bytes - before;
    listpack.end();
    return bytes;
  }

  it('have integers of the size that streams count', () => {
    for (let bits = 0; bits < 64; bits++) {
      for (const near of [-1n, 0n, 1n]) {
        for (const sign of [1n, -1n]) {
          const value = BigInt.asUintN(64, sign * (1n << BigInt(bits)) + near);
          const high = Number(value >> 32n);
          const low = Number(value & 0xffffffffn);
          expect(bytesOf(() => listpack.integer(high, low))).toBe(listpackInteger(high, low));
        }
      }
    }
  });

  it('have strings of the size that streams count', () => {
    const engine = newEngine();
    const texts = ['', '0', '-1', '9223372036854775807', '-9223372036854775809', '00', 'x', '1234567x'];
    for (const length of [63, 64, 126, 127, 4095, 4096, 16380, 16381, 16382, 20000]) texts.push('s'.repeat(length));
    for (const text of texts) engine.run('set', `key ${text}`, text);
    let seen = 0;
    eachKey(engine, 0, (a, record, key) => {
      const start = record + 16 + key.length;
      const length = key.length - 4;
      expect(bytesOf(() => listpack.string(a, start, length))).toBe(listpackString(a.u8, start, length));
      seen++;
    });
    expect(seen).toBe(texts.length);
  });

  it('count up to 65535 elements', () => {
    bytesOf(() => {
      for (let i = 0; i < 65534; i++) listpack.integer(0, 0);
    });
    expect(out.u8.slice(9, 11)).toEqual(Uint8Array.of(0xfe, 0xff));
    bytesOf(() => {
      for (let i = 0; i < 70000; i++) listpack.integer(0, 0);
    });
    expect(out.u8.slice(9, 11)).toEqual(Uint8Array.of(0xff, 0xff));
  });
});
