/** CRC-64 against its check value and against itself, bit by bit and in pieces of any length. */
import { describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { Crc64 } from '../../engine/rdb/crc64.ts';

function hex(crc: Crc64): string {
  return ((BigInt(crc.high >>> 0) << 32n) | BigInt(crc.low >>> 0)).toString(16).padStart(16, '0');
}

/** One bit at a time, as the definition says. */
function slowly(bytes: Uint8Array): string {
  let crc = 0n;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 0n ? crc >> 1n : (crc >> 1n) ^ 0x95ac9329ac4bc9b5n;
  }
  return crc.toString(16).padStart(16, '0');
}

describe('crc64', () => {
  it('has the check value of the polynomial', () => {
    const crc = new Crc64();
    crc.update(new TextEncoder().encode('123456789'), 0, 9);
    expect(hex(crc)).toBe('e9c6d914c4b8d9ca');
    crc.reset();
    expect(hex(crc)).toBe('0000000000000000');
  });

  it('is the same however the bytes are cut', () => {
    const random = new Random(3);
    for (let round = 0; round < 200; round++) {
      const bytes = new Uint8Array(new SharedArrayBuffer(random.below(100)));
      for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
      const crc = new Crc64();
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + random.below(30));
        crc.update(bytes, at, end);
        at = end;
      }
      expect(hex(crc)).toBe(slowly(bytes));
    }
  });
});
