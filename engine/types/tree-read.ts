/**
 * Reading a sorted set's tree (tree.ts): the rank of a member, how many come before a score or a member, and walks. Runs
 * under the shard's lock. O(log n), a step of a walk O(1).
 */
import type { Arena, Offset } from '../arena.ts';
import { tableOwnerWord } from '../table.ts';
import {
  childrenOf,
  countsOf,
  leafIndex,
  leafMembers,
  membersOf,
  nextLeaf,
  nodeCount,
  nodeLevel,
  nodeParent,
  previousLeaf,
  scoresOf,
} from './tree-node.ts';
import { compareBytes, memberLeaf, memberLength, memberStart } from './zset-member.ts';

/** How many members come before this one. */
export function treeRank(a: Arena, member: Offset): number {
  const u32 = a.u32;
  let node = memberLeaf(a, member);
  let rank = leafIndex(a, node, member);
  for (let parent = nodeParent(a, node); parent !== 0; parent = nodeParent(a, node)) {
    const children = childrenOf(parent);
    const counts = countsOf(parent);
    for (let i = 0; u32[children + i] !== node; i++) rank += u32[counts + i];
    node = parent;
  }
  return rank;
}

/** How many members have a score below `score`, or up to it when `inclusive`. */
export function treeCountToScore(a: Arena, t: Offset, score: number, inclusive: boolean): number {
  const { u32, f64 } = a;
  let node = tableOwnerWord(a, t);
  let before = 0;
  for (;;) {
    const scores = scoresOf(node);
    let low = 0;
    let high = u32[node >>> 2];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = f64[scores + middle];
      if (other < score || (inclusive && other === score)) low = middle + 1;
      else high = middle;
    }
    if (nodeLevel(a, node) === 0) return before + low;
    if (low === 0) return before;
    before += countBefore(a, node, low - 1);
    node = u32[childrenOf(node) + low - 1];
  }
}

/** How many members are below these bytes, or up to them when `inclusive`, in a set whose scores are all equal. */
export function treeCountToMember(
  a: Arena,
  t: Offset,
  buf: Uint8Array,
  start: number,
  length: number,
  inclusive: boolean,
): number {
  const u32 = a.u32;
  const limit = inclusive ? 1 : 0;
  let node = tableOwnerWord(a, t);
  let before = 0;
  for (;;) {
    const members = membersOf(a, node);
    let low = 0;
    let high = u32[node >>> 2];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const member = u32[members + middle];
      const order = compareBytes(a.u8, memberStart(member), memberLength(a, member), buf, start, length);
      if (order < limit) low = middle + 1;
      else high = middle;
    }
    if (nodeLevel(a, node) === 0) return before + low;
    if (low === 0) return before;
    before += countBefore(a, node, low - 1);
    node = u32[childrenOf(node) + low - 1];
  }
}

function countBefore(a: Arena, node: Offset, index: number): number {
  const counts = countsOf(node);
  let sum = 0;
  for (let i = 0; i < index; i++) sum += a.u32[counts + i];
  return sum;
}

/** A place in a tree, found by rank and moved from entry to entry. Reused; the tree must not change meanwhile. */
export class TreeCursor {
  private leaf: Offset = 0;
  private index = 0;

  /** Goes to the member at `rank` and returns it, 0 when there are no more than `rank` members. O(log n). */
  seek(a: Arena, t: Offset, rank: number): Offset {
    const u32 = a.u32;
    let node = tableOwnerWord(a, t);
    while (nodeLevel(a, node) > 0) {
      const counts = countsOf(node);
      const last = u32[node >>> 2] - 1;
      let i = 0;
      while (i < last && rank >= u32[counts + i]) rank -= u32[counts + i++];
      node = u32[childrenOf(node) + i];
    }
    this.leaf = node;
    this.index = rank;
    return rank < u32[node >>> 2] ? u32[leafMembers(node) + rank] : 0;
  }

  /** The next member in order, 0 at the end. */
  next(a: Arena): Offset {
    if (++this.index >= nodeCount(a, this.leaf)) {
      this.leaf = nextLeaf(a, this.leaf);
      if (this.leaf === 0) return 0;
      this.index = 0;
    }
    return a.u32[leafMembers(this.leaf) + this.index];
  }

  /** The previous member in order, 0 at the beginning. */
  previous(a: Arena): Offset {
    if (--this.index < 0) {
      this.leaf = previousLeaf(a, this.leaf);
      if (this.leaf === 0) return 0;
      this.index = nodeCount(a, this.leaf) - 1;
    }
    return a.u32[leafMembers(this.leaf) + this.index];
  }
}
