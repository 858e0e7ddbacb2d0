/**
 * A hash of what a node holds, the same on every node that holds the same: it does not depend on the number of shards, on
 * where records lie and in which order, on encodings, on access clocks, nor on whether expired keys are deleted yet. It is to
 * compare replicas by, not to withstand somebody who looks for two states with one hash: its key is known.
 *
 * Every key gives 64 bits, of its database, name, type, expiry and contents; the hash is the sum of those, each half for itself.
 * A set, hash or sorted set gives the sum of its elements in the same way, a list or stream what comes of its elements
 * one after the other. Of a stream the ids it keeps and its count of entries ever added belong to it, but not how its
 * entries lie in nodes; and scores of 0 and -0 are one, since a snapshot does not tell them apart.
 *
 * Under the locks of all shards, from the first step to the last; or on the only thread that writes, if nothing is written
 * in between. Changes nothing. About 0.4 us per short key and 1.4 ns per byte of long ones; a key is never taken in parts.
 */
import { type Arena, DATABASE_DIRECTORY_OFFSET, type Offset, WORD_DATABASES } from './arena.ts';
import { databaseOf } from './keyspace.ts';
import {
  keyLength,
  keyStart,
  recordExpiry,
  recordType,
  TYPE_HASH,
  TYPE_LIST,
  TYPE_SET,
  TYPE_STREAM,
  TYPE_STRING,
  TYPE_ZSET,
  valueWord,
} from './record.ts';
import { Reply } from './reply.ts';
import type { Shards } from './shards.ts';
import { bucketRecords, tableBuckets } from './table.ts';
import { ListWalk } from './types/list-walk.ts';
import { MemberWalk } from './types/member-walk.ts';
import { addedWord, deletedIdWord, firstIdWord, lastIdWord } from './types/stream.ts';
import { ID_WORDS } from './types/stream-id.ts';
import { NodeWalk } from './types/stream-index.ts';
import { EntryCursor } from './types/stream-node.ts';
import { stringLength, stringStart } from './types/string.ts';
import { ZsetWalk } from './types/zset-walk.ts';

const DIRECTORY = DATABASE_DIRECTORY_OFFSET >>> 2;

/** The hash of all that these shards hold and that has not expired by `nowMs`: 16 hexadecimal digits. */
export function stateHash(shards: Shards, nowMs: number): string {
  const hasher = new StateHasher();
  hasher.start(shards, nowMs);
  while (!hasher.step(Number.POSITIVE_INFINITY));
  return hasher.value;
}

/**
 * HalfSipHash-1-3 with 64 bits of output (Aumasson and Bernstein, "SipHash", 2012) over words that come one by one. Byte
 * strings have their length before them, so that no two sequences of parts are the same words.
 */
class Digest {
  private v0 = 0;
  private v1 = 0;
  private v2 = 0;
  private v3 = 0;
  /** What `end` has found. */
  high = 0;
  low = 0;

  begin(): void {
    this.v0 = 0x6d696c6c;
    this.v1 = 0x72616365 ^ 0xee;
    this.v2 = 0x6c796765;
    this.v3 = 0x74656462;
  }

  word(word: number): void {
    this.v3 ^= word;
    this.round();
    this.v0 ^= word;
  }

  double(value: number): void {
    double[0] = value;
    this.word(doubleWords[0]);
    this.word(doubleWords[1]);
  }

  bytes(u8: Uint8Array, start: number, length: number): void {
    this.word(length);
    let { v0, v1, v2, v3 } = this;
    const wordsEnd = start + length - (length & 3);
    let i = start;
    for (; i < wordsEnd; i += 4) {
      const word = u8[i] | (u8[i + 1] << 8) | (u8[i + 2] << 16) | (u8[i + 3] << 24);
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    this.v0 = v0;
    this.v1 = v1;
    this.v2 = v2;
    this.v3 = v3;
    let rest = 0;
    for (let shift = 0; i < start + length; i++, shift += 8) rest |= u8[i] << shift;
    if ((length & 3) !== 0) this.word(rest);
  }

  end(): void {
    this.v2 ^= 0xee;
    this.round();
    this.round();
    this.round();
    this.high = this.v1 ^ this.v3;
    this.v1 ^= 0xdd;
    this.round();
    this.round();
    this.round();
    this.low = this.v1 ^ this.v3;
  }

  private round(): void {
    let { v0, v1, v2, v3 } = this;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    this.v0 = v0;
    this.v1 = v1;
    this.v2 = v2;
    this.v3 = v3;
  }
}

const double = new Float64Array(1);
const doubleWords = new Int32Array(double.buffer);

/** Computes a `stateHash` in slices: `start`, then `step` until it is true, then `value`. Nothing may change meanwhile. */
export class StateHasher {
  private arenas: readonly Arena[] = [];
  private nowMs = 0;
  /** Where it stands. */
  private shard = 0;
  private keyspace = 0;
  private bucket = 0;
  private high = 0;
  private low = 0;
  private readonly records: Offset[] = [];
  private readonly key = new Digest();
  private readonly element = new Digest();
  private readonly members = new MemberWalk();
  private readonly ordered = new ZsetWalk();
  private readonly list = new ListWalk();
  private readonly nodes = new NodeWalk();
  private readonly entries = new EntryCursor();
  /** An entry of a stream, in the one form that does not depend on its node. */
  private readonly entry = new Reply();

  start(shards: Shards, nowMs: number): void {
    this.arenas = shards.arenas;
    this.nowMs = nowMs;
    this.shard = 0;
    this.keyspace = 0;
    this.bucket = 0;
    this.high = 0;
    this.low = 0;
  }

  /** Goes over at most `buckets` buckets more, of seven keys each on average; true when there are no more. */
  step(buckets: number): boolean {
    let left = buckets;
    while (this.shard < this.arenas.length) {
      const a = this.arenas[this.shard];
      if (this.keyspace === a.u32[WORD_DATABASES]) {
        this.shard++;
        this.keyspace = 0;
        continue;
      }
      const t = a.u32[DIRECTORY + this.keyspace];
      if (t === 0 || this.bucket === tableBuckets(a, t)) {
        this.keyspace++;
        this.bucket = 0;
        continue;
      }
      if (left <= 0) return false;
      left--;
      this.records.length = 0;
      bucketRecords(a, t, this.bucket++, this.records);
      for (let i = 0; i < this.records.length; i++) this.add(a, this.records[i]);
    }
    return true;
  }

  get value(): string {
    return digits(this.high) + digits(this.low);
  }

  private add(a: Arena, record: Offset): void {
    const expireAtMs = recordExpiry(a, record);
    if (expireAtMs <= this.nowMs) return;
    const { key } = this;
    key.begin();
    key.word(databaseOf(a, this.keyspace));
    key.word(recordType(a, record));
    key.double(expireAtMs);
    key.bytes(a.u8, keyStart(a, record), keyLength(a, record));
    this.addValue(a, record);
    key.end();
    this.high = (this.high + key.high) | 0;
    this.low = (this.low + key.low) | 0;
  }

  private addValue(a: Arena, record: Offset): void {
    switch (recordType(a, record)) {
      case TYPE_STRING:
        this.key.bytes(a.u8, stringStart(a, record), stringLength(a, record));
        return;
      case TYPE_LIST:
        this.addList(a, record);
        return;
      case TYPE_SET:
      case TYPE_HASH:
        this.addMembers(a, record);
        return;
      case TYPE_ZSET:
        this.addScored(a, record);
        return;
      case TYPE_STREAM:
        this.addStream(a, valueWord(a, record));
        return;
      default:
        throw new Error(`statehash: a key of type ${recordType(a, record)}`);
    }
  }

  private addList(a: Arena, record: Offset): void {
    const { key, list } = this;
    for (list.start(a, record); list.next(a); ) key.bytes(a.u8, list.elementStart, list.elementLength);
  }

  private addMembers(a: Arena, record: Offset): void {
    const { element, members } = this;
    let high = 0;
    let low = 0;
    for (members.start(a, record); members.next(a); ) {
      element.begin();
      element.bytes(members.buf, members.at, members.length);
      // A set's members have values of no bytes.
      element.bytes(a.u8, members.valueAt, members.valueLength);
      element.end();
      high = (high + element.high) | 0;
      low = (low + element.low) | 0;
    }
    this.key.word(high);
    this.key.word(low);
  }

  private addScored(a: Arena, record: Offset): void {
    const { element, ordered } = this;
    let high = 0;
    let low = 0;
    for (ordered.start(a, record, 0, false); ordered.next(a); ) {
      element.begin();
      element.bytes(a.u8, ordered.at, ordered.length);
      // Makes a 0 of -0.
      element.double(ordered.score + 0);
      element.end();
      high = (high + element.high) | 0;
      low = (low + element.low) | 0;
    }
    this.key.word(high);
    this.key.word(low);
  }

  private addStream(a: Arena, root: Offset): void {
    const { key, nodes, entries, entry } = this;
    this.addId(a, lastIdWord(root));
    this.addId(a, firstIdWord(root));
    this.addId(a, deletedIdWord(root));
    const added = addedWord(root);
    key.word(a.u32[added]);
    key.word(a.u32[added + 1]);
    for (let node = nodes.first(a, root); node !== 0; node = nodes.next(a)) {
      for (let more = entries.first(a, node); more; more = entries.next(a)) {
        entry.length = 0;
        entries.reply(a, entry);
        key.bytes(entry.u8, 0, entry.length);
      }
    }
  }

  private addId(a: Arena, word: number): void {
    for (let i = 0; i < ID_WORDS; i++) this.key.word(a.u32[word + i]);
  }
}

function digits(half: number): string {
  return (half >>> 0).toString(16).padStart(8, '0');
}
