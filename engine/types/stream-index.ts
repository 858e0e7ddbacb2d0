/**
 * The index of a stream: which node (stream-node.ts) holds an id. A B+ tree that only grows at its right end, since ids
 * only rise: blocks are filled one after the other and never split. Under the shard's lock; finding a node is O(log n),
 * and so is taking one out anywhere.
 *
 * ```
 * root (KIND_FIXED): what stream.ts keeps there, and
 *   +4 u32 depth: levels of blocks, at least 1 | +8 u32 top block | +12 u32 nodes
 *   +72 a block with room for one entry, the top of a stream with at most one node
 * block (KIND_FIXED): +0 u32 count | +4 u32 capacity | +8 entries of 20 bytes
 *   entry: an id (stream-id.ts) | u32 child: a block of the level below; on level 0 a node
 * ```
 * An entry's id is at most the first id below it, and above every id of the entries before it. Only level 0 and a lone
 * top block are smaller than FANOUT; no block is empty but the top of an empty stream. A node knows the block of level 0
 * that it is in (its owner), so that compaction can move it without a search.
 */
import { alloc, free, KIND_FIXED, KIND_STREAM_NODE, registerRelocator, usableSize } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import { compareIds, copyId } from './stream-id.ts';

export const ROOT_DEPTH = 4;
export const ROOT_TOP = 8;
export const ROOT_NODES = 12;
export const ROOT_BLOCK = 72;

const CAPACITY = 4;
const BLOCK_HEADER_BYTES = 8;
const ENTRY_BYTES = 20;
const ENTRY_WORDS = 5;
const ENTRY_CHILD = 16;
/** Entries of a full block; 63 just fit a block of 1,280 bytes. */
export const FANOUT = 63;
/** A lone block grows by this factor. */
const GROWTH = 4;
/** Neighbours that have no more entries than this between them become one block. */
const MERGE_COUNT = FANOUT >>> 1;
/** Levels for as many nodes as an arena can hold. */
const MAX_DEPTH = 8;

/** Bytes of a root with the block in it. */
export const ROOT_BYTES = ROOT_BLOCK + BLOCK_HEADER_BYTES + ENTRY_BYTES;

/** Where a node has its owner and the id it is found by. */
export const NODE_OWNER = 0;
export const NODE_FIRST_ID = 28;

function count(a: Arena, block: Offset): number {
  return a.u32[block >>> 2];
}

function setCount(a: Arena, block: Offset, value: number): void {
  a.u32[block >>> 2] = value;
}

function entryAt(block: Offset, slot: number): Offset {
  return block + BLOCK_HEADER_BYTES + slot * ENTRY_BYTES;
}

function childAt(a: Arena, block: Offset, slot: number): Offset {
  return a.u32[(entryAt(block, slot) + ENTRY_CHILD) >>> 2];
}

/** Makes the index of a new root: empty. */
export function indexInit(a: Arena, root: Offset): void {
  a.u32[(root + ROOT_DEPTH) >>> 2] = 1;
  a.u32[(root + ROOT_TOP) >>> 2] = root + ROOT_BLOCK;
  a.u32[(root + ROOT_NODES) >>> 2] = 0;
  setCount(a, root + ROOT_BLOCK, 0);
  a.u32[(root + ROOT_BLOCK + CAPACITY) >>> 2] = 1;
}

/** How many nodes there are. */
export function indexNodes(a: Arena, root: Offset): number {
  return a.u32[(root + ROOT_NODES) >>> 2];
}

/** The last node, 0 when there is none. */
export function indexLast(a: Arena, root: Offset): Offset {
  const u32 = a.u32;
  let block = u32[(root + ROOT_TOP) >>> 2];
  for (let level = u32[(root + ROOT_DEPTH) >>> 2] - 1; level > 0; level--)
    block = childAt(a, block, count(a, block) - 1);
  const entries = count(a, block);
  return entries === 0 ? 0 : childAt(a, block, entries - 1);
}

/** Adds a node whose ids are above all others. */
export function indexAppend(a: Arena, root: Offset, node: Offset): void {
  const u32 = a.u32;
  const depth = u32[(root + ROOT_DEPTH) >>> 2];
  const top = u32[(root + ROOT_TOP) >>> 2];
  const full = count(a, top) === u32[(top + CAPACITY) >>> 2];
  if (depth === 1 && full && count(a, top) < FANOUT) {
    appendEntry(a, growTop(a, root, top), 0, node, node);
  } else {
    const sibling = appendBelow(a, top, depth - 1, node);
    if (sibling !== 0) addLevel(a, root, top, sibling, depth, node);
  }
  u32[(root + ROOT_NODES) >>> 2]++;
}

/** Adds a node below a block; when there is no room, in a new block, which is returned to be put beside it. */
function appendBelow(a: Arena, block: Offset, level: number, node: Offset): Offset {
  let child = node;
  if (level > 0) {
    child = appendBelow(a, childAt(a, block, count(a, block) - 1), level - 1, node);
    if (child === 0) return 0;
  }
  if (count(a, block) < a.u32[(block + CAPACITY) >>> 2]) {
    appendEntry(a, block, level, child, node);
    return 0;
  }
  const sibling = newBlock(a, FANOUT);
  appendEntry(a, sibling, level, child, node);
  return sibling;
}

/** Puts an entry for `child` behind the others of a block with room; its id is that of `node`. */
function appendEntry(a: Arena, block: Offset, level: number, child: Offset, node: Offset): void {
  const entry = entryAt(block, count(a, block));
  copyId(a.u32, entry >>> 2, a.u32, (node + NODE_FIRST_ID) >>> 2);
  a.u32[(entry + ENTRY_CHILD) >>> 2] = child;
  a.u32[block >>> 2]++;
  if (level === 0) a.u32[(child + NODE_OWNER) >>> 2] = block;
}

function newBlock(a: Arena, capacity: number): Offset {
  const block = alloc(a, BLOCK_HEADER_BYTES + capacity * ENTRY_BYTES, KIND_FIXED);
  setCount(a, block, 0);
  a.u32[(block + CAPACITY) >>> 2] = capacity;
  return block;
}

function freeBlock(a: Arena, root: Offset, block: Offset): void {
  if (block !== root + ROOT_BLOCK) free(a, block);
}

/** Moves the entries of a lone, full block into a larger one. */
function growTop(a: Arena, root: Offset, top: Offset): Offset {
  const grown = newBlock(a, Math.min(FANOUT, count(a, top) * GROWTH));
  moveEntries(a, top, grown, 0);
  freeBlock(a, root, top);
  a.u32[(root + ROOT_TOP) >>> 2] = grown;
  return grown;
}

/** Copies all entries of a block behind those of another. */
function moveEntries(a: Arena, from: Offset, to: Offset, level: number): void {
  const moved = count(a, from);
  const had = count(a, to);
  a.u32.copyWithin(entryAt(to, had) >>> 2, entryAt(from, 0) >>> 2, entryAt(from, moved) >>> 2);
  setCount(a, to, had + moved);
  if (level > 0) return;
  for (let slot = had; slot < had + moved; slot++) a.u32[(childAt(a, to, slot) + NODE_OWNER) >>> 2] = to;
}

/** Puts a new top above the old one and its new sibling, in which `node` is the first. */
function addLevel(a: Arena, root: Offset, top: Offset, sibling: Offset, depth: number, node: Offset): void {
  const above = newBlock(a, FANOUT);
  copyId(a.u32, entryAt(above, 0) >>> 2, a.u32, entryAt(top, 0) >>> 2);
  a.u32[(entryAt(above, 0) + ENTRY_CHILD) >>> 2] = top;
  setCount(a, above, 1);
  appendEntry(a, above, depth, sibling, node);
  a.u32[(root + ROOT_TOP) >>> 2] = above;
  a.u32[(root + ROOT_DEPTH) >>> 2] = depth + 1;
}

/** The node now lies elsewhere: its entry follows. */
export function indexMoved(a: Arena, from: Offset, to: Offset): void {
  const owner = a.u32[(to + NODE_OWNER) >>> 2];
  const entries = count(a, owner);
  let word = (entryAt(owner, 0) + ENTRY_CHILD) >>> 2;
  for (let slot = 0; slot < entries; slot++, word += ENTRY_WORDS) {
    if (a.u32[word] !== from) continue;
    a.u32[word] = to;
    return;
  }
  throw new Error(`stream: node ${from} is not in its index block`);
}

registerRelocator(KIND_STREAM_NODE, indexMoved);

/**
 * A place in an index: the way from the top to one node. Reused; good until the index changes.
 */
export class NodeWalk {
  private readonly blocks = new Int32Array(MAX_DEPTH);
  private readonly slots = new Int32Array(MAX_DEPTH);
  private depth = 0;

  /** The first node, 0 when there is none. */
  first(a: Arena, root: Offset): Offset {
    return this.edge(a, root, false);
  }

  last(a: Arena, root: Offset): Offset {
    return this.edge(a, root, true);
  }

  private edge(a: Arena, root: Offset, last: boolean): Offset {
    this.depth = a.u32[(root + ROOT_DEPTH) >>> 2];
    this.blocks[this.depth - 1] = a.u32[(root + ROOT_TOP) >>> 2];
    return this.descend(a, this.depth - 1, last);
  }

  /** Goes down along one edge from the block of `level`. */
  private descend(a: Arena, level: number, last: boolean): Offset {
    for (;;) {
      const block = this.blocks[level];
      if (count(a, block) === 0) return 0;
      this.slots[level] = last ? count(a, block) - 1 : 0;
      const child = childAt(a, block, this.slots[level]);
      if (level === 0) return child;
      level--;
      this.blocks[level] = child;
    }
  }

  /** The only node that may hold this id: all before it have lower ids, all after it higher ones. 0 for an empty stream. */
  seek(a: Arena, root: Offset, id: Uint32Array, i: number): Offset {
    this.depth = a.u32[(root + ROOT_DEPTH) >>> 2];
    let block = a.u32[(root + ROOT_TOP) >>> 2];
    if (count(a, block) === 0) return 0;
    for (let level = this.depth - 1; ; level--) {
      const slot = lastAtMost(a, block, id, i);
      this.blocks[level] = block;
      this.slots[level] = slot;
      const child = childAt(a, block, slot);
      if (level === 0) return child;
      block = child;
    }
  }

  /** The node after the one found last, 0 at the end. */
  next(a: Arena): Offset {
    return this.step(a, false);
  }

  previous(a: Arena): Offset {
    return this.step(a, true);
  }

  private step(a: Arena, back: boolean): Offset {
    for (let level = 0; level < this.depth; level++) {
      const block = this.blocks[level];
      const slot = this.slots[level] + (back ? -1 : 1);
      if (slot < 0 || slot >= count(a, block)) continue;
      this.slots[level] = slot;
      const child = childAt(a, block, slot);
      if (level === 0) return child;
      this.blocks[level - 1] = child;
      return this.descend(a, level - 1, back);
    }
    return 0;
  }

  /** Takes the node found last out of the index; the walk has to begin anew. The node's block is the caller's to free. */
  remove(a: Arena, root: Offset): void {
    a.u32[(root + ROOT_NODES) >>> 2]--;
    this.removeAt(a, root, 0, this.slots[0]);
  }

  private removeAt(a: Arena, root: Offset, level: number, slot: number): void {
    const block = this.blocks[level];
    const left = count(a, block) - 1;
    const word = entryAt(block, slot) >>> 2;
    a.u32.copyWithin(word, word + ENTRY_WORDS, entryAt(block, left + 1) >>> 2);
    setCount(a, block, left);
    if (level === this.depth - 1) {
      lowerTop(a, root);
      return;
    }
    const above = this.blocks[level + 1];
    const place = this.slots[level + 1];
    if (left === 0) {
      free(a, block);
      this.removeAt(a, root, level + 1, place);
      return;
    }
    const right = place + 1 < count(a, above) ? childAt(a, above, place + 1) : 0;
    if (right !== 0 && left + count(a, right) <= MERGE_COUNT) {
      this.merge(a, root, right, block, level, place + 1);
      return;
    }
    const before = place > 0 ? childAt(a, above, place - 1) : 0;
    if (before !== 0 && left + count(a, before) <= MERGE_COUNT) this.merge(a, root, block, before, level, place);
  }

  /** Joins a block to the one before it and takes its entry, in `slot`, out of the block above. */
  private merge(a: Arena, root: Offset, from: Offset, to: Offset, level: number, slot: number): void {
    moveEntries(a, from, to, level);
    free(a, from);
    this.removeAt(a, root, level + 1, slot);
  }
}

/** Takes away top blocks with a single child, and makes an empty index as it was in the beginning. */
function lowerTop(a: Arena, root: Offset): void {
  const u32 = a.u32;
  let top = u32[(root + ROOT_TOP) >>> 2];
  let depth = u32[(root + ROOT_DEPTH) >>> 2];
  while (depth > 1 && count(a, top) === 1) {
    const child = childAt(a, top, 0);
    free(a, top);
    top = child;
    depth--;
  }
  u32[(root + ROOT_TOP) >>> 2] = top;
  u32[(root + ROOT_DEPTH) >>> 2] = depth;
  if (count(a, top) > 0) return;
  freeBlock(a, root, top);
  indexInit(a, root);
}

/** The last slot of a block whose id is not above the given one; 0 when all are. */
function lastAtMost(a: Arena, block: Offset, id: Uint32Array, i: number): number {
  let low = 0;
  let high = count(a, block) - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (compareIds(a.u32, entryAt(block, middle) >>> 2, id, i) <= 0) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Frees every block of an index, but not the nodes. */
export function indexFree(a: Arena, root: Offset): void {
  freeBelow(a, root, a.u32[(root + ROOT_TOP) >>> 2], a.u32[(root + ROOT_DEPTH) >>> 2] - 1);
}

function freeBelow(a: Arena, root: Offset, block: Offset, level: number): void {
  if (level > 0)
    for (let slot = 0; slot < count(a, block); slot++) freeBelow(a, root, childAt(a, block, slot), level - 1);
  freeBlock(a, root, block);
}

/** Bytes of the index's blocks beside the root. */
export function indexBytes(a: Arena, root: Offset): number {
  return bytesBelow(a, root, a.u32[(root + ROOT_TOP) >>> 2], a.u32[(root + ROOT_DEPTH) >>> 2] - 1);
}

function bytesBelow(a: Arena, root: Offset, block: Offset, level: number): number {
  let bytes = block === root + ROOT_BLOCK ? 0 : usableSize(a, block);
  if (level > 0)
    for (let slot = 0; slot < count(a, block); slot++) bytes += bytesBelow(a, root, childAt(a, block, slot), level - 1);
  return bytes;
}

/** For tests: throws when the index is not as it must be. O(nodes). */
export function indexVerify(a: Arena, root: Offset): void {
  const depth = a.u32[(root + ROOT_DEPTH) >>> 2];
  const nodes = verifyBelow(a, a.u32[(root + ROOT_TOP) >>> 2], depth - 1, true);
  if (nodes !== a.u32[(root + ROOT_NODES) >>> 2]) throw new Error(`stream: ${nodes} nodes in the index`);
}

function verifyBelow(a: Arena, block: Offset, level: number, isTop: boolean): number {
  const entries = count(a, block);
  const capacity = a.u32[(block + CAPACITY) >>> 2];
  if (entries > capacity || (entries === 0 && !isTop) || (entries < 2 && level > 0 && isTop)) {
    throw new Error(`stream: index block with ${entries} entries on level ${level}`);
  }
  let nodes = 0;
  for (let slot = 0; slot < entries; slot++) {
    const entry = entryAt(block, slot) >>> 2;
    const child = childAt(a, block, slot);
    if (slot > 0 && compareIds(a.u32, entry - ENTRY_WORDS, a.u32, entry) >= 0)
      throw new Error('stream: index out of order');
    if (level > 0) {
      if (compareIds(a.u32, entry, a.u32, entryAt(child, 0) >>> 2) > 0)
        throw new Error('stream: index entry above its block');
      nodes += verifyBelow(a, child, level - 1, false);
    } else {
      if (a.u32[(child + NODE_OWNER) >>> 2] !== block) throw new Error(`stream: node ${child} has another owner`);
      if (compareIds(a.u32, entry, a.u32, (child + NODE_FIRST_ID) >>> 2) !== 0)
        throw new Error('stream: node has another id');
      nodes++;
    }
  }
  return nodes;
}
