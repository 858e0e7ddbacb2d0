/**
 * The numbers in a stream's nodes: 7 bits to a byte, the lowest first, bit 7 set in all but the last byte. Pure functions
 * over bytes in place; a few nanoseconds each.
 */

export function varintBytes(value: number): number {
  if (value < 0x4000) return value < 0x80 ? 1 : 2;
  return value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
}

export function writeVarint(u8: Uint8Array, at: number, value: number): number {
  while (value >= 0x80) {
    u8[at++] = value | 0x80;
    value >>>= 7;
  }
  u8[at++] = value;
  return at;
}

/** Where the number read last ended. */
export let readEnd = 0;

export function readVarint(u8: Uint8Array, at: number): number {
  let value = u8[at++];
  if (value >= 0x80) {
    value &= 0x7f;
    for (let shift = 7; ; shift += 7) {
      const byte = u8[at++];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
  }
  readEnd = at;
  return value >>> 0;
}

export function wideBytes(upper: number, lower: number): number {
  let bytes = 1;
  while (upper !== 0 || lower >= 0x80) {
    lower = ((lower >>> 7) | (upper << 25)) >>> 0;
    upper >>>= 7;
    bytes++;
  }
  return bytes;
}

export function writeWide(u8: Uint8Array, at: number, upper: number, lower: number): number {
  while (upper !== 0 || lower >= 0x80) {
    u8[at++] = lower | 0x80;
    lower = ((lower >>> 7) | (upper << 25)) >>> 0;
    upper >>>= 7;
  }
  u8[at++] = lower;
  return at;
}

/** Reads a 64-bit number into two words of `to`. */
export function readWide(u8: Uint8Array, at: number, to: Uint32Array, i: number): void {
  let upper = 0;
  let lower = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = u8[at++];
    const bits = byte & 0x7f;
    if (shift < 32) lower |= bits << shift;
    if (shift > 28) upper |= bits << (shift - 32);
    else if (shift === 28) upper |= bits >>> 4;
    if (byte < 0x80) break;
  }
  to[i] = upper;
  to[i + 1] = lower;
  readEnd = at;
}

/** Writes a number so that it can be read from its end on: mirrored. */
export function writeMirrored(u8: Uint8Array, at: number, value: number): number {
  const end = at + varintBytes(value);
  for (let k = end - 1; k > at; k--) {
    u8[k] = value | 0x80;
    value >>>= 7;
  }
  u8[at] = value;
  return end;
}

/** Reads the mirrored number that ends at `end`; `readEnd` is where it begins. */
export function readMirrored(u8: Uint8Array, end: number): number {
  let at = end - 1;
  let value = u8[at] & 0x7f;
  for (let shift = 7; u8[at] >= 0x80; shift += 7) value |= (u8[--at] & 0x7f) << shift;
  readEnd = at;
  return value;
}
