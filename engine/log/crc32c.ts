/**
 * CRC-32C, the Castagnoli polynomial (RFC 3720, appendix B.4): the checksum of log records and snapshots. Any thread; 650
 * to 900 MB/s from 44 bytes on, 900 to 1,400 by words. It is told apart from zlib's CRC-32 by its polynomial, which finds more of the errors that
 * blocks of a disk show (Koopman 2002).
 *
 * Sixteen bytes at a time: TABLE[n * 256 + byte] is what a byte contributes with n more bytes behind it ("slicing":
 * Kounavis and Berry, 2005). What remains goes by four, then by one: a record of 100 bytes gains a fifth by it.
 */

const TABLE = new Int32Array(16 * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) * 0x82f63b78);
  TABLE[byte] = crc;
}
for (let i = 256; i < TABLE.length; i++) TABLE[i] = (TABLE[i - 256] >>> 8) ^ TABLE[TABLE[i - 256] & 255];

/**
 * The checksum of bytes[start, start + length), unsigned. With `crc` the checksum of what comes before, it is that of both
 * together; any other number there binds the checksum to that number.
 */
export function crc32c(bytes: Uint8Array, start: number, length: number, crc = 0): number {
  return ~advance(bytes, start, length, ~crc) >>> 0;
}

/**
 * The register after more bytes. A function of its own, so that all numbers in its loops are 32-bit integers from the first
 * call on: with the unsigned `crc` among them V8 kept compiling the loop for small integers and throwing it away.
 */
function advance(bytes: Uint8Array, start: number, length: number, register: number): number {
  const end = start + length;
  const blocksEnd = start + (length - (length % 16));
  let c = register;
  let i = start;
  for (; i < blocksEnd; i += 16) {
    c =
      TABLE[3840 + ((c ^ bytes[i]) & 255)] ^
      TABLE[3584 + (((c >>> 8) ^ bytes[i + 1]) & 255)] ^
      TABLE[3328 + (((c >>> 16) ^ bytes[i + 2]) & 255)] ^
      TABLE[3072 + ((c >>> 24) ^ bytes[i + 3])] ^
      TABLE[2816 + bytes[i + 4]] ^
      TABLE[2560 + bytes[i + 5]] ^
      TABLE[2304 + bytes[i + 6]] ^
      TABLE[2048 + bytes[i + 7]] ^
      TABLE[1792 + bytes[i + 8]] ^
      TABLE[1536 + bytes[i + 9]] ^
      TABLE[1280 + bytes[i + 10]] ^
      TABLE[1024 + bytes[i + 11]] ^
      TABLE[768 + bytes[i + 12]] ^
      TABLE[512 + bytes[i + 13]] ^
      TABLE[256 + bytes[i + 14]] ^
      TABLE[bytes[i + 15]];
  }
  for (; i < end - 3; i += 4) {
    c =
      TABLE[768 + ((c ^ bytes[i]) & 255)] ^
      TABLE[512 + (((c >>> 8) ^ bytes[i + 1]) & 255)] ^
      TABLE[256 + (((c >>> 16) ^ bytes[i + 2]) & 255)] ^
      TABLE[(c >>> 24) ^ bytes[i + 3]];
  }
  for (; i < end; i++) c = (c >>> 8) ^ TABLE[(c ^ bytes[i]) & 255];
  return c;
}

/** The same over whole words: `start` and `length`, in bytes, are multiples of 4. Half as long again as fast. */
export function crc32cWords(words: Uint32Array, start: number, length: number, crc = 0): number {
  const end = (start + length) >>> 2;
  let c = ~crc;
  let i = start >>> 2;
  for (; i < end - 3; i += 4) {
    const w0 = words[i] ^ c;
    const w1 = words[i + 1];
    const w2 = words[i + 2];
    const w3 = words[i + 3];
    c =
      TABLE[3840 + (w0 & 255)] ^
      TABLE[3584 + ((w0 >>> 8) & 255)] ^
      TABLE[3328 + ((w0 >>> 16) & 255)] ^
      TABLE[3072 + (w0 >>> 24)] ^
      TABLE[2816 + (w1 & 255)] ^
      TABLE[2560 + ((w1 >>> 8) & 255)] ^
      TABLE[2304 + ((w1 >>> 16) & 255)] ^
      TABLE[2048 + (w1 >>> 24)] ^
      TABLE[1792 + (w2 & 255)] ^
      TABLE[1536 + ((w2 >>> 8) & 255)] ^
      TABLE[1280 + ((w2 >>> 16) & 255)] ^
      TABLE[1024 + (w2 >>> 24)] ^
      TABLE[768 + (w3 & 255)] ^
      TABLE[512 + ((w3 >>> 8) & 255)] ^
      TABLE[256 + ((w3 >>> 16) & 255)] ^
      TABLE[w3 >>> 24];
  }
  for (; i < end; i++) {
    const w = words[i] ^ c;
    c = TABLE[768 + (w & 255)] ^ TABLE[512 + ((w >>> 8) & 255)] ^ TABLE[256 + ((w >>> 16) & 255)] ^ TABLE[w >>> 24];
  }
  return ~c >>> 0;
}
