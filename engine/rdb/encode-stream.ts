/**
 * A stream as bytes of the RDB format, with its last, first and highest deleted id and its count of entries ever added, and
 * without consumer groups. Node by node as they lie: where one ends decides what approximate trimming drops. See encode.ts
 * for who calls it.
 *
 * ```
 * nodes (length) | for each: its first id, 16 bytes, high byte first | listpack
 *   | entries | last id | first id | highest deleted id | entries added | groups: 0     an id: time, sequence; all lengths
 * listpack: live | deleted | fields of the first entry: count, names .., 0 | entries
 * entry:    flags: 1 deleted, 2 has the first entry's fields | time and sequence, each minus the first id's
 *           | without 2: number of fields | values, or fields and values by turns | elements before this one in the entry
 * ```
 * Of a deleted entry Millrace keeps neither id nor bytes, but knows how many there were, how many bytes their node's
 * listpack has with them, and whether the last entry was one. That is what tells when the node is full and which nodes
 * XTRIM drops, so deleted entries are made up for whoever loads this: as many, with ids that lie between those of the live
 * ones, and of as many bytes together. (Rarely the ids take more bytes than the true ones did, and the node has some
 * more then.)
 */
import type { Arena, Offset } from '../arena.ts';
import { valueWord } from '../record.ts';
import { addedWord, deletedIdWord, firstIdWord, lastIdWord, streamLength } from '../types/stream.ts';
import { compareIds, copyId, ID_BYTES, ID_WORDS, incrementId } from '../types/stream-id.ts';
import { NODE_FIRST_ID, NodeWalk } from '../types/stream-index.ts';
import { EntryCursor, NODE_LAST_ID, nodeEntries, nodeListpackBytes, nodeLive } from '../types/stream-node.ts';
import { readEnd, readVarint, readWide } from '../types/stream-number.ts';
import { backLengthBytes, ListpackWriter, stringMarkBytes } from './encode-listpack.ts';
import { RDB_STREAM_LISTPACKS_2 } from './opcodes.ts';
import type { RdbOutput } from './output.ts';

/** In a node as stream-node.ts draws it: the number of the first entry's fields, and where their names begin. */
const NODE_FIELDS = 20;
const NODE_NAMES = 60;
/** The flag of an entry that has the first entry's fields, there and in Redis. */
const OWN_SAME_FIELDS = 1;
const DELETED = 1;
const SAME_FIELDS = 2;
/** Elements of an entry without fields and values: flags, time, sequence; and the number of fields, where it is given. */
const ENTRY_ELEMENTS = 3;
/** An empty string. */
const LEAST_STRING_BYTES = 2;

const nodes = new NodeWalk();
const cursor = new EntryCursor();
const listpack = new ListpackWriter();
/** An id minus the node's first. */
const delta = new Uint32Array(ID_WORDS);
/** The lowest id that no entry written so far has. */
const free = new Uint32Array(ID_WORDS);
/** Where the ids that are skipped go. */
const skipped = new Uint32Array(2);

export function encodeStream(a: Arena, record: Offset, out: RdbOutput): number {
  const root = valueWord(a, record);
  const countAt = out.reserveLength(true);
  let count = 0;
  for (let node = nodes.first(a, root); node !== 0; node = nodes.next(a)) {
    if (!hasPlace(a, root, node)) continue;
    encodeNode(a, root, node, out);
    count++;
  }
  out.fillLength(countAt, true, count);
  out.lengthOf(streamLength(a, root));
  writeId(a, lastIdWord(root), out);
  writeId(a, firstIdWord(root), out);
  writeId(a, deletedIdWord(root), out);
  const added = addedWord(root);
  out.wideLength(a.u32[added], a.u32[added + 1]);
  out.lengthOf(0);
  return RDB_STREAM_LISTPACKS_2;
}

function writeId(a: Arena, word: number, out: RdbOutput): void {
  out.wideLength(a.u32[word], a.u32[word + 1]);
  out.wideLength(a.u32[word + 2], a.u32[word + 3]);
}

/** Whether a node has an entry, or a deleted one that is not above the last id: XSETID may set that back. */
function hasPlace(a: Arena, root: Offset, node: Offset): boolean {
  return nodeLive(a, node) > 0 || compareIds(a.u32, (node + NODE_FIRST_ID) >>> 2, a.u32, lastIdWord(root)) <= 0;
}

function encodeNode(a: Arena, root: Offset, node: Offset, out: RdbOutput): void {
  const { u32 } = a;
  const first = (node + NODE_FIRST_ID) >>> 2;
  out.lengthOf(ID_BYTES);
  for (let k = 0; k < ID_WORDS; k++) out.u32BigEndian(u32[first + k]);
  const live = nodeLive(a, node);
  const deleted = nodeEntries(a, node) - live;
  listpack.begin(out, Number.POSITIVE_INFINITY);
  listpack.mark();
  if (deleted === 0) {
    encodeEntries(a, root, node, live, 0, 0);
  } else {
    // Once to know how many deleted entries have a place and how many bytes are missing then, once in earnest.
    const placed = encodeEntries(a, root, node, live, deleted, 0);
    const missing = nodeListpackBytes(a, node) - listpack.bytes;
    listpack.rewind();
    encodeEntries(a, root, node, live, placed, missing);
  }
  listpack.end();
}

/**
 * Writes what a node's listpack consists of, with up to `deleted` deleted entries, the last of them `spare` bytes longer
 * than it need be. Returns how many deleted entries found a place.
 */
function encodeEntries(a: Arena, root: Offset, node: Offset, live: number, deleted: number, spare: number): number {
  const { u32 } = a;
  const first = (node + NODE_FIRST_ID) >>> 2;
  const fields = u32[(node + NODE_FIELDS) >>> 2];
  listpack.integer(0, live);
  listpack.integer(0, deleted);
  listpack.integer(0, fields);
  encodeStrings(a, node + NODE_NAMES, fields);
  listpack.integer(0, 0);
  const nodeLast = (node + NODE_LAST_ID) >>> 2;
  const last = compareIds(u32, nodeLast, u32, lastIdWord(root)) <= 0 ? nodeLast : lastIdWord(root);
  const lastIsDeleted = deleted > 0 && (!cursor.last(a, node) || compareIds(cursor.id, 0, u32, last) < 0);
  let left = lastIsDeleted ? deleted - 1 : deleted;
  copyId(free, 0, u32, first);
  for (let more = cursor.first(a, node); more; more = cursor.next(a)) {
    for (; left > 0 && compareIds(free, 0, cursor.id, 0) < 0; left--, incrementId(free, 0)) {
      setDelta(free, 0, u32, first);
      encodeDeleted(fields, left === 1 && !lastIsDeleted ? spare : 0);
    }
    setDelta(cursor.id, 0, u32, first);
    encodeEntry(a, cursor.start, fields);
    copyId(free, 0, cursor.id, 0);
    incrementId(free, 0);
  }
  if (!lastIsDeleted) return deleted - left;
  for (; left > 0 && compareIds(free, 0, u32, last) < 0; left--, incrementId(free, 0)) {
    setDelta(free, 0, u32, first);
    encodeDeleted(fields, 0);
  }
  setDelta(u32, last, u32, first);
  encodeDeleted(fields, spare);
  return deleted - left;
}

/** Computes `delta`: time and sequence of an id minus those of another, each modulo 2^64. */
function setDelta(id: Uint32Array, i: number, from: Uint32Array, j: number): void {
  for (let k = 0; k < ID_WORDS; k += 2) {
    delta[k + 1] = id[i + k + 1] - from[j + k + 1];
    delta[k] = id[i + k] - from[j + k] - (id[i + k + 1] < from[j + k + 1] ? 1 : 0);
  }
}

/** Writes strings that lie one behind the other as in a node: length, bytes, length, bytes ... */
function encodeStrings(a: Arena, at: Offset, count: number): void {
  for (let k = 0; k < count; k++) {
    const length = readVarint(a.u8, at);
    const start = readEnd;
    listpack.string(a, start, length);
    at = start + length;
  }
}

function encodeEntry(a: Arena, entry: Offset, nodeFields: number): void {
  const same = a.u8[entry] === OWN_SAME_FIELDS;
  encodeFlagsAndId(same ? SAME_FIELDS : 0);
  readWide(a.u8, entry + 1, skipped, 0);
  readWide(a.u8, readEnd, skipped, 0);
  if (same) {
    encodeStrings(a, readEnd, nodeFields);
    listpack.integer(0, ENTRY_ELEMENTS + nodeFields);
    return;
  }
  const fields = readVarint(a.u8, readEnd);
  listpack.integer(0, fields);
  encodeStrings(a, readEnd, fields * 2);
  listpack.integer(0, ENTRY_ELEMENTS + 1 + fields * 2);
}

/** What every entry begins with; its id is in `delta`. */
function encodeFlagsAndId(flags: number): void {
  listpack.integer(0, flags);
  listpack.integer(delta[0], delta[1]);
  listpack.integer(delta[2], delta[3]);
}

/**
 * Writes a deleted entry, with the id in `delta`, of as few bytes as it takes and `spare` more, if that is above 0: in the
 * shorter form of those that it may have had. The node's first entry has the node's fields; they are called the first
 * entry's, and a loader may take them from there.
 */
function encodeDeleted(nodeFields: number, spare: number): void {
  const more = Math.max(0, spare);
  const isFirst = (delta[0] | delta[1] | delta[2] | delta[3]) === 0;
  if (isFirst || nodeFields <= 2) {
    let bytes = nodeFields * LEAST_STRING_BYTES + more;
    if (nodeFields > 1 || isFirst || lengthOfString(bytes) >= 0) {
      encodeFlagsAndId(DELETED | SAME_FIELDS);
      for (let k = 2; k < nodeFields; k++, bytes -= LEAST_STRING_BYTES) listpack.zeros(0);
      if (nodeFields > 1) encodeTwoStrings(bytes);
      else encodeOneString(bytes);
      listpack.integer(0, ENTRY_ELEMENTS + nodeFields);
      return;
    }
  }
  encodeFlagsAndId(DELETED);
  listpack.integer(0, 1);
  // Where the other form has one string, this one's number of fields and second string are in its place.
  encodeTwoStrings(nodeFields === 1 ? more : 2 * LEAST_STRING_BYTES + more);
  listpack.integer(0, ENTRY_ELEMENTS + 3);
}

/** Writes a string of so many bytes; of a few less if there is none. */
function encodeOneString(bytes: number): void {
  let most = bytes;
  while (lengthOfString(most) < 0) most--;
  listpack.zeros(lengthOfString(most));
}

/** Writes two strings of so many bytes in all. No string takes 66 bytes, nor some other numbers of them. */
function encodeTwoStrings(bytes: number): void {
  let one = LEAST_STRING_BYTES;
  while (lengthOfString(bytes - one) < 0) one++;
  listpack.zeros(lengthOfString(one));
  listpack.zeros(lengthOfString(bytes - one));
}

/** The length of the string that takes so many bytes in a listpack, -1 when there is none. */
function lengthOfString(bytes: number): number {
  for (let back = 1; back <= 5; back++) {
    if (backLengthBytes(bytes - back) !== back) continue;
    for (let mark = 1; mark <= 5; mark++) {
      const length = bytes - back - mark;
      if (length >= 0 && stringMarkBytes(length) === mark) return length;
    }
  }
  return -1;
}
