/**
 * Streams: entries in order of their ids. Under the shard's lock; adding an entry at the end is O(1) and allocates nothing
 * outside the arena, finding one O(log n) and then a walk over part of a node.
 *
 * Entries lie in nodes (stream-node.ts), found by an index (stream-index.ts). Where one node ends and the next begins is
 * decided by Redis's own count of bytes and entries, since approximate trimming drops whole nodes and so shows it.
 *
 * ```
 * root (KIND_FIXED): +0 u32 entries | +4 to +15 the index's | +16 u32 upper, +20 u32 lower half of the entries ever added
 *   +24 last id: no new one may be at or below it | +40 id of the first entry, 0-0 for none | +56 highest id deleted by XDEL
 *   +72 the index's
 * ```
 * A stream may be empty: the key stays when its last entry goes.
 */
import { alloc, free, KIND_FIXED, usableSize } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import { TYPE_STREAM } from '../record.ts';
import type { Reply } from '../reply.ts';
import type { Request } from '../request.ts';
import { registerValueOps } from '../values.ts';
import { clearId, compareIds, copyId, ID_WORDS } from './stream-id.ts';
import {
  indexAppend,
  indexBytes,
  indexFree,
  indexInit,
  indexLast,
  indexVerify,
  NodeWalk,
  ROOT_BLOCK,
  ROOT_BYTES,
} from './stream-index.ts';
import {
  EntryCursor,
  NODE_LAST_ID,
  nodeAppend,
  nodeCopy,
  nodeCreate,
  nodeEntries,
  nodeErase,
  nodeListpackBytes,
  nodeLive,
  nodeTighten,
  nodeUsed,
  nodeVerify,
} from './stream-node.ts';

const ROOT_LENGTH = 0;
const ROOT_ADDED = 16;
const ROOT_LAST_ID = 24;
const ROOT_FIRST_ID = 40;
const ROOT_DELETED_ID = 56;

/** No node grows beyond this, whatever the settings, so that growing one never copies more. */
const MAX_NODE_BYTES = 1024 * 1024;
/** Redis's own bound of stream-node-max-bytes, and its value when that is 0. */
const MAX_LISTPACK_BYTES = 2 ** 30;
/** A new node is expected to grow as large as the one before it, up to this. */
const MAX_EXPECTED_BYTES = 4096;

const walk = new NodeWalk();
const cursor = new EntryCursor();

export function encodingName(): string {
  return 'stream';
}

export function streamCreate(a: Arena): Offset {
  const root = alloc(a, ROOT_BYTES, KIND_FIXED);
  a.u32.fill(0, root >>> 2, (root + ROOT_BYTES) >>> 2);
  indexInit(a, root);
  return root;
}

export function streamLength(a: Arena, root: Offset): number {
  return a.u32[(root + ROOT_LENGTH) >>> 2];
}

/** Word indexes, in `a.u32`, of the ids that a stream keeps. */
export function lastIdWord(root: Offset): number {
  return (root + ROOT_LAST_ID) >>> 2;
}

export function firstIdWord(root: Offset): number {
  return (root + ROOT_FIRST_ID) >>> 2;
}

export function deletedIdWord(root: Offset): number {
  return (root + ROOT_DELETED_ID) >>> 2;
}

/** Word index of the 64-bit number of entries ever added, upper half first. */
export function addedWord(root: Offset): number {
  return (root + ROOT_ADDED) >>> 2;
}

/**
 * Adds an entry of the fields and values in the arguments from `first` on. Its id, in four words of `id`, is above the
 * stream's last one. `maxBytes` and `maxEntries` are the settings stream-node-max-bytes and -entries.
 */
export function streamAppend(
  a: Arena,
  root: Offset,
  c: Request,
  first: number,
  id: Uint32Array,
  i: number,
  maxBytes: number,
  maxEntries: number,
): void {
  const u32 = a.u32;
  const last = indexLast(a, root);
  if (last !== 0 && hasRoom(a, last, stringBytes(c, first), maxBytes, maxEntries)) {
    nodeAppend(a, last, c, first, id, i);
  } else {
    const expected = last === 0 ? 0 : Math.min(nodeUsed(a, last), MAX_EXPECTED_BYTES);
    indexAppend(a, root, nodeCreate(a, c, first, id, i, expected));
    if (last !== 0) nodeTighten(a, last);
  }
  u32[(root + ROOT_LENGTH) >>> 2]++;
  const added = addedWord(root);
  u32[added + 1]++;
  if (u32[added + 1] === 0) u32[added]++;
  copyId(u32, lastIdWord(root), id, i);
  if (streamLength(a, root) === 1) copyId(u32, firstIdWord(root), id, i);
}

/** Bytes of the fields and values of an entry to be added. */
export function stringBytes(c: Request, first: number): number {
  let bytes = 0;
  for (let i = first; i < c.argc; i++) bytes += c.len[i];
  return bytes;
}

function hasRoom(a: Arena, node: Offset, bytes: number, maxBytes: number, maxEntries: number): boolean {
  const limit = maxBytes === 0 || maxBytes > MAX_LISTPACK_BYTES ? MAX_LISTPACK_BYTES : maxBytes;
  if (nodeListpackBytes(a, node) + bytes >= limit) return false;
  if (maxEntries > 0 && nodeEntries(a, node) >= maxEntries) return false;
  return nodeUsed(a, node) + bytes <= MAX_NODE_BYTES;
}

/** Deletes the entry with this id; false when there is none. */
export function streamDelete(a: Arena, root: Offset, id: Uint32Array, i: number): boolean {
  const node = walk.seek(a, root, id, i);
  if (node === 0 || !findAtLeast(a, node, id, i) || compareIds(cursor.id, 0, id, i) !== 0) return false;
  if (nodeLive(a, node) === 1) {
    walk.remove(a, root);
    free(a, node);
  } else {
    nodeErase(a, node, cursor.start, cursor.end, 1);
  }
  a.u32[(root + ROOT_LENGTH) >>> 2]--;
  if (compareIds(id, i, a.u32, deletedIdWord(root)) > 0) copyId(a.u32, deletedIdWord(root), id, i);
  return true;
}

/** Moves the cursor to the first entry of a node whose id is not below the given one; false when all are below. */
function findAtLeast(a: Arena, node: Offset, id: Uint32Array, i: number): boolean {
  for (let more = cursor.first(a, node); more; more = cursor.next(a)) {
    if (compareIds(cursor.id, 0, id, i) >= 0) return true;
  }
  return false;
}

/** Makes the recorded first id that of the first entry. */
export function noteFirstId(a: Arena, root: Offset): void {
  if (moveToEdge(a, root, false)) copyId(a.u32, firstIdWord(root), cursor.id, 0);
  else clearId(a.u32, firstIdWord(root));
}

/** Moves the cursor to the first or last entry; false when there is none. */
function moveToEdge(a: Arena, root: Offset, last: boolean): boolean {
  let node = last ? walk.last(a, root) : walk.first(a, root);
  while (node !== 0) {
    if (last ? cursor.last(a, node) : cursor.first(a, node)) return true;
    node = last ? walk.previous(a) : walk.next(a);
  }
  return false;
}

/** Puts the id of the last entry into `to`; 0-0 when there is none. */
export function lastEntryId(a: Arena, root: Offset, to: Uint32Array, i: number): void {
  if (moveToEdge(a, root, true)) copyId(to, i, cursor.id, 0);
  else clearId(to, i);
}

export const TRIM_NONE = 0;
export const TRIM_MAXLEN = 1;
export const TRIM_MINID = 2;

/** What to trim, and how far. Reused. */
export class Trim {
  strategy = TRIM_NONE;
  /** Drops whole nodes only. */
  approximate = false;
  maxLength = 0;
  readonly minId = new Uint32Array(ID_WORDS);
  /** Stop before the entries dropped are more than this; 0 for no limit. */
  limit = 0;
}

/** Drops entries from the front; returns how many. */
export function streamTrim(a: Arena, root: Offset, trim: Trim): number {
  const u32 = a.u32;
  let dropped = 0;
  for (let node = walk.first(a, root); node !== 0; node = walk.first(a, root)) {
    const length = streamLength(a, root);
    if (trim.strategy === TRIM_MAXLEN && length <= trim.maxLength) break;
    const entries = nodeLive(a, node);
    const most = trim.limit > 0 ? trim.limit - dropped : length;
    if (entries > most || !isOutside(a, node, length, trim)) {
      if (!trim.approximate) dropped += trimNode(a, root, node, trim, most);
      break;
    }
    walk.remove(a, root);
    free(a, node);
    u32[(root + ROOT_LENGTH) >>> 2] -= entries;
    dropped += entries;
  }
  if (dropped > 0) noteFirstId(a, root);
  return dropped;
}

/** Whether all of the first node goes. As in Redis, the last id of a node may be that of a deleted entry. */
function isOutside(a: Arena, node: Offset, length: number, trim: Trim): boolean {
  if (trim.strategy === TRIM_MAXLEN) return length - nodeLive(a, node) >= trim.maxLength;
  return compareIds(a.u32, (node + NODE_LAST_ID) >>> 2, trim.minId, 0) < 0;
}

/** Drops entries from the front of the first node, at most so many. */
function trimNode(a: Arena, root: Offset, node: Offset, trim: Trim, most: number): number {
  const excess = streamLength(a, root) - trim.maxLength;
  let dropped = 0;
  let from = 0;
  let to = 0;
  for (let more = cursor.first(a, node); more; more = cursor.next(a)) {
    if (dropped === most) break;
    if (trim.strategy === TRIM_MAXLEN ? dropped === excess : compareIds(cursor.id, 0, trim.minId, 0) >= 0) break;
    if (dropped++ === 0) from = cursor.start;
    to = cursor.end;
  }
  if (dropped === 0) return 0;
  nodeErase(a, node, from, to, dropped);
  a.u32[(root + ROOT_LENGTH) >>> 2] -= dropped;
  return dropped;
}

/**
 * Replies the entries from `start` to `end`, both included, as an array; in falling order when `reverse`. `count` 0: all.
 * Ids are in four words from the given index on.
 */
export function replyRange(
  a: Arena,
  root: Offset,
  start: Uint32Array,
  i: number,
  end: Uint32Array,
  j: number,
  count: number,
  reverse: boolean,
  reply: Reply,
): void {
  const mark = reply.open();
  let found = 0;
  let more = reverse ? seekBack(a, root, end, j) : seek(a, root, start, i);
  while (more && (reverse ? compareIds(cursor.id, 0, start, i) >= 0 : compareIds(cursor.id, 0, end, j) <= 0)) {
    cursor.reply(a, reply);
    if (++found === count) break;
    more = reverse ? stepBack(a) : step(a);
  }
  reply.closeArray(mark, found);
}

/** Replies the first or last entry; nil when there is none. */
export function replyEdge(a: Arena, root: Offset, last: boolean, reply: Reply): void {
  if (moveToEdge(a, root, last)) cursor.reply(a, reply);
  else reply.nil();
}

/** Moves the cursor to the first entry at or after an id. */
function seek(a: Arena, root: Offset, id: Uint32Array, i: number): boolean {
  const node = walk.seek(a, root, id, i);
  if (node === 0) return false;
  return findAtLeast(a, node, id, i) || stepNode(a);
}

/** Moves the cursor to the last entry at or before an id. */
function seekBack(a: Arena, root: Offset, id: Uint32Array, i: number): boolean {
  const node = walk.seek(a, root, id, i);
  if (node === 0) return false;
  if (findAtLeast(a, node, id, i)) return compareIds(cursor.id, 0, id, i) === 0 || stepBack(a);
  return cursor.last(a, node) || stepNodeBack(a);
}

function step(a: Arena): boolean {
  return cursor.next(a) || stepNode(a);
}

/** Goes to the next node's first entry. A node may be empty. */
function stepNode(a: Arena): boolean {
  for (let node = walk.next(a); node !== 0; node = walk.next(a)) if (cursor.first(a, node)) return true;
  return false;
}

function stepBack(a: Arena): boolean {
  return cursor.previous(a) || stepNodeBack(a);
}

function stepNodeBack(a: Arena): boolean {
  for (let node = walk.previous(a); node !== 0; node = walk.previous(a)) if (cursor.last(a, node)) return true;
  return false;
}

function streamFree(a: Arena, root: Offset): void {
  for (let node = walk.first(a, root); node !== 0; node = walk.next(a)) free(a, node);
  indexFree(a, root);
  free(a, root);
}

function streamBytes(a: Arena, root: Offset): number {
  let bytes = usableSize(a, root) + indexBytes(a, root);
  for (let node = walk.first(a, root); node !== 0; node = walk.next(a)) bytes += usableSize(a, node);
  return bytes;
}

function streamCopy(from: Arena, root: Offset, to: Arena): Offset {
  const copy = streamCreate(to);
  const target = to.u32;
  target[(copy + ROOT_LENGTH) >>> 2] = from.u32[(root + ROOT_LENGTH) >>> 2];
  // The entries added and the three ids lie one behind the other.
  for (let at = ROOT_ADDED; at < ROOT_BLOCK; at += 4) target[(copy + at) >>> 2] = from.u32[(root + at) >>> 2];
  for (let node = walk.first(from, root); node !== 0; node = walk.next(from)) {
    indexAppend(to, copy, nodeCopy(from, node, to));
  }
  return copy;
}

function streamVerify(a: Arena, root: Offset): void {
  indexVerify(a, root);
  const previous = new Uint32Array(ID_WORDS);
  let length = 0;
  for (let node = walk.first(a, root); node !== 0; node = walk.next(a)) {
    nodeVerify(a, node);
    length += nodeLive(a, node);
    if (!cursor.first(a, node)) continue;
    if (length > nodeLive(a, node) && compareIds(cursor.id, 0, previous, 0) <= 0)
      throw new Error('stream: nodes out of order');
    cursor.last(a, node);
    copyId(previous, 0, cursor.id, 0);
  }
  if (length !== streamLength(a, root)) throw new Error(`stream: ${length} entries in all`);
  if (compareIds(previous, 0, a.u32, lastIdWord(root)) > 0) throw new Error('stream: an entry after the last id');
}

registerValueOps(TYPE_STREAM, { free: streamFree, bytes: streamBytes, verify: streamVerify, copy: streamCopy });
