import { expect, it } from 'vitest';
import { crc32c, crc32cWords } from '../../engine/log/crc32c.ts';
import { Random } from '../../engine/random.ts';

/** One bit at a time, as the polynomial is defined. */
function bitwise(bytes: Uint8Array, crc = 0): number {
  let c = ~crc;
  for (const byte of bytes) {
    c ^= byte;
    for (let bit = 0; bit < 8; bit++) c = (c >>> 1) ^ (c & 1 ? 0x82f63b78 : 0);
  }
  return ~c >>> 0;
}

it('gives the published values', () => {
  // RFC 3720, appendix B.4, and the polynomial's check value.
  expect(crc32c(new TextEncoder().encode('123456789'), 0, 9)).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32), 0, 32)).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff), 0, 32)).toBe(0x62a8ab43);
  expect(
    crc32c(
      Uint8Array.from({ length: 32 }, (_, i) => i),
      0,
      32,
    ),
  ).toBe(0x46dd794e);
});

it('agrees with the definition for every length, start and continuation', () => {
  const random = new Random(7);
  const bytes = Uint8Array.from({ length: 200 }, () => random.below(256));
  for (let start = 0; start < 20; start++) {
    for (let length = 0; length <= 100; length++) {
      const seed = random.next();
      const part = bytes.subarray(start, start + length);
      expect(crc32c(bytes, start, length, seed)).toBe(bitwise(part, seed));
      const cut = random.below(length + 1);
      expect(crc32c(bytes, start + cut, length - cut, crc32c(bytes, start, cut))).toBe(bitwise(part));
    }
  }
});

it('agrees with itself over words', () => {
  const random = new Random(8);
  const bytes = Uint8Array.from({ length: 400 }, () => random.below(256));
  const words = new Uint32Array(bytes.buffer);
  for (let start = 0; start < 40; start += 4) {
    for (let length = 0; length <= 200; length += 4) {
      const seed = random.next();
      expect(crc32cWords(words, start, length, seed)).toBe(crc32c(bytes, start, length, seed));
      // A seed may come as a signed number, out of bit operations.
      expect(crc32cWords(words, start, length, seed | 0)).toBe(crc32c(bytes, start, length, seed));
    }
  }
});
