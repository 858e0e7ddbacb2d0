/**
 * Lists: how a key's list is made, read and changed, whichever of its two forms it has. Under the shard's lock; pushes
 * and pops cost some 10 ns beyond the key's lookup and allocate nothing outside the arena.
 *
 * A short list lies in its key's record: one block for key and value, and one cache miss. When it outgrows
 * INLINE_MAX_BYTES it becomes a root with nodes (list-node.ts), and when it has shrunk to INLINE_AGAIN_BYTES it goes back
 * into the record. Redis calls both forms `quicklist`, so nobody sees the difference.
 *
 * ```
 * inline value: u8 entries | the entries (list-entry.ts)      value word = bytes of all this; at most 127 entries
 * rooted:                                                      value word = offset of the root
 * ```
 * Example: RPUSH k a bc makes the inline value 02 | 01 61 01 | 02 62 63 02.
 *
 * `fill` is the setting list-max-listpack-size (`listFill`). Everything that may move the record returns its new offset.
 * A list is never empty: whoever takes the last element deletes the key instead.
 */
import { alloc, canHold, KIND_LIST_NODE, usableSize } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { createRecord, dropInline, resizeValue } from '../keyspace.ts';
import {
  ENC_INLINE,
  ENC_ROOT,
  recordType,
  setRecordEncoding,
  setValueWord,
  TYPE_LIST,
  valueStart,
  valueWord,
} from '../record.ts';
import type { Reply } from '../reply.ts';
import { settingIndex } from '../settings.ts';
import { hasRoot, registerValueOps } from '../values.ts';
import { nodeInsert, nodeReplace, rootRemove } from './list-edit.ts';
import {
  entryBefore,
  entryBytes,
  entryLength,
  entryNext,
  entryStart,
  removeEntries,
  replyEntries,
  writeEntry,
} from './list-entry.ts';
import {
  linkNode,
  NODE_BEGIN,
  NODE_COUNT,
  NODE_END,
  NODE_HEADER_BYTES,
  nodeContent,
  ROOT_COUNT,
  ROOT_HEAD,
  ROOT_NODES,
  rootBytes,
  rootCopy,
  rootCreate,
  rootDrop,
  rootDropOne,
  rootFree,
  rootPush,
  rootVerify,
  shrinkNode,
  verifyEntries,
} from './list-node.ts';
import { INLINE_HEADER_BYTES, ListRun, listLength } from './list-walk.ts';

export { ListRun, ListWalk, listLength } from './list-walk.ts';

/** A longer list gets nodes. Keeps what LPUSH moves short, and the count within its byte: an entry has two bytes or more. */
const INLINE_MAX_BYTES = 255;
/**
 * A list with one node and this few bytes of entries goes back into its record: so far below the other limit that no
 * list goes to and fro at every command.
 */
const INLINE_AGAIN_BYTES = 64;
/** A record whose value takes less than this part of its block after a removal moves to a smaller one. */
const RECORD_SHRINK_PART = 3;
/** What a push may take from the arena beyond the element's own bytes: nodes that grow or split. */
const PUSH_HEADROOM_BYTES = 256 * 1024;

const LIST_FILL = settingIndex('list-max-listpack-size');

/** Scratch of this module's reading functions. */
const run = new ListRun();

export function isList(a: Arena, record: Offset): boolean {
  return recordType(a, record) === TYPE_LIST;
}

/** What OBJECT ENCODING says. */
export function encodingName(_a: Arena, _record: Offset): string {
  return 'quicklist';
}

/** The setting list-max-listpack-size, for the functions below. */
export function listFill(c: Call): number {
  return c.settings.f64[LIST_FILL];
}

/** Whether the arena surely has room for another element of this length: for elements that do not come from the request. */
export function canPush(a: Arena, length: number): boolean {
  return canHold(a, length + PUSH_HEADROOM_BYTES);
}

/**
 * Makes the list of a key that is absent (the key of the call's last lookup, argument i) from the arguments `from` and
 * after, pushed one by one at one end.
 */
export function createList(c: Call, i: number, front: boolean, from: number): Offset {
  let bytes = INLINE_HEADER_BYTES;
  for (let arg = from; arg < c.argc; arg++) bytes += entryBytes(c.len[arg]);
  const a = c.arena;
  if (bytes > INLINE_MAX_BYTES) {
    const root = rootCreate(a);
    const fill = listFill(c);
    try {
      for (let arg = from; arg < c.argc; arg++) rootPush(a, root, front, c.buf, c.off[arg], c.len[arg], fill);
      return createRooted(c, i, root);
    } catch (error) {
      rootFree(a, root);
      throw error;
    }
  }
  const record = createRecord(c, i, TYPE_LIST, bytes);
  const value = valueStart(a, record);
  a.u8[value] = c.argc - from;
  let at = front ? value + bytes : value + INLINE_HEADER_BYTES;
  for (let arg = from; arg < c.argc; arg++) {
    const size = entryBytes(c.len[arg]);
    if (front) at -= size;
    writeEntry(a.u8, at, c.buf, c.off[arg], c.len[arg]);
    if (!front) at += size;
  }
  return record;
}

/** `createList` with one element from anywhere but the arena's records. */
export function createListOf(c: Call, i: number, buf: Uint8Array, start: number, length: number): Offset {
  const a = c.arena;
  const bytes = INLINE_HEADER_BYTES + entryBytes(length);
  if (bytes > INLINE_MAX_BYTES) {
    const root = rootCreate(a);
    rootPush(a, root, false, buf, start, length, listFill(c));
    return createRooted(c, i, root);
  }
  const record = createRecord(c, i, TYPE_LIST, bytes);
  const value = valueStart(a, record);
  a.u8[value] = 1;
  writeEntry(a.u8, value + INLINE_HEADER_BYTES, buf, start, length);
  return record;
}

function createRooted(c: Call, i: number, root: Offset): Offset {
  const record = createRecord(c, i, TYPE_LIST, 0);
  setRecordEncoding(c.arena, record, ENC_ROOT);
  setValueWord(c.arena, record, root);
  return record;
}

/** Adds an element at one end. Its bytes lie outside this list. */
export function listPush(
  a: Arena,
  record: Offset,
  front: boolean,
  buf: Uint8Array,
  start: number,
  length: number,
  fill: number,
): Offset {
  if (!hasRoot(a, record)) {
    const size = entryBytes(length);
    const used = valueWord(a, record);
    if (used + size <= INLINE_MAX_BYTES) {
      const at = front ? INLINE_HEADER_BYTES : used;
      return inlineWrite(a, record, at, 0, buf, start, length);
    }
    record = toRoot(a, record, front);
  }
  rootPush(a, valueWord(a, record), front, buf, start, length, fill);
  return record;
}

/** Writes an entry over the `oldBytes` at `at` (from the value's start) of an inline list that has room for it. */
function inlineWrite(
  a: Arena,
  record: Offset,
  at: number,
  oldBytes: number,
  buf: Uint8Array,
  start: number,
  length: number,
): Offset {
  const size = entryBytes(length);
  const used = valueWord(a, record);
  const to = inlineResize(a, record, used + size - oldBytes);
  const u8 = a.u8;
  const value = valueStart(a, to);
  if (at + oldBytes < used) u8.copyWithin(value + at + size, value + at + oldBytes, value + used);
  writeEntry(u8, value + at, buf, start, length);
  if (oldBytes === 0) u8[value]++;
  return to;
}

/** Gives an inline list room for `bytes`, with half as much again when it has to move, and sets its value word. */
function inlineResize(a: Arena, record: Offset, bytes: number): Offset {
  let to = record;
  if (valueStart(a, record) - record + bytes > usableSize(a, record)) {
    to = resizeValue(a, record, Math.min(INLINE_MAX_BYTES, bytes + (bytes >>> 1)));
  }
  setValueWord(a, to, bytes);
  return to;
}

/** After a removal: gives back room that an inline list no longer needs, unless the arena is too full to move it. */
function inlineShrink(a: Arena, record: Offset): Offset {
  const bytes = valueWord(a, record);
  const need = valueStart(a, record) - record + bytes;
  if (need * RECORD_SHRINK_PART > usableSize(a, record) || !canHold(a, need)) return record;
  return resizeValue(a, record, bytes);
}

/** Gives an inline list nodes, with room to grow at one end. */
function toRoot(a: Arena, record: Offset, front: boolean): Offset {
  const value = valueStart(a, record);
  const content = valueWord(a, record) - INLINE_HEADER_BYTES;
  const root = rootCreate(a);
  const node = alloc(a, 2 * (INLINE_MAX_BYTES + 1), KIND_LIST_NODE);
  linkNode(a, root, node, 0, 0);
  const begin = front ? usableSize(a, node) - content : NODE_HEADER_BYTES;
  const from = value + INLINE_HEADER_BYTES;
  a.u8.copyWithin(node + begin, from, from + content);
  a.u32[(node + NODE_BEGIN) >>> 2] = begin;
  a.u32[(node + NODE_END) >>> 2] = begin + content;
  a.u32[(node + NODE_COUNT) >>> 2] = a.u8[value];
  a.u32[(root + ROOT_COUNT) >>> 2] = a.u8[value];
  const to = dropInline(a, record);
  setRecordEncoding(a, to, ENC_ROOT);
  setValueWord(a, to, root);
  return to;
}

/** After a removal: puts a short list back into its record, or lets a node that is alone shrink. */
function settle(a: Arena, record: Offset): Offset {
  const root = valueWord(a, record);
  if (a.u32[(root + ROOT_NODES) >>> 2] !== 1) return record;
  const node = a.u32[(root + ROOT_HEAD) >>> 2];
  const content = nodeContent(a, node);
  if (content > INLINE_AGAIN_BYTES) {
    shrinkNode(a, node);
    return record;
  }
  const bytes = INLINE_HEADER_BYTES + content;
  if (!canHold(a, valueStart(a, record) - record + bytes)) return record;
  setRecordEncoding(a, record, ENC_INLINE);
  setValueWord(a, record, 0);
  const to = resizeValue(a, record, bytes);
  const value = valueStart(a, to);
  const from = node + a.u32[(node + NODE_BEGIN) >>> 2];
  a.u8[value] = a.u32[(node + NODE_COUNT) >>> 2];
  a.u8.copyWithin(value + INLINE_HEADER_BYTES, from, from + content);
  rootFree(a, root);
  return to;
}

/** Where the first or the last entry is (list-entry.ts: `entryStart`, `entryLength`). */
export function listEnd(a: Arena, record: Offset, front: boolean): Offset {
  run.start(a, record, !front);
  return front ? run.begin : entryBefore(a.u8, run.end);
}

/** Where the entry with this index is (0 <= index < length). */
export function listEntry(a: Arena, record: Offset, index: number): Offset {
  return run.entry(a, run.seek(a, record, index));
}

/** Replies with the element of an entry as a bulk string. */
export function replyEntry(a: Arena, at: Offset, reply: Reply): void {
  reply.bulk(a.u8, entryStart(a.u8, at), entryLength(a.u8, at));
}

/** Replies with `count` elements from `index` on as bulk strings (index + count <= length). */
export function replyRange(a: Arena, record: Offset, index: number, count: number, reply: Reply): void {
  let within = run.seek(a, record, index);
  while (count > 0) {
    const here = Math.min(count, run.count - within);
    replyEntries(a, run.entry(a, within), run.end, here, reply);
    count -= here;
    within = 0;
    run.next(a);
  }
}

/** Removes the first or the last entry of a list of two or more. */
export function listDropOne(a: Arena, record: Offset, front: boolean): Offset {
  if (hasRoot(a, record)) {
    rootDropOne(a, valueWord(a, record), front);
    return settle(a, record);
  }
  const u8 = a.u8;
  const value = valueStart(a, record);
  const end = value + valueWord(a, record);
  const begin = value + INLINE_HEADER_BYTES;
  const size = front ? entryNext(u8, begin) - begin : end - entryBefore(u8, end);
  if (front) u8.copyWithin(begin, begin + size, end);
  u8[value]--;
  setValueWord(a, record, end - value - size);
  return inlineShrink(a, record);
}

/** Removes `first` entries at the front and `last` at the back, of a list that has more than that. */
export function listTrim(a: Arena, record: Offset, first: number, last: number): Offset {
  if (hasRoot(a, record)) {
    rootDrop(a, valueWord(a, record), true, first);
    rootDrop(a, valueWord(a, record), false, last);
    return settle(a, record);
  }
  const value = valueStart(a, record);
  run.start(a, record, false);
  const from = run.entry(a, first);
  const to = run.entry(a, run.count - last);
  a.u8.copyWithin(run.begin, from, to);
  a.u8[value] -= first + last;
  setValueWord(a, record, INLINE_HEADER_BYTES + to - from);
  return inlineShrink(a, record);
}

/**
 * Adds an element before the entry at `at`, or at the end of the list's last entry; `node` is the run it was found in (0:
 * inline). The element's bytes lie outside this list.
 */
export function listInsert(
  a: Arena,
  record: Offset,
  node: Offset,
  at: Offset,
  buf: Uint8Array,
  start: number,
  length: number,
  fill: number,
): Offset {
  if (node === 0) {
    const value = valueStart(a, record);
    if (valueWord(a, record) + entryBytes(length) <= INLINE_MAX_BYTES) {
      return inlineWrite(a, record, at - value, 0, buf, start, length);
    }
    record = toRoot(a, record, false);
    node = a.u32[(valueWord(a, record) + ROOT_HEAD) >>> 2];
    at += node + NODE_HEADER_BYTES - value - INLINE_HEADER_BYTES;
  }
  nodeInsert(a, valueWord(a, record), node, at, buf, start, length, fill);
  return record;
}

/** Puts an element in the place of the one with this index (0 <= index < length). Its bytes lie outside this list. */
export function listSet(
  a: Arena,
  record: Offset,
  index: number,
  buf: Uint8Array,
  start: number,
  length: number,
  fill: number,
): Offset {
  let at = listEntry(a, record, index);
  let node = run.node;
  if (node === 0) {
    const value = valueStart(a, record);
    const oldBytes = entryNext(a.u8, at) - at;
    if (valueWord(a, record) + entryBytes(length) - oldBytes <= INLINE_MAX_BYTES) {
      return inlineShrink(a, inlineWrite(a, record, at - value, oldBytes, buf, start, length));
    }
    record = toRoot(a, record, false);
    node = a.u32[(valueWord(a, record) + ROOT_HEAD) >>> 2];
    at += node + NODE_HEADER_BYTES - value - INLINE_HEADER_BYTES;
  }
  nodeReplace(a, valueWord(a, record), node, at, buf, start, length, fill);
  return record;
}

/**
 * Removes up to `limit` entries that hold these bytes, the first or (`fromBack`) the last ones. When that is all of them
 * the list is left empty, and the caller deletes the key.
 */
export function listRemove(
  a: Arena,
  record: Offset,
  fromBack: boolean,
  limit: number,
  buf: Uint8Array,
  start: number,
  length: number,
  fill: number,
): Offset {
  if (hasRoot(a, record)) {
    const removed = rootRemove(a, valueWord(a, record), fromBack, limit, buf, start, length, fill);
    return removed === 0 ? record : settle(a, record);
  }
  run.start(a, record, false);
  const removed = removeEntries(a.u8, run.begin, run.end, fromBack, limit, buf, start, length);
  if (removed === 0) return record;
  const bytes = removed * entryBytes(length);
  if (fromBack) a.u8.copyWithin(run.begin, run.begin + bytes, run.end);
  a.u8[valueStart(a, record)] -= removed;
  setValueWord(a, record, valueWord(a, record) - bytes);
  return inlineShrink(a, record);
}

/** Throws when something about the list is not as it must be. For tests; O(n). */
export function verifyList(a: Arena, record: Offset): void {
  if (hasRoot(a, record)) return rootVerify(a, valueWord(a, record));
  if (valueWord(a, record) > INLINE_MAX_BYTES) throw new Error('list: the record holds too much');
  if (listLength(a, record) === 0) throw new Error('list: empty');
  run.start(a, record, false);
  verifyEntries(a, run.begin, run.end, run.count);
}

registerValueOps(TYPE_LIST, { free: rootFree, bytes: rootBytes, verify: rootVerify, copy: rootCopy });
