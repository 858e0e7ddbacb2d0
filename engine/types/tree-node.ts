/**
 * The nodes of a sorted set's tree (tree.ts): how they lie in memory, and how entries move within and between them. Runs
 * under the shard's lock. Every node knows its parent, so that blocks can be moved by compaction and members can be
 * removed from below.
 *
 * ```
 * header, 24 bytes
 *   +0 u32 count of entries | +4 u32 level (0: leaf) | +8 u32 parent (0: root) | +12 u32 the set's table
 *   +16 u32 next leaf, 0 = none | +20 u32 previous leaf      (leaves only)
 * leaf, 768 bytes:   +24 f64 scores[62] | +520 u32 members[62]
 * inner, 1024 bytes: +24 f64 scores[50] | +424 u32 members[50] | +624 u32 children[50] | +824 u32 counts[50]
 * ```
 * Entry i of an inner node has the least score and member below child i, the first entry (i = 0) included, and how many
 * entries are in all leaves below that child.
 *
 * Both sizes are size classes of the allocator, so nothing is lost. Leaves of 30, 46 and 62 entries were equally fast in
 * bench/micro/zset.ts, smaller ones having more levels and larger ones longer moves; of these, 62 has the fewest headers.
 * 126 were a tenth slower.
 */
import { alloc, KIND_TREE_NODE } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import { setMemberLeaf } from './zset-member.ts';

export const LEAF_CAPACITY = 62;
export const INNER_CAPACITY = 50;

const NODE_HEADER_BYTES = 24;
const LEAF_MEMBERS = NODE_HEADER_BYTES + LEAF_CAPACITY * 8;
const LEAF_BYTES = LEAF_MEMBERS + LEAF_CAPACITY * 4;
const INNER_MEMBERS = NODE_HEADER_BYTES + INNER_CAPACITY * 8;
const INNER_CHILDREN = INNER_MEMBERS + INNER_CAPACITY * 4;
const INNER_COUNTS = INNER_CHILDREN + INNER_CAPACITY * 4;
const INNER_BYTES = INNER_COUNTS + INNER_CAPACITY * 4;

/** An empty node with neither parent nor siblings. */
export function newNode(a: Arena, t: Offset, level: number): Offset {
  const node = alloc(a, level === 0 ? LEAF_BYTES : INNER_BYTES, KIND_TREE_NODE);
  const word = node >>> 2;
  a.u32[word] = 0;
  a.u32[word + 1] = level;
  a.u32[word + 2] = 0;
  a.u32[word + 3] = t;
  a.u32[word + 4] = 0;
  a.u32[word + 5] = 0;
  return node;
}

export function nodeCount(a: Arena, node: Offset): number {
  return a.u32[node >>> 2];
}

export function setNodeCount(a: Arena, node: Offset, count: number): void {
  a.u32[node >>> 2] = count;
}

export function nodeLevel(a: Arena, node: Offset): number {
  return a.u32[(node >>> 2) + 1];
}

export function nodeParent(a: Arena, node: Offset): Offset {
  return a.u32[(node >>> 2) + 2];
}

export function setNodeParent(a: Arena, node: Offset, parent: Offset): void {
  a.u32[(node >>> 2) + 2] = parent;
}

export function nodeTable(a: Arena, node: Offset): Offset {
  return a.u32[(node >>> 2) + 3];
}

export function nextLeaf(a: Arena, leaf: Offset): Offset {
  return a.u32[(leaf >>> 2) + 4];
}

export function previousLeaf(a: Arena, leaf: Offset): Offset {
  return a.u32[(leaf >>> 2) + 5];
}

/** Makes two leaves neighbours; either may be 0. */
export function linkLeaves(a: Arena, left: Offset, right: Offset): void {
  if (left !== 0) a.u32[(left >>> 2) + 4] = right;
  if (right !== 0) a.u32[(right >>> 2) + 5] = left;
}

/** Index into `f64` of a node's first score. */
export function scoresOf(node: Offset): number {
  return (node + NODE_HEADER_BYTES) >>> 3;
}

/** Index into `u32` of a node's first member. */
export function membersOf(a: Arena, node: Offset): number {
  return (node + (nodeLevel(a, node) === 0 ? LEAF_MEMBERS : INNER_MEMBERS)) >>> 2;
}

/** Index into `u32` of a leaf's first member. */
export function leafMembers(leaf: Offset): number {
  return (leaf + LEAF_MEMBERS) >>> 2;
}

/** Index into `u32` of an inner node's first member. */
export function innerMembers(node: Offset): number {
  return (node + INNER_MEMBERS) >>> 2;
}

/** Index into `u32` of an inner node's first child. */
export function childrenOf(node: Offset): number {
  return (node + INNER_CHILDREN) >>> 2;
}

/** Index into `u32` of how many entries lie below an inner node's first child. */
export function countsOf(node: Offset): number {
  return (node + INNER_COUNTS) >>> 2;
}

/** Which child of `parent` this node is. */
export function childIndex(a: Arena, parent: Offset, child: Offset): number {
  const u32 = a.u32;
  const first = childrenOf(parent);
  const count = u32[parent >>> 2];
  for (let i = 0; i < count; i++) if (u32[first + i] === child) return i;
  throw new Error(`tree: node ${child} is not a child of its parent ${parent}`);
}

/** Which entry of `leaf` is this member's. */
export function leafIndex(a: Arena, leaf: Offset, member: Offset): number {
  const u32 = a.u32;
  const first = leafMembers(leaf);
  const count = u32[leaf >>> 2];
  for (let i = 0; i < count; i++) if (u32[first + i] === member) return i;
  throw new Error(`tree: member ${member} is not in its leaf ${leaf}`);
}

/** How many entries are in all leaves below a node, or in it. */
export function entriesBelow(a: Arena, node: Offset): number {
  const u32 = a.u32;
  const count = u32[node >>> 2];
  if (nodeLevel(a, node) === 0) return count;
  const first = countsOf(node);
  let sum = 0;
  for (let i = 0; i < count; i++) sum += u32[first + i];
  return sum;
}

/** Moves the entries from `index` on up by `by` places; the count grows, the gap holds what it held. */
export function openGap(a: Arena, node: Offset, index: number, by: number): void {
  const { u32, f64 } = a;
  const count = u32[node >>> 2];
  const scores = scoresOf(node);
  for (let i = count - 1; i >= index; i--) f64[scores + i + by] = f64[scores + i];
  // Loops, as below: up to 62 words move in less time than a call of copyWithin takes to begin.
  const members = membersOf(a, node);
  for (let i = members + count - 1; i >= members + index; i--) u32[i + by] = u32[i];
  if (nodeLevel(a, node) > 0) {
    const children = childrenOf(node);
    for (let i = children + count - 1; i >= children + index; i--) u32[i + by] = u32[i];
    const counts = countsOf(node);
    for (let i = counts + count - 1; i >= counts + index; i--) u32[i + by] = u32[i];
  }
  u32[node >>> 2] = count + by;
}

/** Takes entry `index` out. */
export function closeGap(a: Arena, node: Offset, index: number): void {
  const { u32, f64 } = a;
  const count = u32[node >>> 2] - 1;
  const scores = scoresOf(node);
  for (let i = index; i < count; i++) f64[scores + i] = f64[scores + i + 1];
  const members = membersOf(a, node);
  for (let i = members + index; i < members + count; i++) u32[i] = u32[i + 1];
  if (nodeLevel(a, node) > 0) {
    const children = childrenOf(node);
    for (let i = children + index; i < children + count; i++) u32[i] = u32[i + 1];
    const counts = countsOf(node);
    for (let i = counts + index; i < counts + count; i++) u32[i] = u32[i + 1];
  }
  u32[node >>> 2] = count;
}

/**
 * Copies `n` entries to another node of the same level, where their places are free, and tells the members or children
 * that they live there now. Neither node's count changes.
 */
export function moveEntries(a: Arena, from: Offset, fromIndex: number, to: Offset, toIndex: number, n: number): void {
  const { u32, f64 } = a;
  const scoresFrom = scoresOf(from) + fromIndex;
  const scoresTo = scoresOf(to) + toIndex;
  const membersFrom = membersOf(a, from) + fromIndex;
  const membersTo = membersOf(a, to) + toIndex;
  for (let i = 0; i < n; i++) {
    f64[scoresTo + i] = f64[scoresFrom + i];
    u32[membersTo + i] = u32[membersFrom + i];
  }
  if (nodeLevel(a, from) === 0) {
    for (let i = 0; i < n; i++) setMemberLeaf(a, u32[membersTo + i], to);
    return;
  }
  const childrenFrom = childrenOf(from) + fromIndex;
  const childrenTo = childrenOf(to) + toIndex;
  const countsFrom = countsOf(from) + fromIndex;
  const countsTo = countsOf(to) + toIndex;
  for (let i = 0; i < n; i++) {
    const child = u32[childrenFrom + i];
    u32[childrenTo + i] = child;
    u32[countsTo + i] = u32[countsFrom + i];
    setNodeParent(a, child, to);
  }
}

/** Makes entry `index` of an inner node say what its child's first entry is. */
export function copyFirst(a: Arena, parent: Offset, index: number, child: Offset): void {
  a.f64[scoresOf(parent) + index] = a.f64[scoresOf(child)];
  a.u32[innerMembers(parent) + index] = a.u32[membersOf(a, child)];
}
