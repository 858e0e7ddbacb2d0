/**
 * A node of a stream: up to some hundred consecutive entries, packed. Under the shard's lock; adding an entry costs its
 * bytes and a look at the fields of the node's first entry, finding one a walk over the entries before it.
 *
 * Entries of one stream mostly have the same fields, and ids close to each other. So the node begins with the fields of
 * its first entry, which others then need not repeat, and ids are kept as differences to the first one.
 *
 * ```
 * node (KIND_STREAM_NODE)
 *   +0  u32 owner: its index block (stream-index.ts) | +4 u32 end of the entries, in bytes from the node's start
 *   +8  u32 entries | +12 u32 entries deleted: their bytes are gone, but Redis still counts them, and may keep a node of
 *       deleted entries only
 *   +16 u32 bytes of the listpack that Redis would have (stream-size.ts), without its two counts
 *   +20 u32 fields of the first entry | +24 u32 start of the entries
 *   +28 id of the first entry ever added | +44 id of the last one
 *   +60 the first entry's fields: length, bytes, length, bytes .. | entries
 * entry
 *   u8 1: has the first entry's fields, else 0 | time minus the first id's time
 *   | sequence, minus the first id's if the time is the same | without the flag: number of fields
 *   | by turns, fields only without the flag: length, bytes | bytes of all this, to be read backwards
 *   Numbers are those of stream-number.ts; the one at the end is mirrored.
 * ```
 * Example: XADD s 5-1 f xy and XADD s 7-0 f z make 01 66 at +60, then 01 00 00 02 78 79 06 and 01 02 00 01 7a 05.
 */
import { alloc, canHold, free, KIND_STREAM_NODE, usableSize } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import { copyBytes } from '../keyspace.ts';
import type { Reply } from '../reply.ts';
import type { Request } from '../request.ts';
import { compareIds, copyId, ID_WORDS, replyId } from './stream-id.ts';
import { indexMoved, NODE_FIRST_ID } from './stream-index.ts';
import {
  readEnd,
  readMirrored,
  readVarint,
  readWide,
  varintBytes,
  wideBytes,
  writeMirrored,
  writeVarint,
  writeWide,
} from './stream-number.ts';
import { LISTPACK_BYTES, listpackInteger, listpackString } from './stream-size.ts';

const NODE_END = 4;
const NODE_LIVE = 8;
const NODE_DELETED = 12;
const NODE_LISTPACK = 16;
const NODE_FIELDS = 20;
const NODE_START = 24;
export const NODE_LAST_ID = 44;
const NODE_HEADER_BYTES = 60;

const SAME_FIELDS = 1;
/** A node that others follow gives room back when it leaves more than one part in so many unused. */
const SPARE_PART = 8;
/** Nodes up to here double when they grow; larger ones grow by half. */
const DOUBLING_BYTES = 2048;

/** The listpack element of the terminator behind the first entry's fields, and of any entry's flags. */
const LISTPACK_SMALL = 2;

/** The id at hand minus the node's first one: time and sequence, each modulo 2^64. */
const delta = new Uint32Array(ID_WORDS);
/** The sequence as it is kept: as it is, or minus the first id's. */
const sequence = new Uint32Array(2);

function subtract(to: Uint32Array, at: number, u32: Uint32Array, i: number, j: number, from: Uint32Array): void {
  to[at + 1] = from[i + 1] - u32[j + 1];
  to[at] = from[i] - u32[j] - (from[i + 1] < u32[j + 1] ? 1 : 0);
}

/** Computes `delta` and `sequence` for an id of a node. */
function setDelta(a: Arena, node: Offset, id: Uint32Array, i: number): void {
  const first = (node + NODE_FIRST_ID) >>> 2;
  subtract(delta, 0, a.u32, i, first, id);
  subtract(delta, 2, a.u32, i + 2, first + 2, id);
  const sameTime = (delta[0] | delta[1]) === 0;
  sequence[0] = sameTime ? delta[2] : id[i + 2];
  sequence[1] = sameTime ? delta[3] : id[i + 3];
}

/** What the entry being added is made of: the arguments from `first` on, fields and values by turns. */
function stringsBytes(c: Request, first: number, step: number): number {
  let bytes = 0;
  for (let i = first; i < c.argc; i += step) bytes += varintBytes(c.len[i]) + c.len[i];
  return bytes;
}

function listpackStrings(c: Request, first: number, step: number): number {
  let bytes = 0;
  for (let i = first; i < c.argc; i += step) bytes += listpackString(c.buf, c.off[i], c.len[i]);
  return bytes;
}

function writeString(a: Arena, at: Offset, c: Request, i: number): Offset {
  const start = writeVarint(a.u8, at, c.len[i]);
  copyBytes(a.u8, start, c.buf, c.off[i], c.len[i]);
  return start + c.len[i];
}

/**
 * Makes a node whose only entry has this id and the fields and values from argument `first` on. `bytes` is how large it
 * will probably grow. The index does not know it yet.
 */
export function nodeCreate(a: Arena, c: Request, first: number, id: Uint32Array, i: number, bytes: number): Offset {
  const fields = (c.argc - first) >>> 1;
  const start = NODE_HEADER_BYTES + stringsBytes(c, first, 2);
  // Its own id differs from itself by 0 and 0, in a byte each.
  const body = 3 + stringsBytes(c, first + 1, 2);
  const node = alloc(a, Math.max(bytes, start + body + varintBytes(body)), KIND_STREAM_NODE);
  const word = node >>> 2;
  a.u32.fill(0, word, word + NODE_HEADER_BYTES / 4);
  copyId(a.u32, (node + NODE_FIRST_ID) >>> 2, id, i);
  a.u32[(node + NODE_FIELDS) >>> 2] = fields;
  a.u32[(node + NODE_START) >>> 2] = start;
  a.u32[(node + NODE_END) >>> 2] = start;
  a.u32[(node + NODE_LISTPACK) >>> 2] =
    LISTPACK_BYTES + listpackInteger(0, fields) + listpackStrings(c, first, 2) + LISTPACK_SMALL;
  let at = node + NODE_HEADER_BYTES;
  for (let arg = first; arg < c.argc; arg += 2) at = writeString(a, at, c, arg);
  setDelta(a, node, id, i);
  writeEntry(a, node, c, first, id, i, true, body);
  return node;
}

/** Adds an entry behind the others; returns the node, which may have moved. */
export function nodeAppend(a: Arena, node: Offset, c: Request, first: number, id: Uint32Array, i: number): Offset {
  const same = hasSameFields(a, node, c, first);
  setDelta(a, node, id, i);
  let body = 1 + wideBytes(delta[0], delta[1]) + wideBytes(sequence[0], sequence[1]);
  if (same) body += stringsBytes(c, first + 1, 2);
  else body += varintBytes((c.argc - first) >>> 1) + stringsBytes(c, first, 1);
  const need = a.u32[(node + NODE_END) >>> 2] + body + varintBytes(body);
  const usable = usableSize(a, node);
  if (need > usable) {
    node = nodeMove(a, node, Math.max(need, usable <= DOUBLING_BYTES ? usable * 2 : usable + (usable >>> 1)));
  }
  writeEntry(a, node, c, first, id, i, same, body);
  return node;
}

/** Writes an entry whose `delta` and `sequence` are set, of `body` bytes without the number at its end. */
function writeEntry(
  a: Arena,
  node: Offset,
  c: Request,
  first: number,
  id: Uint32Array,
  i: number,
  same: boolean,
  body: number,
): void {
  const { u8, u32 } = a;
  const fields = (c.argc - first) >>> 1;
  let at = node + u32[(node + NODE_END) >>> 2];
  u8[at++] = same ? SAME_FIELDS : 0;
  at = writeWide(u8, at, delta[0], delta[1]);
  at = writeWide(u8, at, sequence[0], sequence[1]);
  let listpack = LISTPACK_SMALL + listpackInteger(delta[0], delta[1]) + listpackInteger(delta[2], delta[3]);
  if (same) {
    for (let arg = first + 1; arg < c.argc; arg += 2) at = writeString(a, at, c, arg);
    listpack += listpackStrings(c, first + 1, 2) + listpackInteger(0, fields + 3);
  } else {
    at = writeVarint(u8, at, fields);
    for (let arg = first; arg < c.argc; arg++) at = writeString(a, at, c, arg);
    listpack += listpackInteger(0, fields) + listpackStrings(c, first, 1) + listpackInteger(0, 2 * fields + 4);
  }
  at = writeMirrored(u8, at, body);
  u32[(node + NODE_END) >>> 2] = at - node;
  u32[(node + NODE_LIVE) >>> 2]++;
  u32[(node + NODE_LISTPACK) >>> 2] += listpack;
  copyId(u32, (node + NODE_LAST_ID) >>> 2, id, i);
}

/** Whether the arguments from `first` on name the same fields in the same order as the node's first entry. */
function hasSameFields(a: Arena, node: Offset, c: Request, first: number): boolean {
  if (c.argc - first !== a.u32[(node + NODE_FIELDS) >>> 2] * 2) return false;
  const u8 = a.u8;
  let at = node + NODE_HEADER_BYTES;
  for (let arg = first; arg < c.argc; arg += 2) {
    const length = readVarint(u8, at);
    if (length !== c.len[arg]) return false;
    at = readEnd;
    const start = c.off[arg];
    for (let k = 0; k < length; k++) if (u8[at + k] !== c.buf[start + k]) return false;
    at += length;
  }
  return true;
}

/** Moves an indexed node to a block of `bytes`. */
function nodeMove(a: Arena, node: Offset, bytes: number): Offset {
  const to = alloc(a, bytes, KIND_STREAM_NODE);
  a.u8.copyWithin(to, node, node + a.u32[(node + NODE_END) >>> 2]);
  indexMoved(a, node, to);
  free(a, node);
  return to;
}

/** Gives back what an indexed node has to spare, if that is worth the move: it will not grow any more. */
export function nodeTighten(a: Arena, node: Offset): void {
  const end = a.u32[(node + NODE_END) >>> 2];
  const usable = usableSize(a, node);
  if ((usable - end) * SPARE_PART > usable && canHold(a, end)) nodeMove(a, node, end);
}

/** A copy of a node in `to`, of exactly its bytes. The index does not know it yet. */
export function nodeCopy(from: Arena, node: Offset, to: Arena): Offset {
  const end = from.u32[(node + NODE_END) >>> 2];
  const copy = alloc(to, end, KIND_STREAM_NODE);
  copyBytes(to.u8, copy, from.u8, node, end);
  return copy;
}

/** Entries that are there, and those that were. */
export function nodeLive(a: Arena, node: Offset): number {
  return a.u32[(node + NODE_LIVE) >>> 2];
}

export function nodeEntries(a: Arena, node: Offset): number {
  return a.u32[(node + NODE_LIVE) >>> 2] + a.u32[(node + NODE_DELETED) >>> 2];
}

/** Bytes of the node, without its slack. */
export function nodeUsed(a: Arena, node: Offset): number {
  return a.u32[(node + NODE_END) >>> 2];
}

/** Bytes of the listpack that Redis would have in place of the node. */
export function nodeListpackBytes(a: Arena, node: Offset): number {
  const word = node >>> 2;
  const counts = listpackInteger(0, a.u32[word + NODE_LIVE / 4]) + listpackInteger(0, a.u32[word + NODE_DELETED / 4]);
  return a.u32[word + NODE_LISTPACK / 4] + counts;
}

/** Takes `entries` entries out that lie at offsets `from` to `to`. */
export function nodeErase(a: Arena, node: Offset, from: Offset, to: Offset, entries: number): void {
  const end = node + a.u32[(node + NODE_END) >>> 2];
  a.u8.copyWithin(from, to, end);
  a.u32[(node + NODE_END) >>> 2] -= to - from;
  a.u32[(node + NODE_LIVE) >>> 2] -= entries;
  a.u32[(node + NODE_DELETED) >>> 2] += entries;
  const used = a.u32[(node + NODE_END) >>> 2];
  if (used * 2 < usableSize(a, node) && canHold(a, used)) nodeMove(a, node, used);
}

/** One entry being looked at; walks over those of a node. Reused; good until the node changes. */
export class EntryCursor {
  readonly id = new Uint32Array(ID_WORDS);
  /** Where the entry begins and ends, in the arena. */
  start = 0;
  end = 0;
  private node = 0;
  private fields = 0;
  private hasOwnFields = false;
  /** Where its values, or its fields and values, begin. */
  private strings = 0;

  /** Goes to the node's first entry; false when it has none. */
  first(a: Arena, node: Offset): boolean {
    this.node = node;
    this.end = node + a.u32[(node + NODE_START) >>> 2];
    return this.next(a);
  }

  last(a: Arena, node: Offset): boolean {
    this.node = node;
    this.start = node + a.u32[(node + NODE_END) >>> 2];
    return this.previous(a);
  }

  /** Goes to the next entry of the node; false when there is none. */
  next(a: Arena): boolean {
    if (this.end === this.node + a.u32[(this.node + NODE_END) >>> 2]) return false;
    this.read(a, this.end);
    return true;
  }

  previous(a: Arena): boolean {
    if (this.start === this.node + a.u32[(this.node + NODE_START) >>> 2]) return false;
    this.readBefore(a, this.start);
    return true;
  }

  private readBefore(a: Arena, end: Offset): void {
    const body = readMirrored(a.u8, end);
    this.read(a, readEnd - body);
  }

  private read(a: Arena, at: Offset): void {
    const u8 = a.u8;
    this.start = at;
    this.hasOwnFields = u8[at] !== SAME_FIELDS;
    this.readId(a, at + 1);
    if (this.hasOwnFields) this.fields = readVarint(u8, readEnd);
    else this.fields = a.u32[(this.node + NODE_FIELDS) >>> 2];
    let end = readEnd;
    this.strings = end;
    const strings = this.hasOwnFields ? this.fields * 2 : this.fields;
    for (let k = 0; k < strings; k++) {
      const length = readVarint(u8, end);
      end = readEnd + length;
    }
    this.end = end + varintBytes(end - at);
  }

  private readId(a: Arena, at: Offset): void {
    const { id } = this;
    const u32 = a.u32;
    const first = (this.node + NODE_FIRST_ID) >>> 2;
    readWide(a.u8, at, id, 0);
    readWide(a.u8, readEnd, id, 2);
    if ((id[0] | id[1]) === 0) add(id, 2, u32, first + 2);
    add(id, 0, u32, first);
  }

  /** Writes the entry as a reply: its id and an array of fields and values. */
  reply(a: Arena, reply: Reply): void {
    const u8 = a.u8;
    reply.arrayHeader(2);
    replyId(reply, this.id, 0);
    reply.arrayHeader(this.fields * 2);
    let at = this.strings;
    let field = this.node + NODE_HEADER_BYTES;
    for (let k = 0; k < this.fields; k++) {
      if (this.hasOwnFields) {
        at = replyString(u8, at, reply);
      } else {
        field = replyString(u8, field, reply);
      }
      at = replyString(u8, at, reply);
    }
  }
}

function replyString(u8: Uint8Array, at: Offset, reply: Reply): Offset {
  const length = readVarint(u8, at);
  const start = readEnd;
  reply.bulk(u8, start, length);
  return start + length;
}

/** Adds a 64-bit number to another, modulo 2^64. */
function add(to: Uint32Array, i: number, u32: Uint32Array, j: number): void {
  const lower = to[i + 1] + u32[j + 1];
  to[i + 1] = lower;
  to[i] = to[i] + u32[j] + (lower > 0xffffffff ? 1 : 0);
}

/** For tests: throws when a node is not as it must be. O(entries). */
export function nodeVerify(a: Arena, node: Offset): void {
  const word = node >>> 2;
  const end = a.u32[word + NODE_END / 4];
  if (end > usableSize(a, node)) throw new Error(`stream: a node of ${end} bytes overruns its block`);
  copyId(before, 0, a.u32, (node + NODE_FIRST_ID) >>> 2);
  let entries = 0;
  let at = node + a.u32[word + NODE_START / 4];
  for (let more = verifier.first(a, node); more; more = verifier.next(a)) {
    const order = compareIds(before, 0, verifier.id, 0);
    if (order > 0 || (order === 0 && entries > 0)) throw new Error('stream: entries out of order');
    copyId(before, 0, verifier.id, 0);
    const body = readMirrored(a.u8, verifier.end);
    if (verifier.start !== at || readEnd - body !== at)
      throw new Error('stream: an entry of another length than it says');
    at = verifier.end;
    entries++;
  }
  if (at !== node + end) throw new Error('stream: entries end elsewhere than their node');
  if (compareIds(before, 0, a.u32, (node + NODE_LAST_ID) >>> 2) > 0) throw new Error('stream: an id after the last');
  if (entries !== a.u32[word + NODE_LIVE / 4]) throw new Error(`stream: ${entries} entries in a node`);
}

const verifier = new EntryCursor();
const before = new Uint32Array(ID_WORDS);
