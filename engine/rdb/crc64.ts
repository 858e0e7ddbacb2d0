/**
 * CRC-64 with the polynomial that Redis puts under its RDB files and DUMP payloads: 0xad93d23594c935a9 (David Jones),
 * bits reflected, initial value 0, no final inversion. Any thread.
 *
 * A 64-bit number would be a BigInt, so the remainder is two 32-bit halves. Eight bytes are taken at a time: table n says
 * what a byte contributes with n more bytes behind it ("slicing": Kounavis and Berry, 2005). 500 MB/s on one core, in blocks
 * of 64 KiB; sixteen at a time is no faster, since its tables fill the first cache.
 *
 * The remainder lies in its file or payload as 8 bytes, little-endian: `low`, then `high`. The text `123456789` has
 * e9c6d914c4b8d9ca, which is `ca d9 b8 c4 14 d9 c6 e9`.
 */

const LOW_POLYNOMIAL = 0xac4bc9b5;
const HIGH_POLYNOMIAL = 0x95ac9329;
/** Words of a table: 256 entries of two, the low half first. Table n begins at word n * 512. */
const TABLE_WORDS = 512;

const TABLES = new Int32Array(8 * TABLE_WORDS);
for (let byte = 0; byte < 256; byte++) {
  let low = byte;
  let high = 0;
  for (let bit = 0; bit < 8; bit++) {
    const odd = (low & 1) === 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (odd) {
      low ^= LOW_POLYNOMIAL;
      high ^= HIGH_POLYNOMIAL;
    }
  }
  TABLES[byte * 2] = low;
  TABLES[byte * 2 + 1] = high;
}
for (let i = TABLE_WORDS; i < TABLES.length; i += 2) {
  const low = TABLES[i - TABLE_WORDS];
  const high = TABLES[i - TABLE_WORDS + 1];
  const first = (low & 255) * 2;
  TABLES[i] = ((low >>> 8) | (high << 24)) ^ TABLES[first];
  TABLES[i + 1] = (high >>> 8) ^ TABLES[first + 1];
}

export class Crc64 {
  /** The remainder so far, as two signed halves. */
  low = 0;
  high = 0;

  reset(): void {
    this.low = 0;
    this.high = 0;
  }

  /** Goes on with the bytes from `start` up to `end`. */
  update(u8: Uint8Array, start: number, end: number): void {
    const t = TABLES;
    let low = this.low;
    let high = this.high;
    let i = start;
    for (const last = end - 8; i <= last; i += 8) {
      const word0 = low ^ (u8[i] | (u8[i + 1] << 8) | (u8[i + 2] << 16) | (u8[i + 3] << 24));
      const word1 = high ^ (u8[i + 4] | (u8[i + 5] << 8) | (u8[i + 6] << 16) | (u8[i + 7] << 24));
      const at7 = 3584 + ((word0 & 255) << 1);
      const at6 = 3072 + ((word0 >>> 7) & 510);
      const at5 = 2560 + ((word0 >>> 15) & 510);
      const at4 = 2048 + ((word0 >>> 23) & 510);
      const at3 = 1536 + ((word1 & 255) << 1);
      const at2 = 1024 + ((word1 >>> 7) & 510);
      const at1 = 512 + ((word1 >>> 15) & 510);
      const at0 = (word1 >>> 23) & 510;
      low = t[at7] ^ t[at6] ^ t[at5] ^ t[at4] ^ t[at3] ^ t[at2] ^ t[at1] ^ t[at0];
      high = t[at7 + 1] ^ t[at6 + 1] ^ t[at5 + 1] ^ t[at4 + 1] ^ t[at3 + 1] ^ t[at2 + 1] ^ t[at1 + 1] ^ t[at0 + 1];
    }
    for (; i < end; i++) {
      const at = ((low ^ u8[i]) & 255) << 1;
      low = ((low >>> 8) | (high << 24)) ^ t[at];
      high = (high >>> 8) ^ t[at + 1];
    }
    this.low = low;
    this.high = high;
  }
}
