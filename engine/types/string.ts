/**
 * Strings: how their bytes lie in an arena, and how they are set, grown and read. Runs under the shard's lock.
 *
 * Up to 64 KiB the bytes lie inline behind the key (record.ts), so that a lookup has touched them already. Longer ones
 * have a root block of their own, a page run that never moves: giving such a key an expiry or another name then copies
 * 16 bytes and the key, not the value. Integers are kept as their decimal text: reading them back costs less than
 * printing them would.
 *
 * ```
 * root block: +0 u32 length in bytes | +4 unused | +8 the bytes, and what slack the block has
 * ```
 * A string that grows (APPEND, SETRANGE, SETBIT) gets twice the room it needs, above 1 MiB a MiB more than it needs, so
 * that appending byte by byte is linear in the end.
 */
import { alloc, arenaBytes, canHold, free, hasRoom, KIND_FIXED, usableSize } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import type { Footprint } from '../footprint.ts';
import {
  copyBytes,
  createRecordAt,
  deleteRecord,
  dropInline,
  lookupQuiet,
  overwriteRecord,
  resizeValue,
} from '../keyspace.ts';
import {
  ENC_ROOT,
  HEAD_EXPIRY,
  HEAD_OF_VALUE,
  HEAD_RAW,
  HEAD_TEXT,
  keyLength,
  RECORD_HEADER_BYTES,
  recordExpiry,
  recordType,
  setRecordEncoding,
  setValueWord,
  TYPE_STRING,
  valueStart,
  valueWord,
} from '../record.ts';
import { settingIndex } from '../settings.ts';
import { hasRoot, registerValueOps } from '../values.ts';

const MAX_BULK_BYTES = settingIndex('proto-max-bulk-len');
const APPENDONLY = settingIndex('appendonly');

/** The longest string that lies in its key's record. */
export const MAX_INLINE_BYTES = 65536;
const ROOT_HEADER_BYTES = 8;
/** Up to here a string that grows gets as much slack as it has bytes, from here on this much. */
const MAX_SLACK_BYTES = 1024 * 1024;
/** Of a shard that is fuller than this, strings that are logged get none. */
const SLACK_PART = 3 / 4;
/** Redis keeps strings up to here in one block with their header, and calls them embstr. */
const MAX_EMBSTR_BYTES = 44;
/** `expireAtMs` of `setString`: the key keeps the expiry it has. */
export const KEEP_EXPIRY = -1;

/** The longest string that a command may make. */
export function longestString(c: Call): number {
  return c.isReplay ? Number.POSITIVE_INFINITY : c.settings.f64[MAX_BULK_BYTES];
}

export function isString(a: Arena, record: Offset): boolean {
  return recordType(a, record) === TYPE_STRING;
}

export function stringLength(a: Arena, record: Offset): number {
  return hasRoot(a, record) ? a.u32[valueWord(a, record) >>> 2] : valueWord(a, record);
}

/** Where the string's bytes begin. */
export function stringStart(a: Arena, record: Offset): Offset {
  return hasRoot(a, record) ? valueWord(a, record) + ROOT_HEADER_BYTES : valueStart(a, record);
}

/** Up to which length the string can grow where it lies. */
function stringRoom(a: Arena, record: Offset): number {
  if (hasRoot(a, record)) return usableSize(a, valueWord(a, record)) - ROOT_HEADER_BYTES;
  return usableSize(a, record) - (valueStart(a, record) - record);
}

/**
 * What the string in argument 1 takes when a command makes it `length` bytes long. It has to lie elsewhere if those and `ahead` more
 * do not fit where it lies.
 */
export function addGrowth(c: Call, length: number, ahead: number, to: Footprint): void {
  if (length < 1 || length > longestString(c)) return;
  const record = lookupQuiet(c, 1);
  if (record !== 0 && isString(c.arena, record) && length + ahead <= stringRoom(c.arena, record)) return;
  to.addUnsure(length, length);
}

/**
 * Sets the key of the call's last lookup, which is argument i and has the live record `record` (0: none), to a copy of
 * `length` bytes of `from`. `expireAtMs` 0: no expiry. The bytes do not lie in the record itself.
 */
export function setString(
  c: Call,
  i: number,
  record: Offset,
  from: Uint8Array,
  start: number,
  length: number,
  expireAtMs: number,
): Offset {
  const a = c.arena;
  // The usual case, a value as long as the last one: its bytes, and nothing else.
  if (record !== 0 && expireAtMs === 0 && valueWord(a, record) === length && isPlain(a, record)) {
    copyBytes(a.u8, record + RECORD_HEADER_BYTES + keyLength(a, record), from, start, length);
    return record;
  }
  if (expireAtMs === KEEP_EXPIRY) {
    expireAtMs = record === 0 || (a.u32[record >>> 2] & HEAD_EXPIRY) === 0 ? 0 : recordExpiry(a, record);
  }
  if (length > MAX_INLINE_BYTES) {
    const root = newRoot(a, length, length);
    copyBytes(a.u8, root + ROOT_HEADER_BYTES, from, start, length);
    try {
      const to = makeRecord(c, i, record, 0, expireAtMs);
      linkRoot(a, to, root);
      return to;
    } catch (error) {
      free(a, root);
      throw error;
    }
  }
  const to = makeRecord(c, i, record, length, expireAtMs);
  copyBytes(a.u8, valueStart(a, to), from, start, length);
  return to;
}

/** Whether the value is an inline string with nothing special about it, and no expiry. */
function isPlain(a: Arena, record: Offset): boolean {
  return (a.u32[record >>> 2] & HEAD_OF_VALUE) === TYPE_STRING;
}

function makeRecord(c: Call, i: number, record: Offset, inlineBytes: number, expireAtMs: number): Offset {
  return record === 0
    ? createRecordAt(c, c.db, c.buf, c.off[i], c.len[i], TYPE_STRING, inlineBytes, expireAtMs)
    : overwriteRecord(c, record, TYPE_STRING, inlineBytes, expireAtMs);
}

function newRoot(a: Arena, length: number, capacity: number): Offset {
  const root = alloc(a, ROOT_HEADER_BYTES + capacity, KIND_FIXED);
  a.u32[root >>> 2] = length;
  return root;
}

function linkRoot(a: Arena, record: Offset, root: Offset): void {
  setRecordEncoding(a, record, ENC_ROOT);
  setValueWord(a, record, root);
}

/**
 * Makes the string at least `length` bytes long, with zeros behind what it had, for a command that then writes into it:
 * OBJECT ENCODING says `raw` from now on. `record` 0 makes the key of the last lookup, argument i. Returns 0, with
 * nothing changed, when the arena has no room.
 */
export function growString(c: Call, i: number, record: Offset, length: number): Offset {
  const a = c.arena;
  const isNew = record === 0;
  if (isNew) {
    if (!canHold(a, length + c.len[i])) return 0;
    record = createRecordAt(c, c.db, c.buf, c.off[i], c.len[i], TYPE_STRING, 0, 0);
  }
  const had = stringLength(a, record);
  if (length > had) {
    const grown = makeRoom(c, record, had, length);
    if (grown === 0) {
      // The record itself may have taken the last page.
      if (isNew) deleteRecord(a, record);
      return 0;
    }
    record = grown;
    const start = stringStart(a, record);
    a.u8.fill(0, start + had, start + length);
  }
  a.u32[record >>> 2] = (a.u32[record >>> 2] | HEAD_RAW) & ~HEAD_TEXT;
  return record;
}

/** Gives a string of `had` bytes room for `length`, more than it had, and makes that its length. 0 when there is no room. */
function makeRoom(c: Call, record: Offset, had: number, length: number): Offset {
  const a = c.arena;
  if (hasRoot(a, record)) {
    const root = valueWord(a, record);
    if (length <= stringRoom(a, record)) {
      a.u32[root >>> 2] = length;
      return record;
    }
    const grown = growRoot(c, root + ROOT_HEADER_BYTES, had, length);
    if (grown === 0) return 0;
    setValueWord(a, record, grown);
    free(a, root);
    return record;
  }
  if (length > MAX_INLINE_BYTES) {
    const root = growRoot(c, valueStart(a, record), had, length);
    if (root === 0) return 0;
    const to = dropInline(a, record);
    linkRoot(a, to, root);
    return to;
  }
  if (length > stringRoom(a, record)) {
    const capacity = had === 0 ? length : Math.min(length * 2, MAX_INLINE_BYTES);
    if (!canHold(a, keyLength(a, record) + capacity)) return 0;
    record = resizeValue(a, record, capacity);
  }
  setValueWord(a, record, length);
  return record;
}

/**
 * A root for `length` bytes with slack as the arena allows, beginning with the `had` bytes at `from`. What a log is to make again, or
 * other replicas make too, has slack only while there is plenty: in memory that is divided otherwise it might be all that is missing.
 */
function growRoot(c: Call, from: Offset, had: number, length: number): Offset {
  const a = c.arena;
  let capacity = had === 0 ? length : length + Math.min(length, MAX_SLACK_BYTES);
  const isKept = c.isReplay || c.isReplica || c.settings.f64[APPENDONLY] !== 0;
  if ((isKept && arenaBytes(a) + capacity > a.u8.length * SLACK_PART) || !hasRoom(a, capacity)) {
    capacity = length;
    if (!canHold(a, capacity)) return 0;
  }
  const root = newRoot(a, length, capacity);
  copyBytes(a.u8, root + ROOT_HEADER_BYTES, a.u8, from, had);
  return root;
}

/** Gives a record whose root is gone another one, with these bytes and no slack (repack.ts). */
export function placeString(a: Arena, record: Offset, bytes: Uint8Array): void {
  const root = newRoot(a, bytes.length, bytes.length);
  a.u8.set(bytes, root + ROOT_HEADER_BYTES);
  setValueWord(a, record, root);
}

registerValueOps(TYPE_STRING, {
  free,
  bytes: usableSize,
  verify(a, root) {
    const length = a.u32[root >>> 2];
    if (length <= MAX_INLINE_BYTES) throw new Error(`string: ${length} bytes have a root of their own`);
    if (ROOT_HEADER_BYTES + length > usableSize(a, root))
      throw new Error(`string: ${length} bytes overrun their block`);
  },
  copy(from, root, to) {
    const length = from.u32[root >>> 2];
    const copy = newRoot(to, length, length);
    copyBytes(to.u8, copy + ROOT_HEADER_BYTES, from.u8, root + ROOT_HEADER_BYTES, length);
    return copy;
  },
});

/** What OBJECT ENCODING says: `int`, `embstr` or `raw`, as if the string lay in a Redis server. */
export function encodingName(a: Arena, record: Offset): string {
  const length = stringLength(a, record);
  const head = a.u32[record >>> 2];
  if ((head & HEAD_RAW) !== 0 || length > MAX_EMBSTR_BYTES) return 'raw';
  return (head & HEAD_TEXT) === 0 && isInt64(a.u8, stringStart(a, record), length) ? 'int' : 'embstr';
}

const INT64_MAX_DIGITS = '9223372036854775807';
const INT64_MIN_DIGITS = '9223372036854775808';

/** Whether the bytes are the one decimal text of a signed 64-bit integer. */
function isInt64(u8: Uint8Array, start: number, length: number): boolean {
  const negative = length > 0 && u8[start] === 45;
  const digits = negative ? length - 1 : length;
  const first = negative ? start + 1 : start;
  if (digits < 1 || digits > 19) return false;
  for (let i = 0; i < digits; i++) if (u8[first + i] < 48 || u8[first + i] > 57) return false;
  if (u8[first] === 48 && length > 1) return false;
  if (digits < 19) return true;
  const limit = negative ? INT64_MIN_DIGITS : INT64_MAX_DIGITS;
  for (let i = 0; i < 19; i++) {
    const difference = u8[first + i] - limit.charCodeAt(i);
    if (difference !== 0) return difference < 0;
  }
  return true;
}
