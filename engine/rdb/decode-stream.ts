/**
 * Makes a key's stream from RDB bytes, entry by entry. Under the shard's lock. Where one of Redis's nodes ends, ours does,
 * since approximate trimming shows it. Consumer groups are read past and counted.
 *
 * ```
 * stream: nodes, each: string with the id of its first entry (time and sequence, 8 bytes each, big-endian) | listpack
 *   entries | last id | since LISTPACKS_2: first id | highest id deleted | entries ever added
 *   groups, each: name | last id | since LISTPACKS_2: entries read
 *     pending entries, each: id, 16 bytes | time of delivery, 8 bytes | deliveries
 *     consumers, each: name | time seen, 8 bytes | in LISTPACKS_3: time active, 8 bytes | pending entries: id, 16 bytes
 *   (numbers and ids as lengths where nothing else is said; before each "each" how many there are)
 * listpack: entries there | entries deleted | fields | the fields | 0, then the entries, deleted ones too
 * entry: flags | time and sequence minus those of the node's id | without SAME_FIELDS: fields
 *   | values, or fields and values by turns | elements of all this
 * ```
 * A deleted entry matters in two places: as the first of a node, which is found by its id, and in the last node, where it
 * counts among those that make the node full. There it is added and deleted again, elsewhere left out.
 */
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { deleteRecord } from '../keyspace.ts';
import { ENC_ROOT, setRecordEncoding, setValueWord, TYPE_STREAM } from '../record.ts';
import { Request } from '../request.ts';
import {
  addedWord,
  deletedIdWord,
  firstIdWord,
  lastIdWord,
  noteFirstId,
  streamAppend,
  streamCreate,
  streamDelete,
  streamLength,
} from '../types/stream.ts';
import { clearId, compareIds, copyId, ID_BYTES, ID_WORDS } from '../types/stream-id.ts';
import { element, type NewKey, newRecord, partner } from './decode-key.ts';
import type { RdbInput } from './input.ts';
import { Listpack } from './listpack.ts';
import { RDB_STREAM_LISTPACKS, RDB_STREAM_LISTPACKS_3 } from './opcodes.ts';
import type { LoadReport } from './report.ts';
import { RdbString } from './string.ts';

const DELETED = 1;
const SAME_FIELDS = 2;
/** Deleting looks through the node from its start, so of a node with more entries the deleted ones are left out. */
const MAX_KEPT_ENTRIES = 1000;
/** The setting that makes `streamAppend` begin a node. */
const NEW_NODE = 1;
const FIRST_TEXT_BYTES = 4096;
const KEPT_TEXT_BYTES = 1024 * 1024;

/** The node's first fields, and the entry at hand, both with their bytes in `text`. */
const master = new Request();
const entry = new Request();
let text = new Uint8Array(FIRST_TEXT_BYTES);
let textUsed = 0;

const nodeId = new Uint32Array(ID_WORDS);
const id = new Uint32Array(ID_WORDS);
const previous = new Uint32Array(ID_WORDS);
/** Ids of the deleted entries that were added to the node. */
const doomed = new Uint32Array(MAX_KEPT_ENTRIES * ID_WORDS);
let doomedCount = 0;

const listpack = new Listpack();
const blob = new RdbString();

export function makeStream(c: Call, key: NewKey, type: number, input: RdbInput, report: LoadReport): Offset {
  const nodes = input.count(2);
  const record = newRecord(c, key, TYPE_STREAM, 0);
  const a = c.arena;
  try {
    const root = streamCreate(a);
    setRecordEncoding(a, record, ENC_ROOT);
    setValueWord(a, record, root);
    clearId(previous, 0);
    for (let i = 0; i < nodes; i++) addNode(c, root, input, i === nodes - 1);
    readCounts(c, root, type, input);
    report.skippedGroups += skipGroups(type, input);
  } catch (error) {
    deleteRecord(a, record);
    throw error;
  } finally {
    listpack.close();
    blob.release();
    if (text.length > KEPT_TEXT_BYTES) text = new Uint8Array(FIRST_TEXT_BYTES);
  }
  return record;
}

/** Adds a node's entries. */
function addNode(c: Call, root: Offset, input: RdbInput, isLast: boolean): void {
  input.string(element);
  if (element.length !== ID_BYTES) throw input.error('BAD_VALUE', 'a stream node whose id has not 16 bytes');
  for (let k = 0; k < ID_WORDS; k++) nodeId[k] = bigEndian(element, k * 4);
  input.string(blob);
  listpack.open(input, blob);
  const live = small(listpack.count);
  const deleted = small(listpack.count);
  readMaster();
  const keepsDeleted = isLast && live + deleted <= MAX_KEPT_ENTRIES;
  let nodeLimit = NEW_NODE;
  let found = 0;
  let gone = 0;
  doomedCount = 0;
  while (!listpack.isDone) {
    const isDeleted = readEntry();
    if (compareIds(id, 0, previous, 0) <= 0) listpack.fail('with stream entries out of order');
    copyId(previous, 0, id, 0);
    if (isDeleted) gone++;
    else found++;
    const isFirst = found + gone === 1;
    if (isDeleted && !keepsDeleted && !isFirst) continue;
    if (isDeleted && gone <= deleted) copyId(doomed, doomedCount++ * ID_WORDS, id, 0);
    streamAppend(c.arena, root, entry, 0, id, 0, 0, nodeLimit);
    nodeLimit = 0;
  }
  if (found !== live || gone !== deleted) listpack.fail(`with ${found} stream entries that claims ${live}`);
  if (found + gone === 0) listpack.fail('without a stream entry');
  for (let i = 0; i < doomedCount; i++) streamDelete(c.arena, root, doomed, i * ID_WORDS);
}

function bigEndian(string: RdbString, offset: number): number {
  const at = string.at + offset;
  const { buf } = string;
  return (buf[at] << 24) | (buf[at + 1] << 16) | (buf[at + 2] << 8) | buf[at + 3];
}

/** Reads an integer from 0 to `limit`. */
function small(limit: number): number {
  take();
  const { isInteger, high, low } = listpack;
  if (!isInteger || high !== 0 || low < 0 || low > limit) listpack.fail('with a stream count that cannot be');
  return low;
}

function take(): void {
  if (listpack.isDone) listpack.fail('that ends within a stream entry');
  listpack.read();
}

/** Reads the fields of the node's first entry, and the mark behind them. */
function readMaster(): void {
  textUsed = 0;
  master.argc = small(listpack.count);
  master.reserveArgs(master.argc);
  for (let i = 0; i < master.argc; i++) takeText(master, i);
  small(0);
}

/** Reads the next element into argument i of a request whose bytes are in `text`. */
function takeText(to: Request, i: number): void {
  take();
  listpack.give(partner);
  const { buf, at, length } = partner;
  if (textUsed + length > text.length) {
    const grown = new Uint8Array(Math.max(text.length * 2, textUsed + length));
    grown.set(text.subarray(0, textUsed));
    text = grown;
  }
  for (let k = 0; k < length; k++) text[textUsed + k] = buf[at + k];
  to.off[i] = textUsed;
  to.len[i] = length;
  textUsed += length;
}

/** Reads an entry into `entry` and `id`; returns whether it is a deleted one. */
function readEntry(): boolean {
  const flags = small(DELETED | SAME_FIELDS);
  readId();
  const same = (flags & SAME_FIELDS) !== 0;
  const fields = same ? master.argc : small(listpack.count);
  if (fields === 0) listpack.fail('with a stream entry without fields');
  const kept = textUsed;
  entry.argc = fields * 2;
  entry.reserveArgs(entry.argc);
  for (let i = 0; i < entry.argc; i += 2) {
    if (same) {
      entry.off[i] = master.off[i >>> 1];
      entry.len[i] = master.len[i >>> 1];
    } else {
      takeText(entry, i);
    }
    takeText(entry, i + 1);
  }
  entry.buf = text;
  textUsed = kept;
  const elements = same ? fields + 3 : 2 * fields + 4;
  if (small(elements) !== elements) listpack.fail('with a stream entry of another length');
  return (flags & DELETED) !== 0;
}

/** Reads how far the entry's id is from the node's: two 64-bit numbers, each added modulo 2^64. */
function readId(): void {
  for (let k = 0; k < ID_WORDS; k += 2) {
    take();
    if (!listpack.isInteger) listpack.fail('with a stream id that is no number');
    const lower = nodeId[k + 1] + (listpack.low >>> 0);
    id[k + 1] = lower;
    id[k] = nodeId[k] + (listpack.high >>> 0) + (lower > 0xffffffff ? 1 : 0);
  }
}

/** Reads what a stream counts and remembers, and checks it against the entries. */
function readCounts(c: Call, root: Offset, type: number, input: RdbInput): void {
  const a = c.arena;
  const { u32 } = a;
  const length = input.length();
  if (length !== streamLength(a, root)) {
    throw input.error('BAD_VALUE', `a stream of ${streamLength(a, root)} entries that claims ${length}`);
  }
  readWideId(input);
  // The id of the last entry, deleted or not, as long as nothing else has been put there.
  if (compareIds(id, 0, previous, 0) < 0) throw input.error('BAD_VALUE', 'a stream with an entry after its last id');
  copyId(u32, lastIdWord(root), id, 0);
  if (type === RDB_STREAM_LISTPACKS) {
    noteFirstId(a, root);
    clearId(u32, deletedIdWord(root));
    u32[addedWord(root)] = 0;
    u32[addedWord(root) + 1] = length;
    return;
  }
  readWideId(input);
  copyId(u32, firstIdWord(root), id, 0);
  readWideId(input);
  copyId(u32, deletedIdWord(root), id, 0);
  input.wide(u32, addedWord(root));
}

function readWideId(input: RdbInput): void {
  input.wide(id, 0);
  input.wide(id, 2);
}

const ignored = new Uint32Array(ID_WORDS);
const TIME_BYTES = 8;

/** Reads past the consumer groups; returns how many there are. */
function skipGroups(type: number, input: RdbInput): number {
  const groups = input.count(1);
  for (let i = 0; i < groups; i++) {
    input.skipString();
    input.wide(ignored, 0);
    input.wide(ignored, 2);
    if (type !== RDB_STREAM_LISTPACKS) input.wide(ignored, 0);
    const pending = input.count(ID_BYTES + TIME_BYTES + 1);
    for (let k = 0; k < pending; k++) {
      input.skip(ID_BYTES + TIME_BYTES);
      input.wide(ignored, 0);
    }
    const consumers = input.count(1);
    for (let k = 0; k < consumers; k++) {
      input.skipString();
      input.skip(type === RDB_STREAM_LISTPACKS_3 ? 2 * TIME_BYTES : TIME_BYTES);
      const own = input.count(ID_BYTES);
      input.skip(own * ID_BYTES);
    }
  }
  return groups;
}

/** Reads past a stream. */
export function skipStream(type: number, input: RdbInput): void {
  const nodes = input.count(2);
  for (let i = 0; i < nodes * 2; i++) input.skipString();
  const numbers = type === RDB_STREAM_LISTPACKS ? 3 : 8;
  for (let i = 0; i < numbers; i++) input.wide(ignored, 0);
  skipGroups(type, input);
}
