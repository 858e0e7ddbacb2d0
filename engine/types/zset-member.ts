/**
 * A member of a big sorted set: a record (record.ts) in the set's table, whose expiry word is the score. So the score
 * lies 8-aligned before the member's bytes, and the table finds the bytes where it looks for them anyway.
 *
 * ```
 * +0 u32 head: TYPE_MEMBER | HEAD_EXPIRY     | +4 u32 owner: the table
 * +8 u32 length of the member in bytes       | +12 u32 leaf of the tree (tree-node.ts) that holds its entry
 * +16 f64 score                              | +24 the member's bytes
 * ```
 * Example: member `ab` with score 1.5 in the table at 0x10040, its entry in the leaf at 0x14000; 26 bytes in a block of 32:
 * `07 01 00 00 | 40 00 01 00 | 02 00 00 00 | 00 40 01 00 | 00 00 00 00 00 00 f8 3f | 61 62`.
 *
 * The leaf is kept so that removing, ranking and moving a member need no descent, which between equal scores would
 * compare members, one cache miss each. It costs a write per member that changes its leaf, about one per insertion.
 */
import { alloc, KIND_ZSET_MEMBER } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import { copyBytes } from '../keyspace.ts';
import { HEAD_EXPIRY, TYPE_MEMBER } from '../record.ts';

const MEMBER_HEADER_BYTES = 24;

/** A member of the table `t` with score 0 and no leaf yet, in neither table nor tree. */
export function memberCreate(a: Arena, t: Offset, buf: Uint8Array, start: number, length: number): Offset {
  const member = alloc(a, MEMBER_HEADER_BYTES + length, KIND_ZSET_MEMBER);
  const word = member >>> 2;
  a.u32[word] = TYPE_MEMBER | HEAD_EXPIRY;
  a.u32[word + 1] = t;
  a.u32[word + 2] = length;
  a.u32[word + 3] = 0;
  a.f64[(member >>> 3) + 2] = 0;
  copyBytes(a.u8, member + MEMBER_HEADER_BYTES, buf, start, length);
  return member;
}

export function memberTable(a: Arena, member: Offset): Offset {
  return a.u32[(member >>> 2) + 1];
}

export function memberLength(a: Arena, member: Offset): number {
  return a.u32[(member >>> 2) + 2];
}

export function memberLeaf(a: Arena, member: Offset): Offset {
  return a.u32[(member >>> 2) + 3];
}

export function setMemberLeaf(a: Arena, member: Offset, leaf: Offset): void {
  a.u32[(member >>> 2) + 3] = leaf;
}

export function memberScore(a: Arena, member: Offset): number {
  return a.f64[(member >>> 3) + 2];
}

export function setMemberScore(a: Arena, member: Offset, score: number): void {
  a.f64[(member >>> 3) + 2] = score;
}

export function memberStart(member: Offset): Offset {
  return member + MEMBER_HEADER_BYTES;
}

/** Negative, 0 or positive as memcmp orders two members of one arena. Four bytes at a time: members begin 8-aligned. */
export function compareMembers(a: Arena, one: Offset, other: Offset): number {
  const u32 = a.u32;
  const oneLength = u32[(one >>> 2) + 2];
  const otherLength = u32[(other >>> 2) + 2];
  const common = oneLength < otherLength ? oneLength : otherLength;
  let i = (one + MEMBER_HEADER_BYTES) >>> 2;
  let j = (other + MEMBER_HEADER_BYTES) >>> 2;
  for (const end = i + (common >>> 2); i < end; i++, j++) {
    const difference = u32[i] ^ u32[j];
    if (difference !== 0) {
      // The first byte that differs is the lowest: words are little-endian.
      const shift = (31 - Math.clz32(difference & -difference)) & ~7;
      return ((u32[i] >>> shift) & 255) - ((u32[j] >>> shift) & 255);
    }
  }
  const u8 = a.u8;
  const oneStart = one + MEMBER_HEADER_BYTES;
  const otherStart = other + MEMBER_HEADER_BYTES;
  for (let k = common & ~3; k < common; k++) {
    const difference = u8[oneStart + k] - u8[otherStart + k];
    if (difference !== 0) return difference;
  }
  return oneLength - otherLength;
}

/** Negative, 0 or positive as memcmp orders two byte ranges. */
export function compareBytes(
  one: Uint8Array,
  oneStart: number,
  oneLength: number,
  other: Uint8Array,
  otherStart: number,
  otherLength: number,
): number {
  const common = oneLength < otherLength ? oneLength : otherLength;
  for (let i = 0; i < common; i++) {
    const difference = one[oneStart + i] - other[otherStart + i];
    if (difference !== 0) return difference;
  }
  return oneLength - otherLength;
}
