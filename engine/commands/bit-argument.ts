/** What SETBIT, GETBIT and BITFIELD share: bit offsets as arguments, and room for a bit. */
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { lookupWrite } from '../keyspace.ts';
import { growString, isString, longestString, stringLength } from '../types/string.ts';

const BIT_OFFSET = 'ERR bit offset is not an integer or out of range';
const HASH = 35;

/**
 * Reads argument i as a bit offset; -1 after an error reply. With `width` above 0 the offset may be `#n`, the n-th field
 * of so many bits.
 */
export function bitOffset(c: Call, i: number, width: number): number {
  const inFields = width > 0 && c.len[i] > 0 && c.buf[c.off[i]] === HASH;
  const skipped = inFields ? 1 : 0;
  if (c.longAt(c.buf, c.off[i] + skipped, c.len[i] - skipped)) {
    const offset = inFields ? c.num * width : c.num;
    if (offset >= 0 && offset / 8 < longestString(c)) return offset;
  }
  c.reply.error(BIT_OFFSET);
  return -1;
}

/** For a write: the string at the key, 0 for none; -1 after an error reply. */
export function lookupBits(c: Call): Offset {
  const record = lookupWrite(c, 1);
  if (record === 0 || isString(c.arena, record)) return record;
  c.reply.error(ERR.WRONGTYPE);
  return -1;
}

/** Bytes that a string must have for bit number `bit`. */
export function bytesForBit(bit: number): number {
  return Math.floor(bit / 8) + 1;
}

/** The string `lookupBits` found, made or made longer as needed to have `bytes` bytes. 0 after an error reply. */
export function growBits(c: Call, record: Offset, bytes: number): Offset {
  const to = growString(c, 1, record, record === 0 ? bytes : Math.max(bytes, stringLength(c.arena, record)));
  if (to === 0) c.reply.error(ERR.ARENA_FULL);
  return to;
}
