/** Inline values that change their length often: packs (pack.ts) and integer sets (intset.ts). Runs under the shard's lock. */
import { canHold, usableSize } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import { resizeValue } from '../keyspace.ts';
import { setValueWord, valueStart } from '../record.ts';

/** A block is changed for a smaller one when less than one in so many of its bytes is used. */
const SHRINK_PART = 2;
/** Blocks up to this size are kept. */
const SMALL_BYTES = 64;

/**
 * Makes an inline value `bytes` long, more than it was: in place when the block holds that, also a block that was made
 * larger on purpose. Returns the record, which may have moved.
 */
export function growValue(a: Arena, record: Offset, bytes: number): Offset {
  if (valueStart(a, record) - record + bytes > usableSize(a, record)) return resizeValue(a, record, bytes);
  setValueWord(a, record, bytes);
  return record;
}

/**
 * Makes an inline value `bytes` long, less than it was. Returns the record, which may have moved; never fails, since a full
 * arena must not keep anyone from removing things.
 */
export function shrinkValue(a: Arena, record: Offset, bytes: number): Offset {
  setValueWord(a, record, bytes);
  const need = valueStart(a, record) - record + bytes;
  const usable = usableSize(a, record);
  if (usable <= SMALL_BYTES || need * SHRINK_PART >= usable || !canHold(a, need)) return record;
  return resizeValue(a, record, bytes);
}
