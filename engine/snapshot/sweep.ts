/**
 * The sweep of a snapshot: walks over the keys of a shard and saves those that nobody has changed since it began. Runs under
 * the shard's lock, in steps, on any thread; where it stands is kept in the arena's header. A step costs about 0.3 us per
 * short key in its buckets, seven each on average.
 */
import {
  type Arena,
  DATABASE_DIRECTORY_OFFSET,
  type Offset,
  WORD_DATABASES,
  WORD_EPOCH,
  WORD_SWEEP_BUCKET,
  WORD_SWEEP_KEYSPACE,
} from '../arena.ts';
import { bucketOffset, NEXT_OVERFLOW, PLACES, PLACES_OFFSET } from '../bucket.ts';
import { HEAD_EPOCH } from '../record.ts';
import { TableWalk, tableBuckets } from '../table.ts';
import { endSweep, isSwept } from './epoch.ts';
import type { Saver } from './saver.ts';

const DIRECTORY = DATABASE_DIRECTORY_OFFSET >>> 2;
/** A step ends when it has saved this much, so that large values come one to a step: about 30 us of copying. */
const STEP_BYTES = 64 * 1024;

/** The unsaved records of the bucket at hand. */
const unsaved: Offset[] = [];

/** Sweeps at most `limit` buckets more of a shard. True when the shard is swept, or no sweep is under way. */
export function sweepStep(a: Arena, saver: Saver, limit: number): boolean {
  if (isSwept(a)) return true;
  const keyspaces = a.u32[WORD_DATABASES];
  const end = saver.savedBytes + STEP_BYTES;
  let keyspace = a.u32[WORD_SWEEP_KEYSPACE];
  let bucket = a.u32[WORD_SWEEP_BUCKET];
  for (let left = limit; keyspace < keyspaces && left > 0; ) {
    const t = a.u32[DIRECTORY + keyspace];
    // Buckets that a table has lost since were emptied into lower ones, and saved then.
    if (t === 0 || bucket >= tableBuckets(a, t)) {
      keyspace++;
      bucket = 0;
      continue;
    }
    if (!sweepBucket(a, t, bucket, saver, end)) break;
    bucket++;
    left--;
  }
  a.u32[WORD_SWEEP_KEYSPACE] = keyspace;
  a.u32[WORD_SWEEP_BUCKET] = bucket;
  if (keyspace < keyspaces) return false;
  endSweep(a);
  return true;
}

/** Saves what is not saved of a bucket; false when it stopped at `end` bytes, before the last of it. */
function sweepBucket(a: Arena, t: Offset, bucket: number, saver: Saver, end: number): boolean {
  const { u32 } = a;
  const epoch = u32[WORD_EPOCH];
  unsaved.length = 0;
  // All heads are read before the first record is saved, so that their cache misses overlap.
  for (let at = bucketOffset(a, t, bucket); at !== 0; at = u32[(at + NEXT_OVERFLOW) >>> 2]) {
    for (let word = (at >>> 2) + PLACES_OFFSET, last = word + PLACES; word < last; word++) {
      const record = u32[word];
      if (record !== 0 && ((u32[record >>> 2] ^ epoch) & HEAD_EPOCH) !== 0) unsaved.push(record);
    }
  }
  for (let i = 0; i < unsaved.length; i++) {
    if (saver.savedBytes >= end) return false;
    saver.save(a, unsaved[i]);
  }
  return true;
}

/** For tests: throws unless all records of a shard have the header's bit. O(n). */
export function verifyEpoch(a: Arena): void {
  const walk = new TableWalk();
  for (let keyspace = 0; keyspace < a.u32[WORD_DATABASES]; keyspace++) {
    const t = a.u32[DIRECTORY + keyspace];
    if (t === 0) continue;
    walk.start();
    for (let record = walk.next(a, t); record !== 0; record = walk.next(a, t)) {
      if (((a.u32[record >>> 2] ^ a.u32[WORD_EPOCH]) & HEAD_EPOCH) !== 0) {
        throw new Error(`snapshot: record ${record} of keyspace ${keyspace} in shard ${a.shard} is not saved`);
      }
    }
  }
}
