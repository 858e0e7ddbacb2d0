/**
 * The keys of a shard: one table per database, made when first used. Handlers look keys up, make, resize and delete
 * records through these functions only. Runs under the shard's lock.
 *
 * Every function that may move a record returns its new offset; the old one is dead. Offsets are good until the command
 * ends (compaction moves records only between commands, at `compactStep`).
 *
 * What may change or delete a record that was there before calls `preserve` (snapshot/epoch.ts) on it first: `lookupWrite`,
 * and those of the functions below that are used on what a read has found. A record is born saved.
 *
 * Reads change nothing but the access clock: an expired key is hidden from them, and deleted by the first write that
 * meets it or by the active cycle.
 */
import { initialAccess, touch } from './access.ts';
import { alloc, free, KIND_RECORD, registerRelocator, usableSize } from './alloc.ts';
import type { Arena, Offset } from './arena.ts';
import {
  COUNTER_EXPIRED,
  COUNTER_EXPIRING_KEYS,
  COUNTER_HITS,
  COUNTER_KEYS,
  COUNTER_MISSES,
  COUNTER_NEXT_EXPIRY,
  DATABASE_DIRECTORY_OFFSET,
  DATABASE_MAP_OFFSET,
  WORD_DATABASES,
  WORD_EPOCH,
  WORD_SNAPSHOT_STATE,
} from './arena.ts';
import { EXPIRING_COUNT, TABLE_NEXT_EXPIRY } from './bucket.ts';
import type { Call } from './call.ts';
import { expiryDueBucket, expiryRefresh } from './expiry.ts';
import {
  EXPIRY_BYTES,
  HEAD_EXPIRY,
  HEAD_KEYSPACE_SHIFT,
  HEAD_OF_VALUE,
  keyLength,
  keyStart,
  RECORD_HEADER_BYTES,
  recordExpiry,
  recordKeyspace,
  setValueWord,
  valueStart,
  valueWord,
} from './record.ts';
import { preserve, SNAPSHOT_SWEEPING } from './snapshot/epoch.ts';
import {
  bucketRecords,
  recordHash,
  TableWalk,
  tableCount,
  tableCreate,
  tableFind,
  tableFree,
  tableInsert,
  tableNoteExpiry,
  tableRemove,
  tableReplace,
  tableReserve,
} from './table.ts';
import { freeValue, hasRoot } from './values.ts';

/** The number of a database's keyspace (changed only by SWAPDB). */
export function keyspaceOf(a: Arena, db: number): number {
  return a.u16[(DATABASE_MAP_OFFSET >>> 1) + db] ^ db;
}

/** The database that a keyspace belongs to. Looks at up to all of them. */
export function databaseOf(a: Arena, keyspace: number): number {
  let db = 0;
  while (keyspaceOf(a, db) !== keyspace) db++;
  return db;
}

/** The table of a database; 0 when nothing was ever stored in it. */
export function tableOf(a: Arena, db: number): Offset {
  return a.u32[(DATABASE_DIRECTORY_OFFSET >>> 2) + keyspaceOf(a, db)];
}

function tableForInsert(a: Arena, db: number): Offset {
  const word = (DATABASE_DIRECTORY_OFFSET >>> 2) + keyspaceOf(a, db);
  if (a.u32[word] === 0) a.u32[word] = tableCreate(a, true);
  return a.u32[word];
}

/**
 * So many keys are about to be put into an empty database, over all shards: makes the tables of the shards [from, to) large
 * enough at once.
 */
export function reserveKeys(arenas: readonly Arena[], db: number, count: number, from: number, to: number): void {
  const share = Math.ceil(count / arenas.length);
  if (share === 0) return;
  for (const a of arenas) if (a.shard >= from && a.shard < to) tableReserve(a, tableForInsert(a, db), share);
}

function tableOfRecord(a: Arena, record: Offset): Offset {
  return a.u32[(DATABASE_DIRECTORY_OFFSET >>> 2) + recordKeyspace(a, record)];
}

/** Keys in a database of this shard, expired ones that are not yet deleted included. */
export function keyCount(a: Arena, db: number): number {
  const t = tableOf(a, db);
  return t === 0 ? 0 : tableCount(a, t);
}

/** Keys with an expiry in a database of this shard. */
export function expiringCount(a: Arena, db: number): number {
  const t = tableOf(a, db);
  return t === 0 ? 0 : a.u32[(t + EXPIRING_COUNT) >>> 2];
}

/** Finds the key in argument i without side effects, expired or not. Leaves its arena and hash in the call. */
function find(c: Call, i: number): Offset {
  c.hashKey(i);
  const t = tableOf(c.arena, c.db);
  return t === 0 ? 0 : tableFind(c.arena, t, c.hash, c.buf, c.off[i], c.len[i]);
}

export function isExpired(c: Call, record: Offset): boolean {
  return (c.arena.u32[record >>> 2] & HEAD_EXPIRY) !== 0 && recordExpiry(c.arena, record) <= c.nowMs;
}

/** For a read: the live record of the key in argument i, 0 when there is none. Counts a hit or miss and touches it. */
export function lookupRead(c: Call, i: number): Offset {
  return counted(c, find(c, i));
}

/** `lookupRead` for a key that is not an argument (SORT's BY and GET patterns). */
export function lookupReadAt(c: Call, buf: Uint8Array, start: number, length: number): Offset {
  c.hashKeyAt(buf, start, length);
  const t = tableOf(c.arena, c.db);
  return counted(c, t === 0 ? 0 : tableFind(c.arena, t, c.hash, buf, start, length));
}

/** The record if it is live, else 0; counts the hit or miss and touches it. */
function counted(c: Call, record: Offset): Offset {
  if (record === 0 || isExpired(c, record)) {
    c.arena.f64[COUNTER_MISSES]++;
    return 0;
  }
  c.arena.f64[COUNTER_HITS]++;
  if (!c.noTouch) touch(c, record);
  return record;
}

/** For a read that counts as a hit or miss but is no use of the key (OBJECT, TTL, TYPE, EXISTS). */
export function lookupPeek(c: Call, i: number): Offset {
  const record = lookupQuiet(c, i);
  c.arena.f64[record === 0 ? COUNTER_MISSES : COUNTER_HITS]++;
  return record;
}

/** The live record of the key in argument i, without counting or touching. */
export function lookupQuiet(c: Call, i: number): Offset {
  const record = find(c, i);
  return record === 0 || isExpired(c, record) ? 0 : record;
}

/** For a write: the live record of the key in argument i, 0 when there is none; deletes an expired one, touches a live one. */
export function lookupWrite(c: Call, i: number): Offset {
  const record = find(c, i);
  if (record === 0) return 0;
  if (isExpired(c, record)) {
    deleteRecord(c.arena, record);
    c.arena.f64[COUNTER_EXPIRED]++;
    return 0;
  }
  preserve(c.arena, record);
  if (!c.noTouch) touch(c, record);
  return record;
}

/**
 * Makes the record of a key that is absent from the call's database: the key of the last lookup (`c.arena`, `c.hash`),
 * which is argument i. The inline value has room for `valueLength` bytes, which the caller writes at `valueStart`.
 */
export function createRecord(c: Call, i: number, type: number, valueLength: number): Offset {
  return createRecordAt(c, c.db, c.buf, c.off[i], c.len[i], type, valueLength, 0);
}

/**
 * `createRecord` for any database and a key anywhere in memory; `expireAtMs` 0 for none. `c.arena` and `c.hash` are the
 * key's. The key's bytes may lie in the same arena.
 */
export function createRecordAt(
  c: Call,
  db: number,
  buf: Uint8Array,
  start: number,
  length: number,
  type: number,
  valueLength: number,
  expireAtMs: number,
): Offset {
  const a = c.arena;
  const t = tableForInsert(a, db);
  const record = newRecord(a, buf, start, length, valueLength, expireAtMs);
  a.u32[record >>> 2] |= type | (keyspaceOf(a, db) << HEAD_KEYSPACE_SHIFT);
  a.u32[(record + 4) >>> 2] = initialAccess(c);
  try {
    tableInsert(a, t, c.hash, record);
  } catch (error) {
    free(a, record);
    throw error;
  }
  a.f64[COUNTER_KEYS]++;
  if (expireAtMs !== 0) noteExpiring(a, t, c.hash, expireAtMs, 1);
  return record;
}

/** A block with header, expiry if any, and key; type, keyspace and access clock are the caller's to set. */
function newRecord(
  a: Arena,
  buf: Uint8Array,
  start: number,
  length: number,
  valueLength: number,
  expireAtMs: number,
): Offset {
  const expiryBytes = expireAtMs === 0 ? 0 : EXPIRY_BYTES;
  const record = alloc(a, RECORD_HEADER_BYTES + expiryBytes + length + valueLength, KIND_RECORD);
  const word = record >>> 2;
  a.u32[word] = expireAtMs === 0 ? a.u32[WORD_EPOCH] : a.u32[WORD_EPOCH] | HEAD_EXPIRY;
  a.u32[word + 2] = length;
  a.u32[word + 3] = valueLength;
  if (expireAtMs !== 0) a.f64[(record + RECORD_HEADER_BYTES) >>> 3] = expireAtMs;
  copyBytes(a.u8, record + RECORD_HEADER_BYTES + expiryBytes, buf, start, length);
  return record;
}

/** Below this many bytes a loop beats `set` with its two views. */
const LOOP_BYTES = 96;

/** Copies `length` bytes; the ranges do not overlap. */
export function copyBytes(to: Uint8Array, at: number, from: Uint8Array, start: number, length: number): void {
  if (length <= LOOP_BYTES) for (let i = 0; i < length; i++) to[at + i] = from[start + i];
  else to.set(from.subarray(start, start + length), at);
}

function noteExpiring(a: Arena, t: Offset, hash: number, atMs: number, added: number): void {
  tableNoteExpiry(a, t, hash, atMs);
  a.u32[(t + EXPIRING_COUNT) >>> 2] += added;
  a.f64[COUNTER_EXPIRING_KEYS] += added;
  if (atMs < a.f64[COUNTER_NEXT_EXPIRY]) a.f64[COUNTER_NEXT_EXPIRY] = atMs;
}

/**
 * Gives a record whose value is inline room for `valueLength` bytes of value, keeping as many of its bytes as fit, and
 * sets the value word. In place when the block is large enough and not more than twice too large.
 */
export function resizeValue(a: Arena, record: Offset, valueLength: number): Offset {
  const need = valueStart(a, record) - record + valueLength;
  const usable = usableSize(a, record);
  if (need <= usable && (need * 2 >= usable || usable <= 64)) {
    setValueWord(a, record, valueLength);
    return record;
  }
  const kept = Math.min(need, valueStart(a, record) - record + valueWord(a, record));
  const to = moveRecord(a, record, need, kept);
  setValueWord(a, to, valueLength);
  return to;
}

/**
 * Gives the record found by the call's last lookup (`c.arena`, `c.hash`) a new type, value and expiry, freeing what the
 * old value had: SET over anything. The inline value has room for `valueLength` bytes, which the caller writes;
 * `expireAtMs` 0 for none. One allocation at most, and none when the block fits (as in `resizeValue`) and the key goes
 * on having, or not having, an expiry.
 */
export function overwriteRecord(
  c: Call,
  record: Offset,
  type: number,
  valueLength: number,
  expireAtMs: number,
): Offset {
  const a = c.arena;
  const word = record >>> 2;
  const head = a.u32[word];
  const had = (head & HEAD_EXPIRY) !== 0;
  const has = expireAtMs !== 0;
  const need = RECORD_HEADER_BYTES + (has ? EXPIRY_BYTES : 0) + a.u32[word + 2] + valueLength;
  const usable = usableSize(a, record);
  let to = record;
  if (had === has && need <= usable && (need * 2 >= usable || usable <= 64)) {
    freeValue(a, record);
  } else {
    to = newRecord(a, a.u8, keyStart(a, record), a.u32[word + 2], valueLength, expireAtMs);
    a.u32[(to + 4) >>> 2] = a.u32[word + 1];
    tableReplace(a, tableOf(a, c.db), c.hash, record, to);
    freeValue(a, record);
    free(a, record);
  }
  a.u32[to >>> 2] = (head & ~HEAD_OF_VALUE) | type | (has ? HEAD_EXPIRY : 0);
  setValueWord(a, to, valueLength);
  if (has) {
    a.f64[(to + RECORD_HEADER_BYTES) >>> 3] = expireAtMs;
    noteExpiring(a, tableOf(a, c.db), c.hash, expireAtMs, had ? 0 : 1);
  } else if (had) {
    a.u32[(tableOf(a, c.db) + EXPIRING_COUNT) >>> 2]--;
    a.f64[COUNTER_EXPIRING_KEYS]--;
  }
  return to;
}

/** Drops the inline value's room: for a record whose value becomes a root (set the value word and encoding afterwards). */
export function dropInline(a: Arena, record: Offset): Offset {
  return resizeValue(a, record, 0);
}

/** Copies the first `kept` bytes of a record into a new block of `need` bytes, puts it into the table, frees the old one. */
function moveRecord(a: Arena, record: Offset, need: number, kept: number): Offset {
  const to = alloc(a, need, KIND_RECORD);
  a.u8.copyWithin(to, record, record + kept);
  recordMoved(a, record, to);
  free(a, record);
  return to;
}

function recordMoved(a: Arena, from: Offset, to: Offset): void {
  tableReplace(a, tableOfRecord(a, to), recordHash(a, to), from, to);
}

registerRelocator(KIND_RECORD, recordMoved);

/** Sets when a record expires (ms since 1970). Moves it when it had no expiry. */
export function setExpiry(a: Arena, record: Offset, atMs: number): Offset {
  preserve(a, record);
  let to = record;
  const t = tableOfRecord(a, record);
  const had = (a.u32[record >>> 2] & HEAD_EXPIRY) !== 0;
  if (!had) to = shiftForExpiry(a, record, EXPIRY_BYTES);
  a.f64[(to + RECORD_HEADER_BYTES) >>> 3] = atMs;
  noteExpiring(a, t, recordHash(a, to), atMs, had ? 0 : 1);
  return to;
}

/** Takes a record's expiry away. Moves it when it had one. */
export function clearExpiry(a: Arena, record: Offset): Offset {
  if ((a.u32[record >>> 2] & HEAD_EXPIRY) === 0) return record;
  preserve(a, record);
  a.u32[(tableOfRecord(a, record) + EXPIRING_COUNT) >>> 2]--;
  a.f64[COUNTER_EXPIRING_KEYS]--;
  return shiftForExpiry(a, record, -EXPIRY_BYTES);
}

function shiftForExpiry(a: Arena, record: Offset, by: number): Offset {
  const inlineBytes = hasRoot(a, record) ? 0 : valueWord(a, record);
  const from = keyStart(a, record);
  const bytes = keyLength(a, record) + inlineBytes;
  const to = alloc(a, from - record + by + bytes, KIND_RECORD);
  a.u8.copyWithin(to, record, record + RECORD_HEADER_BYTES);
  a.u8.copyWithin(to + (from - record) + by, from, from + bytes);
  a.u32[to >>> 2] ^= HEAD_EXPIRY;
  recordMoved(a, record, to);
  free(a, record);
  return to;
}

/** Deletes a key: its value's blocks, its place in the table, its record. */
export function deleteRecord(a: Arena, record: Offset): void {
  preserve(a, record);
  freeValue(a, record);
  detachRecord(a, record);
  free(a, record);
}

/** Takes a record out of its table and counts, but frees nothing (RENAME takes the value over, MOVE the whole record). */
export function detachRecord(a: Arena, record: Offset): void {
  const t = tableOfRecord(a, record);
  tableRemove(a, t, recordHash(a, record), record);
  a.f64[COUNTER_KEYS]--;
  if ((a.u32[record >>> 2] & HEAD_EXPIRY) !== 0) {
    a.u32[(t + EXPIRING_COUNT) >>> 2]--;
    a.f64[COUNTER_EXPIRING_KEYS]--;
  }
}

/**
 * Puts a record that is in no table into a database of the call's arena, under the key of the last lookup (`c.hash`),
 * which is absent there: undoes `detachRecord`, perhaps elsewhere.
 */
export function attachRecord(c: Call, db: number, record: Offset): void {
  const a = c.arena;
  const t = tableForInsert(a, db);
  const head = a.u32[record >>> 2] & ((1 << HEAD_KEYSPACE_SHIFT) - 1);
  a.u32[record >>> 2] = head | (keyspaceOf(a, db) << HEAD_KEYSPACE_SHIFT);
  tableInsert(a, t, c.hash, record);
  a.f64[COUNTER_KEYS]++;
  if ((head & HEAD_EXPIRY) !== 0) noteExpiring(a, t, c.hash, recordExpiry(a, record), 1);
}

/** Exchanges the keyspaces of two databases in this shard. */
export function swapDatabases(a: Arena, one: number, other: number): void {
  const keyspaceOne = keyspaceOf(a, one);
  a.u16[(DATABASE_MAP_OFFSET >>> 1) + one] = keyspaceOf(a, other) ^ one;
  a.u16[(DATABASE_MAP_OFFSET >>> 1) + other] = keyspaceOne ^ other;
}

const walk = new TableWalk();

/** Deletes every key of a database in this shard; a snapshot under way was aborted before. O(keys). */
export function flushDatabase(a: Arena, db: number): void {
  const t = tableOf(a, db);
  if (t === 0) return;
  if (a.i32[WORD_SNAPSHOT_STATE] === SNAPSHOT_SWEEPING && tableCount(a, t) > 0) {
    throw new Error('keyspace: a database that a snapshot has not saved is flushed');
  }
  a.f64[COUNTER_KEYS] -= tableCount(a, t);
  a.f64[COUNTER_EXPIRING_KEYS] -= a.u32[(t + EXPIRING_COUNT) >>> 2];
  walk.start();
  for (let record = walk.next(a, t); record !== 0; record = walk.next(a, t)) {
    freeValue(a, record);
    free(a, record);
  }
  tableFree(a, t);
  a.u32[(DATABASE_DIRECTORY_OFFSET >>> 2) + keyspaceOf(a, db)] = 0;
}

const due: Offset[] = [];

/**
 * Deletes keys that have expired by `nowMs`, looking at `limit` buckets of the tables at the most. Returns how many it
 * looked at: 0 when nothing is due, and then the header's next expiry is good to sleep until. (A bucket can be due
 * without an expired key in it, when a TTL was taken away or prolonged; a look makes its bound exact again.)
 */
export function expireDue(a: Arena, nowMs: number, limit: number): number {
  let looked = 0;
  let next = Number.POSITIVE_INFINITY;
  const databases = a.u32[WORD_DATABASES];
  for (let keyspace = 0; keyspace < databases; keyspace++) {
    const t = a.u32[(DATABASE_DIRECTORY_OFFSET >>> 2) + keyspace];
    if (t === 0) continue;
    while (looked < limit) {
      const bucket = expiryDueBucket(a, t, nowMs);
      if (bucket < 0) break;
      looked++;
      expireBucket(a, t, bucket, nowMs);
    }
    next = Math.min(next, a.f64[(t + TABLE_NEXT_EXPIRY) >>> 3]);
  }
  a.f64[COUNTER_NEXT_EXPIRY] = next;
  return looked;
}

function expireBucket(a: Arena, t: Offset, bucket: number, nowMs: number): void {
  due.length = 0;
  bucketRecords(a, t, bucket, due);
  // Deleting may merge buckets, this one too: its bound is set while its number still means these records.
  expiryRefresh(a, t, bucket, nowMs);
  for (let i = 0; i < due.length; i++) {
    if (recordExpiry(a, due[i]) > nowMs) continue;
    deleteRecord(a, due[i]);
    a.f64[COUNTER_EXPIRED]++;
  }
}
