/**
 * Changes in the middle of a list of nodes (list-node.ts): LINSERT, LSET and LREM. Under the shard's lock. A change moves
 * the smaller part of its node, at most half of 8 KiB by default; a full node splits where the change is, and
 * neighbours that have become small are joined.
 */
import { alloc, canHold, KIND_LIST_NODE, usableSize } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import { entryBytes, entryLength, removeEntries, writeEntry } from './list-entry.ts';
import {
  grownBytes,
  hasRoom,
  linkNode,
  maxNodeBytes,
  maxNodeEntries,
  moveNode,
  NODE_BEGIN,
  NODE_COUNT,
  NODE_END,
  NODE_HEADER_BYTES,
  NODE_NEXT,
  NODE_PREV,
  nodeContent,
  nodePush,
  ROOT_COUNT,
  ROOT_HEAD,
  ROOT_TAIL,
  shrinkNode,
  unlinkNode,
} from './list-node.ts';

/** Neighbours are joined when their entries together take at most this part of a node. */
const JOIN_PART = 2;

/**
 * Adds an element before the entry at `at`, which lies in `node`; `at` may be the end of its last entry. The element's
 * bytes lie outside the list.
 */
export function nodeInsert(
  a: Arena,
  root: Offset,
  node: Offset,
  at: Offset,
  buf: Uint8Array,
  start: number,
  length: number,
  fill: number,
): void {
  const need = entryBytes(length);
  if (a.u32[(node + NODE_COUNT) >>> 2] < maxNodeEntries(fill)) {
    const gap = openGap(a, node, at - node, 0, need, fill);
    if (gap !== 0) {
      writeEntry(a.u8, gap, buf, start, length);
      countEntry(a, root, gapNode);
      return;
    }
  }
  insertBetween(a, root, node, at, buf, start, length, fill);
}

/** Puts another element in the place of the entry at `at`, which lies in `node`. */
export function nodeReplace(
  a: Arena,
  root: Offset,
  node: Offset,
  at: Offset,
  buf: Uint8Array,
  start: number,
  length: number,
  fill: number,
): void {
  const oldBytes = entryBytes(entryLength(a.u8, at));
  const gap = openGap(a, node, at - node, oldBytes, entryBytes(length), fill);
  if (gap !== 0) {
    writeEntry(a.u8, gap, buf, start, length);
    shrinkNode(a, gapNode);
    return;
  }
  const old = a.u8.slice(at, at + oldBytes);
  const hole = openGap(a, node, at - node, oldBytes, 0, fill);
  a.u32[(node + NODE_COUNT) >>> 2]--;
  a.u32[(root + ROOT_COUNT) >>> 2]--;
  try {
    insertBetween(a, root, node, hole, buf, start, length, fill);
  } catch (error) {
    // There was no room. What was taken out goes back: the node has room for it, at an end of it if it was cut there meanwhile.
    a.u8.set(old, openGap(a, node, hole - node, 0, oldBytes, fill));
    countEntry(a, root, node);
    throw error;
  }
}

function countEntry(a: Arena, root: Offset, node: Offset): void {
  a.u32[(node + NODE_COUNT) >>> 2]++;
  a.u32[(root + ROOT_COUNT) >>> 2]++;
}

/** The node in which the last `openGap` made its gap: it may have moved the node. */
let gapNode: Offset = 0;

/**
 * Makes `newBytes` of room where `oldBytes` of entries begin at `at` (counted from the node's start), by moving what
 * lies before or behind, whichever is shorter and has room to go; else by moving the node to a larger block. Returns
 * where the room is, 0 when the node may not grow so far: then nothing has changed.
 */
function openGap(a: Arena, node: Offset, at: number, oldBytes: number, newBytes: number, fill: number): Offset {
  const u32 = a.u32;
  const begin = u32[(node + NODE_BEGIN) >>> 2];
  const end = u32[(node + NODE_END) >>> 2];
  const more = newBytes - oldBytes;
  const before = at - begin;
  const behind = end - at - oldBytes;
  const fitsBefore = begin - more >= NODE_HEADER_BYTES;
  const fitsBehind = end + more <= usableSize(a, node);
  gapNode = node;
  if (fitsBefore && (before <= behind || !fitsBehind)) {
    a.u8.copyWithin(node + begin - more, node + begin, node + at);
    u32[(node + NODE_BEGIN) >>> 2] = begin - more;
    return node + at - more;
  }
  if (fitsBehind) {
    a.u8.copyWithin(node + at + newBytes, node + at + oldBytes, node + end);
    u32[(node + NODE_END) >>> 2] = end + more;
    return node + at;
  }
  const max = maxNodeBytes(fill);
  const used = NODE_HEADER_BYTES + end - begin + more;
  if (used > max && before + behind > 0) return 0;
  const to = alloc(a, grownBytes(used, newBytes, usableSize(a, node), max), KIND_LIST_NODE);
  gapNode = moveNode(a, node, to, NODE_HEADER_BYTES + ((usableSize(a, to) - used) >>> 1));
  const from = gapNode + u32[(gapNode + NODE_BEGIN) >>> 2] + before;
  a.u8.copyWithin(from + newBytes, from + oldBytes, from + oldBytes + behind);
  u32[(gapNode + NODE_END) >>> 2] += more;
  return from;
}

/** Adds an element at `at` in a node that has no room for it: to a neighbour, or between the halves of the node. */
function insertBetween(
  a: Arena,
  root: Offset,
  node: Offset,
  at: Offset,
  buf: Uint8Array,
  start: number,
  length: number,
  fill: number,
): void {
  const u32 = a.u32;
  const need = entryBytes(length);
  let before = node;
  if (at === node + u32[(node + NODE_BEGIN) >>> 2]) before = u32[(node + NODE_PREV) >>> 2];
  else if (at !== node + u32[(node + NODE_END) >>> 2]) before = splitNode(a, root, node, at);
  const behind = u32[(before === 0 ? root + ROOT_HEAD : before + NODE_NEXT) >>> 2];
  // A node without room makes nodePush add one, which lies between the two whichever is asked.
  if (before !== 0 && (behind === 0 || hasRoom(a, before, need, fill))) {
    nodePush(a, root, before, false, buf, start, length, fill);
  } else {
    nodePush(a, root, behind, true, buf, start, length, fill);
  }
}

/** Cuts a node in two at an entry's start, moving the smaller part to a new node. Returns the first of the two. */
function splitNode(a: Arena, root: Offset, node: Offset, at: Offset): Offset {
  const u32 = a.u32;
  const begin = node + u32[(node + NODE_BEGIN) >>> 2];
  const end = node + u32[(node + NODE_END) >>> 2];
  const movesFirst = at - begin < end - at;
  const from = movesFirst ? begin : at;
  const to = movesFirst ? at : end;
  const block = alloc(a, NODE_HEADER_BYTES + to - from, KIND_LIST_NODE);
  a.u8.copyWithin(block + NODE_HEADER_BYTES, from, to);
  if (movesFirst) linkNode(a, root, block, u32[(node + NODE_PREV) >>> 2], node);
  else linkNode(a, root, block, node, u32[(node + NODE_NEXT) >>> 2]);
  const count = countEntries(a.u8, from, to);
  u32[(block + NODE_COUNT) >>> 2] = count;
  u32[(block + NODE_BEGIN) >>> 2] = NODE_HEADER_BYTES;
  u32[(block + NODE_END) >>> 2] = NODE_HEADER_BYTES + to - from;
  u32[(node + NODE_COUNT) >>> 2] -= count;
  u32[(node + (movesFirst ? NODE_BEGIN : NODE_END)) >>> 2] = at - node;
  return movesFirst ? block : node;
}

function countEntries(u8: Uint8Array, from: Offset, to: Offset): number {
  let count = 0;
  for (let at = from; at < to; at += entryBytes(entryLength(u8, at))) count++;
  return count;
}

/**
 * Removes up to `limit` entries that hold these bytes, the first ones or (`fromBack`) the last ones of the list. Returns
 * how many. The list may be left empty, without nodes.
 */
export function rootRemove(
  a: Arena,
  root: Offset,
  fromBack: boolean,
  limit: number,
  buf: Uint8Array,
  start: number,
  length: number,
  fill: number,
): number {
  const u32 = a.u32;
  const onward = fromBack ? NODE_PREV : NODE_NEXT;
  let removed = 0;
  let node = u32[(root + (fromBack ? ROOT_TAIL : ROOT_HEAD)) >>> 2];
  while (node !== 0 && removed < limit) {
    const next = u32[(node + onward) >>> 2];
    const count = nodeRemove(a, root, node, fromBack, limit - removed, buf, start, length);
    removed += count;
    if (count > 0) tidy(a, root, node, fromBack, fill);
    node = next;
  }
  return removed;
}

function nodeRemove(
  a: Arena,
  root: Offset,
  node: Offset,
  fromBack: boolean,
  limit: number,
  buf: Uint8Array,
  start: number,
  length: number,
): number {
  const u32 = a.u32;
  const begin = node + u32[(node + NODE_BEGIN) >>> 2];
  const end = node + u32[(node + NODE_END) >>> 2];
  const count = removeEntries(a.u8, begin, end, fromBack, limit, buf, start, length);
  const bytes = count * entryBytes(length);
  if (fromBack) u32[(node + NODE_BEGIN) >>> 2] += bytes;
  else u32[(node + NODE_END) >>> 2] -= bytes;
  u32[(node + NODE_COUNT) >>> 2] -= count;
  u32[(root + ROOT_COUNT) >>> 2] -= count;
  return count;
}

/** Frees a node that has lost its entries, joins one that has few with the neighbour already seen, or shrinks it. */
function tidy(a: Arena, root: Offset, node: Offset, fromBack: boolean, fill: number): void {
  const u32 = a.u32;
  if (u32[(node + NODE_COUNT) >>> 2] === 0) {
    unlinkNode(a, root, node);
    return;
  }
  const before = fromBack ? node : u32[(node + NODE_PREV) >>> 2];
  const behind = fromBack ? u32[(node + NODE_NEXT) >>> 2] : node;
  if (before === 0 || behind === 0 || !joinNodes(a, root, before, behind, fill)) shrinkNode(a, node);
}

/** Moves the entries of `behind` to the end of `before` when both are small; false when it leaves them as they are. */
function joinNodes(a: Arena, root: Offset, before: Offset, behind: Offset, fill: number): boolean {
  const u32 = a.u32;
  const max = maxNodeBytes(fill);
  const bytes = nodeContent(a, behind);
  const count = u32[(behind + NODE_COUNT) >>> 2];
  if ((nodeContent(a, before) + bytes) * JOIN_PART > max) return false;
  if (u32[(before + NODE_COUNT) >>> 2] + count > maxNodeEntries(fill) || !canHold(a, max)) return false;
  const from = behind + u32[(behind + NODE_BEGIN) >>> 2];
  const gap = openGap(a, before, u32[(before + NODE_END) >>> 2], 0, bytes, fill);
  a.u8.copyWithin(gap, from, from + bytes);
  u32[(gapNode + NODE_COUNT) >>> 2] += count;
  unlinkNode(a, root, behind);
  return true;
}
