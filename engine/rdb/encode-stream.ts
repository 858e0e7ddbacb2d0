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
 * listpack has, and whether the last entry was one. Redis keeps them, and their node is full all the same; so do we for
 * whoever loads this: as many deleted entries, of as many bytes as all of them had.
 */
import type { Arena, Offset } from '../arena.ts';
import { valueWord } from '../record.ts';
import { addedWord, deletedIdWord, firstIdWord, lastIdWord, streamLength } from '../types/stream.ts';
import { compareIds, ID_BYTES, ID_WORDS } from '../types/stream-id.ts';
import { indexNodes, NODE_FIRST_ID, NodeWalk } from '../types/stream-index.ts';
import { EntryCursor, NODE_LAST_ID, nodeEntries, nodeListpackBytes, nodeLive } from '../types/stream-node.ts';
import { readEnd, readVarint, readWide } from '../types/stream-number.ts';
import { listpackInteger } from '../types/stream-size.ts';
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
/** What the elements of a deleted entry but its id take: flags, number of fields (0), count of elements. */
const DELETED_BYTES = 6;
const DELETED_FIRST_ID_BYTES = DELETED_BYTES + 4;
/** What an empty field takes, and with it an empty value. */
const FIELD_BYTES = 2;
const FIELD_AND_VALUE_BYTES = 4;

const nodes = new NodeWalk();
const cursor = new EntryCursor();
const listpack = new ListpackWriter();
/** An id minus the node's first. */
const delta = new Uint32Array(ID_WORDS);
/** Where the ids that are skipped go. */
const skipped = new Uint32Array(2);

export function encodeStream(a: Arena, record: Offset, out: RdbOutput): number {
  const root = valueWord(a, record);
  out.lengthOf(indexNodes(a, root));
  for (let node = nodes.first(a, root); node !== 0; node = nodes.next(a)) encodeNode(a, node, out);
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

function encodeNode(a: Arena, node: Offset, out: RdbOutput): void {
  const { u32 } = a;
  const first = (node + NODE_FIRST_ID) >>> 2;
  out.lengthOf(ID_BYTES);
  for (let k = 0; k < ID_WORDS; k++) out.u32BigEndian(u32[first + k]);
  listpack.begin(out, Number.POSITIVE_INFINITY);
  const live = nodeLive(a, node);
  const deleted = nodeEntries(a, node) - live;
  listpack.integer(0, live);
  listpack.integer(0, deleted);
  const fields = u32[(node + NODE_FIELDS) >>> 2];
  listpack.integer(0, fields);
  encodeStrings(a, node + NODE_NAMES, fields);
  listpack.integer(0, 0);
  const entries = out.length;
  const last = (node + NODE_LAST_ID) >>> 2;
  let lastIsLive = false;
  for (let more = cursor.first(a, node); more; more = cursor.next(a)) {
    setDelta(cursor.id, 0, u32, first);
    encodeEntry(a, cursor.start, fields);
    lastIsLive = compareIds(cursor.id, 0, u32, last) === 0;
  }
  if (deleted > 0) {
    setDelta(u32, last, u32, first);
    encodeDeleted(nodeListpackBytes(a, node), out, entries, deleted, lastIsLive);
  }
  listpack.end();
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
 * Adds the deleted entries that bring the listpack to `bytes`. If the last entry was one of them, its id is in `delta`, and
 * it comes last; the others have the first id and go before the live entries, which begin at `entries`.
 */
function encodeDeleted(bytes: number, out: RdbOutput, entries: number, deleted: number, lastIsLive: boolean): void {
  let before = deleted;
  if (!lastIsLive) {
    before--;
    encodeDeletedEntry(before === 0 ? bytes - listpack.bytes : 0);
  }
  if (before === 0) return;
  const room = Math.max(bytes - listpack.bytes, before * DELETED_FIRST_ID_BYTES);
  const end = out.length;
  out.ensure(room);
  out.u8.copyWithin(entries + room, entries, end);
  out.length = entries;
  delta.fill(0);
  encodeDeletedEntry(room - (before - 1) * DELETED_FIRST_ID_BYTES);
  for (let k = 1; k < before; k++) encodeDeletedEntry(0);
  if (out.length !== entries + room)
    throw new Error(`rdb: deleted entries end ${out.length - entries - room} bytes off`);
  out.length = end + room;
}

/** Writes one deleted entry, with the id in `delta`, of so many bytes, or as few as it takes. */
function encodeDeletedEntry(bytes: number): void {
  const least = DELETED_BYTES + listpackInteger(delta[0], delta[1]) + listpackInteger(delta[2], delta[3]);
  const spare = Math.max(0, bytes - least);
  encodeFlagsAndId(DELETED);
  if (spare < FIELD_AND_VALUE_BYTES) {
    listpack.integerOf(SPARE_BITS[spare], 0);
    listpack.integer(0, ENTRY_ELEMENTS + 1);
    return;
  }
  // No string takes 66 bytes, nor some other numbers of them: the number of fields then takes what is left.
  let left = 0;
  while (lengthOfString(spare - FIELD_BYTES - left) < 0) left++;
  listpack.integerOf(SPARE_BITS[left], 1);
  listpack.zeros(0);
  listpack.zeros(lengthOfString(spare - FIELD_BYTES - left));
  listpack.integer(0, ENTRY_ELEMENTS + 3);
}

/** The form of a small integer that takes so many bytes more than the shortest. */
const SPARE_BITS = [7, 13, 16, 24];

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
