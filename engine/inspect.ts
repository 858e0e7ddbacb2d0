/**
 * Figures about the databases of a shard, for INFO and MEMORY. Counts may be read without the lock (they are single words,
 * at worst a moment old); whatever looks at records needs it.
 */
import type { Arena, Offset } from './arena.ts';
import { COUNTER_KEYS } from './arena.ts';
import { BUCKET_BYTES, EXPIRY_DIRECTORY, SEGMENT_BUCKETS, TABLE_HEADER_BYTES } from './bucket.ts';
import { EXPIRY_ENTRY_BYTES, expiryNextBucket } from './expiry.ts';
import { expiringCount, keyCount, tableOf } from './keyspace.ts';
import type { Random } from './random.ts';
import { HEAD_EXPIRY, recordExpiry } from './record.ts';
import { bucketRecords, tableBuckets } from './table.ts';

export interface DatabaseFigures {
  keys: number;
  expires: number;
  /** Bytes of the table, without overflow buckets (few), so that it takes no walk to know. */
  tableBytes: number;
}

/** Adds what a shard has of a database. A table freed in this moment may give nonsense, which is left out. */
export function addDatabase(a: Arena, db: number, sum: DatabaseFigures): void {
  const t = tableOf(a, db);
  if (t === 0) return;
  const keys = keyCount(a, db);
  const expires = expiringCount(a, db);
  if (keys > a.f64[COUNTER_KEYS] || expires > keys) return;
  sum.keys += keys;
  sum.expires += expires;
  sum.tableBytes += tableBytesOf(a, t);
}

/** Bytes of a table by its number of buckets: 4 of a segment's directory entry, and its part of the expiry index. */
export function tableBytesOf(a: Arena, t: Offset): number {
  const buckets = tableBuckets(a, t);
  const segments = Math.ceil(buckets / SEGMENT_BUCKETS);
  const indexBytes = a.u32[(t + EXPIRY_DIRECTORY) >>> 2] === 0 ? 0 : EXPIRY_ENTRY_BYTES + SEGMENT_BUCKETS * 8.5;
  return TABLE_HEADER_BYTES + buckets * BUCKET_BYTES + segments * (4 + indexBytes);
}

/** Mean time to live of some keys. */
export class TtlSample {
  sumMs = 0;
  count = 0;
  private readonly records: Offset[] = [];

  /** Looks at about `wanted` keys with an expiry from a random place of a shard's database on. Under the shard's lock. */
  add(a: Arena, db: number, nowMs: number, random: Random, wanted: number): void {
    const t = tableOf(a, db);
    if (t === 0 || expiringCount(a, db) === 0) return;
    let from = random.below(tableBuckets(a, t));
    // Every bucket in the index holds a key with an expiry or held one once; a few of them are enough.
    for (let looked = 0, found = 0; looked < wanted && found < wanted; looked++) {
      let bucket = expiryNextBucket(a, t, from);
      if (bucket < 0) bucket = expiryNextBucket(a, t, 0);
      if (bucket < 0) return;
      this.records.length = 0;
      bucketRecords(a, t, bucket, this.records);
      for (const record of this.records) {
        if ((a.u32[record >>> 2] & HEAD_EXPIRY) === 0) continue;
        this.sumMs += Math.max(0, recordExpiry(a, record) - nowMs);
        this.count++;
        found++;
      }
      from = bucket + 1;
    }
  }

  get averageMs(): number {
    return this.count === 0 ? 0 : Math.round(this.sumMs / this.count);
  }
}
