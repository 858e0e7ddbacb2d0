/**
 * Makes a key's sorted set from the members and scores of RDB bytes. Under the shard's lock. One that may be packed
 * (types/zset-pack.ts) is gathered and sorted outside the arena first; a larger one becomes table and tree as it is read.
 */
import { free } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { deleteRecord } from '../keyspace.ts';
import { ENC_ROOT, setRecordEncoding, setValueWord, TYPE_ZSET } from '../record.ts';
import { parseDouble } from '../request.ts';
import { settingIndex } from '../settings.ts';
import { keyHash, tableCreate, tableFind, tableInsert } from '../table.ts';
import { MemberList } from '../types/member-list.ts';
import { treeCreate, treeInsert } from '../types/tree.ts';
import { fitsPack } from '../types/zset.ts';
import { memberCreate, setMemberScore } from '../types/zset-member.ts';
import { EMPTY_PACK_BYTES, entryBytes, packStart, setPackCount, writeEntry } from '../types/zset-pack.ts';
import { distinct, element, MAX_PACKED_BYTES, type NewKey, newRecord, partner } from './decode-key.ts';
import type { Elements } from './elements.ts';
import type { RdbInput } from './input.ts';
import { RDB_ZSET_2 } from './opcodes.ts';

const MAX_PACK_ENTRIES = settingIndex('zset-max-listpack-entries');

/** First bytes of a score as text that stand for a number themselves; any other is how many bytes it has. */
const SCORE_NAN = 253;
const SCORE_INFINITE = 254;
const SCORE_MINUS_INFINITE = 255;

/** Members with their scores, read into `element` and `score`. */
export class ScoredElements {
  count = 0;
  /** Whether they come packed, member and score by turns. */
  wasPacked = false;
  // Set to a fraction first so that the engine keeps a double here.
  score = 0.5;
  private input: RdbInput;
  private start = 0;
  private isBinary = false;
  private packed: Elements | undefined = undefined;

  constructor(input: RdbInput) {
    this.input = input;
  }

  /** Reads `count` of them from the input itself, as the given type has them. */
  openPlain(input: RdbInput, type: number, count: number): void {
    this.input = input;
    this.start = input.at;
    this.isBinary = type === RDB_ZSET_2;
    this.packed = undefined;
    this.wasPacked = false;
    this.count = count;
  }

  openPacked(input: RdbInput, packed: Elements): void {
    if ((packed.count & 1) === 1) throw input.error('BAD_VALUE', 'a sorted set whose last member has no score');
    this.input = input;
    this.packed = packed;
    this.wasPacked = true;
    this.count = packed.count / 2;
  }

  rewind(): void {
    if (this.packed === undefined) this.input.at = this.start;
    else this.packed.rewind();
  }

  next(): void {
    const { input, packed } = this;
    if (packed !== undefined) {
      packed.next(element);
      packed.next(partner);
      this.score = parseDouble(partner.buf, partner.at, partner.length, true);
    } else {
      input.string(element);
      this.score = this.isBinary ? input.double() : textScore(input);
    }
    if (Number.isNaN(this.score)) throw input.error('BAD_VALUE', 'a score that is no number');
  }
}

function textScore(input: RdbInput): number {
  const length = input.byte();
  if (length === SCORE_INFINITE) return Number.POSITIVE_INFINITY;
  if (length === SCORE_MINUS_INFINITE) return Number.NEGATIVE_INFINITY;
  if (length === SCORE_NAN) return Number.NaN;
  input.skip(length);
  return parseDouble(input.u8, input.at - length, length, true);
}

/** Passes over a score as text. */
export function skipTextScore(input: RdbInput): void {
  const length = input.byte();
  if (length < SCORE_NAN) input.skip(length);
}

const list = new MemberList();

/** Makes a sorted set of members, at least one. */
export function makeZset(c: Call, key: NewKey, input: RdbInput, members: ScoredElements): Offset {
  if (members.count <= c.settings.f64[MAX_PACK_ENTRIES] && gather(c, members)) return makePack(c, key, input);
  members.rewind();
  const record = newRecord(c, key, TYPE_ZSET, 0);
  const a = c.arena;
  try {
    const t = tableCreate(a, false);
    treeCreate(a, t);
    setRecordEncoding(a, record, ENC_ROOT);
    setValueWord(a, record, t);
    for (let i = 0; i < members.count; i++) {
      members.next();
      if (!add(a, t, members.score)) throw twice(input);
    }
  } catch (error) {
    deleteRecord(a, record);
    throw error;
  }
  return record;
}

/** Reads the members into `list`; false when they are not to be packed. */
function gather(c: Call, members: ScoredElements): boolean {
  list.clear(c.shards.seed0, c.shards.seed1);
  let longest = 0;
  for (let i = 0; i < members.count; i++) {
    members.next();
    list.push(element.buf, element.at, element.length, members.score);
    longest = Math.max(longest, element.length);
  }
  return fitsPack(c, members.count, longest) || (members.wasPacked && list.used <= MAX_PACKED_BYTES);
}

/** Makes a packed set of what is in `list`. */
function makePack(c: Call, key: NewKey, input: RdbInput): Offset {
  let bytes = EMPTY_PACK_BYTES;
  distinct.start(c.shards, list.count);
  for (let k = 0; k < list.count; k++) {
    bytes += entryBytes(list.lengths[k]);
    if (!distinct.add(list.bytes, list.starts[k], list.lengths[k])) throw twice(input);
  }
  list.sort();
  const record = newRecord(c, key, TYPE_ZSET, bytes);
  const a = c.arena;
  setPackCount(a, record, list.count);
  let at = packStart(a, record);
  for (let k = 0; k < list.count; k++) {
    const entry = list.order[k];
    at = writeEntry(a, at, list.scores[entry], list.bytes, list.starts[entry], list.lengths[entry]);
  }
  return record;
}

/** Adds `element` to table and tree; false when it is there already. */
function add(a: Arena, t: Offset, score: number): boolean {
  const { buf, at, length } = element;
  const hash = keyHash(a, buf, at, length);
  if (tableFind(a, t, hash, buf, at, length) !== 0) return false;
  const member = memberCreate(a, t, buf, at, length);
  setMemberScore(a, member, score);
  try {
    treeInsert(a, t, member);
  } catch (error) {
    free(a, member);
    throw error;
  }
  // If this fails, the member is freed with the tree.
  tableInsert(a, t, hash, member);
  return true;
}

function twice(input: RdbInput): Error {
  return input.error('BAD_VALUE', 'a sorted set with the same member twice');
}
