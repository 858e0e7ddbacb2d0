/**
 * The blocks of a list that is too long for its key's record: a root and a chain of nodes, each a double-ended queue of
 * packed entries (list-entry.ts). Under the shard's lock; a push or a drop at an end costs about 10 ns beyond its bytes
 * and moves no other entry. What happens in the middle of a node is in list-edit.ts.
 *
 * ```
 * root (KIND_FIXED), 16 bytes: +0 u32 head | +4 u32 tail | +8 u32 entries | +12 u32 nodes
 * node (KIND_LIST_NODE): +0 u32 prev | +4 u32 next | +8 u32 root | +12 u32 entries
 *                        +16 u32 begin | +20 u32 end | gap | entries | gap
 *   begin and end are where the entries lie, in bytes from the node's own start: 24 <= begin < end <= usable size
 * ```
 * Example: `xxx` pushed at the back of an empty list gets a node of 512 bytes with begin 24, end 29 and 03 78 78 78 03
 * at +24; pushed at the front it lies at +507, with begin 507 and end 512.
 *
 * A node starts small and doubles up to the bytes that list-max-listpack-size (`fill`) allows. An element too large for
 * that has a node of its own. No node but one being emptied at an end is ever empty.
 */
import { alloc, canHold, free, KIND_FIXED, KIND_LIST_NODE, registerRelocator, usableSize } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import { entryBefore, entryBytes, entryNext, skipBackward, skipForward, writeEntry } from './list-entry.ts';

export const ROOT_HEAD = 0;
export const ROOT_TAIL = 4;
export const ROOT_COUNT = 8;
export const ROOT_NODES = 12;
const ROOT_BYTES = 16;

export const NODE_PREV = 0;
export const NODE_NEXT = 4;
export const NODE_ROOT = 8;
export const NODE_COUNT = 12;
export const NODE_BEGIN = 16;
export const NODE_END = 20;
export const NODE_HEADER_BYTES = 24;

const MIN_NODE_BYTES = 512;
/** A node that follows full ones starts larger: fewer moves, and little waste beside what is there. */
const SECOND_NODE_BYTES = 2048;
const LONG_LIST_NODES = 4;
/** A lone node shrinks when less than this part of it is used. */
const SHRINK_PART = 8;

/** Bytes of a node that `fill` allows: -1 4 KiB, -2 8 KiB .. -5 64 KiB; 8 KiB when `fill` counts entries. */
export function maxNodeBytes(fill: number): number {
  return fill >= 0 ? 8192 : 2048 << Math.min(5, -fill);
}

/** Entries of a node that `fill` allows. */
export function maxNodeEntries(fill: number): number {
  return fill < 0 ? 0x7fffffff : Math.max(1, fill);
}

export function rootCreate(a: Arena): Offset {
  const root = alloc(a, ROOT_BYTES, KIND_FIXED);
  a.u32.fill(0, root >>> 2, (root + ROOT_BYTES) >>> 2);
  return root;
}

/** Frees the root and all nodes. */
export function rootFree(a: Arena, root: Offset): void {
  let node = a.u32[(root + ROOT_HEAD) >>> 2];
  while (node !== 0) {
    const next = a.u32[(node + NODE_NEXT) >>> 2];
    free(a, node);
    node = next;
  }
  free(a, root);
}

/** Adds an element at one end of the list. Its bytes may lie in this arena, but not in this list. */
export function rootPush(
  a: Arena,
  root: Offset,
  front: boolean,
  buf: Uint8Array,
  start: number,
  length: number,
  fill: number,
): void {
  nodePush(a, root, a.u32[(root + (front ? ROOT_HEAD : ROOT_TAIL)) >>> 2], front, buf, start, length, fill);
}

/** Adds an element at one end of a node; when the node is full, in a new one beyond that end. `node` 0: the list is empty. */
export function nodePush(
  a: Arena,
  root: Offset,
  node: Offset,
  front: boolean,
  buf: Uint8Array,
  start: number,
  length: number,
  fill: number,
): void {
  const u32 = a.u32;
  const need = entryBytes(length);
  const to = hasGap(a, node, front, need, fill) ? node : makeGap(a, root, node, front, need, fill);
  let at = 0;
  if (front) {
    at = u32[(to + NODE_BEGIN) >>> 2] - need;
    u32[(to + NODE_BEGIN) >>> 2] = at;
  } else {
    at = u32[(to + NODE_END) >>> 2];
    u32[(to + NODE_END) >>> 2] = at + need;
  }
  writeEntry(a.u8, to + at, buf, start, length);
  u32[(to + NODE_COUNT) >>> 2]++;
  u32[(root + ROOT_COUNT) >>> 2]++;
}

/** Whether an entry of `need` bytes can be written at that end as the node is. */
function hasGap(a: Arena, node: Offset, front: boolean, need: number, fill: number): boolean {
  if (node === 0) return false;
  const u32 = a.u32;
  if (fill >= 0 && u32[(node + NODE_COUNT) >>> 2] >= maxNodeEntries(fill)) return false;
  if (front) return u32[(node + NODE_BEGIN) >>> 2] - need >= NODE_HEADER_BYTES;
  // What the block of a single large element has left over stays unused, so that the block goes when the element goes.
  return u32[(node + NODE_END) >>> 2] + need <= Math.min(usableSize(a, node), maxNodeBytes(fill));
}

/** Whether a node may take an entry of `need` bytes more. */
export function hasRoom(a: Arena, node: Offset, need: number, fill: number): boolean {
  const used = NODE_HEADER_BYTES + nodeContent(a, node) + need;
  return used <= maxNodeBytes(fill) && a.u32[(node + NODE_COUNT) >>> 2] < maxNodeEntries(fill);
}

/** Bytes of a node's entries. */
export function nodeContent(a: Arena, node: Offset): number {
  return a.u32[(node + NODE_END) >>> 2] - a.u32[(node + NODE_BEGIN) >>> 2];
}

/**
 * Makes room for `need` bytes at one end of a node that lacks it: slides the entries away from that end if that is worth
 * it, else moves them to a larger block, else adds a node. Returns the node to write to.
 */
function makeGap(a: Arena, root: Offset, node: Offset, front: boolean, need: number, fill: number): Offset {
  const u32 = a.u32;
  if (node === 0) return addNode(a, root, 0, 0, front, need, fill);
  const max = maxNodeBytes(fill);
  if (hasRoom(a, node, need, fill)) {
    const usable = usableSize(a, node);
    const used = NODE_HEADER_BYTES + nodeContent(a, node) + need;
    // Each slide moves less than half a node and wins about as much room: constant work for each byte pushed.
    if (used * 2 <= usable) {
      slide(a, node, front, usable - used);
      return node;
    }
    if (usable < max) return regrow(a, node, front, used, grownBytes(used, need, usable * 2, max));
  }
  // Behind a large element this node will hardly grow: it need not keep the room it was given for that.
  if (NODE_HEADER_BYTES + need > max) node = shrinkNode(a, node);
  const prev = front ? u32[(node + NODE_PREV) >>> 2] : node;
  const next = front ? node : u32[(node + NODE_NEXT) >>> 2];
  return addNode(a, root, prev, next, front, need, fill);
}

/** The block size for `used` bytes that are expected to grow: at least `wanted`, but exact when few such elements fit. */
export function grownBytes(used: number, need: number, wanted: number, max: number): number {
  if (need * 4 >= max) return used;
  let bytes = Math.max(wanted, MIN_NODE_BYTES);
  while (bytes < used) bytes *= 2;
  return Math.max(used, Math.min(bytes, max));
}

/** Moves a node's entries so that of `slack` bytes three quarters lie at one end and a quarter at the other. */
function slide(a: Arena, node: Offset, front: boolean, slack: number): void {
  const u32 = a.u32;
  const begin = u32[(node + NODE_BEGIN) >>> 2];
  const end = u32[(node + NODE_END) >>> 2];
  const to = front ? usableSize(a, node) - (slack >>> 2) - (end - begin) : NODE_HEADER_BYTES + (slack >>> 2);
  a.u8.copyWithin(node + to, node + begin, node + end);
  u32[(node + NODE_BEGIN) >>> 2] = to;
  u32[(node + NODE_END) >>> 2] = to + end - begin;
}

/** Moves a node to a block of `bytes`, all the new room at one end as far as `used` bytes leave it. */
function regrow(a: Arena, node: Offset, front: boolean, used: number, bytes: number): Offset {
  const u32 = a.u32;
  const begin = u32[(node + NODE_BEGIN) >>> 2];
  const end = u32[(node + NODE_END) >>> 2];
  const otherGap = front ? usableSize(a, node) - end : begin - NODE_HEADER_BYTES;
  const to = alloc(a, bytes, KIND_LIST_NODE);
  const usable = usableSize(a, to);
  const kept = Math.min(otherGap, usable - used);
  return moveNode(a, node, to, front ? usable - kept - (end - begin) : NODE_HEADER_BYTES + kept);
}

/** Moves a node to the block `to`, its entries to `begin` in it, and frees the old block. */
export function moveNode(a: Arena, node: Offset, to: Offset, begin: number): Offset {
  const u32 = a.u32;
  const from = node + u32[(node + NODE_BEGIN) >>> 2];
  const content = nodeContent(a, node);
  a.u8.copyWithin(to, node, node + NODE_HEADER_BYTES);
  a.u8.copyWithin(to + begin, from, from + content);
  u32[(to + NODE_BEGIN) >>> 2] = begin;
  u32[(to + NODE_END) >>> 2] = begin + content;
  nodeMoved(a, node, to);
  free(a, node);
  return to;
}

/** Redirects the pointers to a node whose header was copied. */
function nodeMoved(a: Arena, _from: Offset, to: Offset): void {
  const u32 = a.u32;
  const prev = u32[(to + NODE_PREV) >>> 2];
  const next = u32[(to + NODE_NEXT) >>> 2];
  const root = u32[(to + NODE_ROOT) >>> 2];
  u32[(prev === 0 ? root + ROOT_HEAD : prev + NODE_NEXT) >>> 2] = to;
  u32[(next === 0 ? root + ROOT_TAIL : next + NODE_PREV) >>> 2] = to;
}

registerRelocator(KIND_LIST_NODE, nodeMoved);

/** A new node between two neighbours for entries to be pushed at one end, the first of them of `need` bytes. */
function addNode(
  a: Arena,
  root: Offset,
  prev: Offset,
  next: Offset,
  front: boolean,
  need: number,
  fill: number,
): Offset {
  const max = maxNodeBytes(fill);
  const neighbour = front ? next : prev;
  let wanted = MIN_NODE_BYTES;
  if (neighbour !== 0 && usableSize(a, neighbour) <= max) {
    wanted = a.u32[(root + ROOT_NODES) >>> 2] < LONG_LIST_NODES ? SECOND_NODE_BYTES : max;
  }
  const used = NODE_HEADER_BYTES + need;
  const node = alloc(a, grownBytes(used, need, wanted, max), KIND_LIST_NODE);
  linkNode(a, root, node, prev, next);
  const begin = !front ? NODE_HEADER_BYTES : used > max ? used : usableSize(a, node);
  a.u32[(node + NODE_BEGIN) >>> 2] = begin;
  a.u32[(node + NODE_END) >>> 2] = begin;
  return node;
}

/** Puts a block between two neighbours (0: beyond the end) as a node without entries; begin and end are the caller's. */
export function linkNode(a: Arena, root: Offset, node: Offset, prev: Offset, next: Offset): void {
  const u32 = a.u32;
  u32[(node + NODE_PREV) >>> 2] = prev;
  u32[(node + NODE_NEXT) >>> 2] = next;
  u32[(node + NODE_ROOT) >>> 2] = root;
  u32[(node + NODE_COUNT) >>> 2] = 0;
  nodeMoved(a, 0, node);
  u32[(root + ROOT_NODES) >>> 2]++;
}

/** Takes a node out of the chain and frees it; its entries are no longer counted in the root. */
export function unlinkNode(a: Arena, root: Offset, node: Offset): void {
  const u32 = a.u32;
  const prev = u32[(node + NODE_PREV) >>> 2];
  const next = u32[(node + NODE_NEXT) >>> 2];
  u32[(prev === 0 ? root + ROOT_HEAD : prev + NODE_NEXT) >>> 2] = next;
  u32[(next === 0 ? root + ROOT_TAIL : next + NODE_PREV) >>> 2] = prev;
  u32[(root + ROOT_NODES) >>> 2]--;
  free(a, node);
}

/** Removes the first or the last entry of a list that has one. */
export function rootDropOne(a: Arena, root: Offset, front: boolean): void {
  const u32 = a.u32;
  const node = u32[(root + (front ? ROOT_HEAD : ROOT_TAIL)) >>> 2];
  u32[(root + ROOT_COUNT) >>> 2]--;
  if (--u32[(node + NODE_COUNT) >>> 2] === 0) {
    unlinkNode(a, root, node);
  } else if (front) {
    const word = (node + NODE_BEGIN) >>> 2;
    u32[word] = entryNext(a.u8, node + u32[word]) - node;
  } else {
    const word = (node + NODE_END) >>> 2;
    u32[word] = entryBefore(a.u8, node + u32[word]) - node;
  }
}

/** Removes `count` entries at one end; the list has at least as many. */
export function rootDrop(a: Arena, root: Offset, front: boolean, count: number): void {
  const u32 = a.u32;
  u32[(root + ROOT_COUNT) >>> 2] -= count;
  while (count > 0) {
    const node = u32[(root + (front ? ROOT_HEAD : ROOT_TAIL)) >>> 2];
    const entries = u32[(node + NODE_COUNT) >>> 2];
    if (entries > count) {
      if (front) u32[(node + NODE_BEGIN) >>> 2] = nodeEntry(a, node, count) - node;
      else u32[(node + NODE_END) >>> 2] = nodeEntry(a, node, entries - count) - node;
      u32[(node + NODE_COUNT) >>> 2] = entries - count;
      return;
    }
    unlinkNode(a, root, node);
    count -= entries;
  }
}

/** Where entry `index` of a node begins, found from the nearer end. */
export function nodeEntry(a: Arena, node: Offset, index: number): Offset {
  const u32 = a.u32;
  const rest = u32[(node + NODE_COUNT) >>> 2] - index;
  if (index <= rest) return skipForward(a.u8, node + u32[(node + NODE_BEGIN) >>> 2], index);
  return skipBackward(a.u8, node + u32[(node + NODE_END) >>> 2], rest);
}

/**
 * Moves a node whose entries take little of its block to a smaller one, unless the arena is too full for a copy. Returns
 * where it is then.
 */
export function shrinkNode(a: Arena, node: Offset): Offset {
  const usable = usableSize(a, node);
  const used = NODE_HEADER_BYTES + nodeContent(a, node);
  if (usable <= MIN_NODE_BYTES || used * SHRINK_PART > usable) return node;
  let bytes = MIN_NODE_BYTES;
  while (bytes < used * 2) bytes *= 2;
  if (bytes >= usable || !canHold(a, bytes)) return node;
  const to = alloc(a, bytes, KIND_LIST_NODE);
  return moveNode(a, node, to, NODE_HEADER_BYTES + ((usableSize(a, to) - used) >>> 1));
}

/** Bytes of the root's and all nodes' blocks. O(nodes). */
export function rootBytes(a: Arena, root: Offset): number {
  let bytes = usableSize(a, root);
  for (let node = a.u32[(root + ROOT_HEAD) >>> 2]; node !== 0; node = a.u32[(node + NODE_NEXT) >>> 2]) {
    bytes += usableSize(a, node);
  }
  return bytes;
}

/** A copy of the whole list in `to`, which may be another arena; node for node, without the gaps. Returns its root. */
export function rootCopy(from: Arena, root: Offset, to: Arena): Offset {
  const copy = rootCreate(to);
  for (let node = from.u32[(root + ROOT_HEAD) >>> 2]; node !== 0; node = from.u32[(node + NODE_NEXT) >>> 2]) {
    const begin = node + from.u32[(node + NODE_BEGIN) >>> 2];
    const content = nodeContent(from, node);
    const block = alloc(to, NODE_HEADER_BYTES + content, KIND_LIST_NODE);
    linkNode(to, copy, block, to.u32[(copy + ROOT_TAIL) >>> 2], 0);
    to.u8.set(from.u8.subarray(begin, begin + content), block + NODE_HEADER_BYTES);
    to.u32[(block + NODE_COUNT) >>> 2] = from.u32[(node + NODE_COUNT) >>> 2];
    to.u32[(block + NODE_BEGIN) >>> 2] = NODE_HEADER_BYTES;
    to.u32[(block + NODE_END) >>> 2] = NODE_HEADER_BYTES + content;
  }
  to.u32[(copy + ROOT_COUNT) >>> 2] = from.u32[(root + ROOT_COUNT) >>> 2];
  return copy;
}

/** For tests: walks the chain and every entry from both ends, and throws at the first thing that is not as it must be. */
export function rootVerify(a: Arena, root: Offset): void {
  const u32 = a.u32;
  let prev = 0;
  let nodes = 0;
  let entries = 0;
  for (let node = u32[(root + ROOT_HEAD) >>> 2]; node !== 0; node = u32[(node + NODE_NEXT) >>> 2]) {
    if (u32[(node + NODE_PREV) >>> 2] !== prev) throw new Error(`list: node ${node} does not lead back to ${prev}`);
    if (u32[(node + NODE_ROOT) >>> 2] !== root) throw new Error(`list: node ${node} has the wrong root`);
    verifyNode(a, node);
    nodes++;
    entries += u32[(node + NODE_COUNT) >>> 2];
    prev = node;
  }
  if (u32[(root + ROOT_TAIL) >>> 2] !== prev) throw new Error(`list: the tail is not node ${prev}`);
  if (u32[(root + ROOT_NODES) >>> 2] !== nodes) throw new Error(`list: counted ${nodes} nodes`);
  if (u32[(root + ROOT_COUNT) >>> 2] !== entries) throw new Error(`list: counted ${entries} entries`);
  if (entries === 0) throw new Error('list: empty');
}

function verifyNode(a: Arena, node: Offset): void {
  const begin = a.u32[(node + NODE_BEGIN) >>> 2];
  const end = a.u32[(node + NODE_END) >>> 2];
  const count = a.u32[(node + NODE_COUNT) >>> 2];
  if (begin < NODE_HEADER_BYTES || end > usableSize(a, node)) throw new Error(`list: node ${node} overflows`);
  if (count === 0) throw new Error(`list: node ${node} is empty`);
  verifyEntries(a, node + begin, node + end, count);
}

/** For tests: throws unless exactly `count` entries lie in [begin, end), seen from either end. */
export function verifyEntries(a: Arena, begin: Offset, end: Offset, count: number): void {
  if (skipForward(a.u8, begin, count) !== end) throw new Error(`list: entries from ${begin} do not end at ${end}`);
  if (skipBackward(a.u8, end, count) !== begin) throw new Error(`list: entries before ${end} do not begin at ${begin}`);
}
