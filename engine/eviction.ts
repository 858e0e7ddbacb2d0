/**
 * Eviction: makes room below maxmemory before a write. One `Eviction` per thread, used before a command runs, while the
 * thread holds the command's shards. Other shards are locked for a moment if they are free, never waited for. Costs one
 * load per shard while memory suffices, about half a microsecond per evicted key otherwise.
 *
 * The LRU and LFU policies look at `maxmemory-samples` records or a few more per eviction and keep the best candidates of
 * the whole node in a pool. Unlike Redis they do not draw records at random but sweep the tables bucket by bucket: hashes
 * are random enough, the next bucket is in the cache already, and every record is looked at exactly once per sweep, so
 * none grows much older than the others before it is noticed. A candidate is checked again when its turn comes, and
 * dropped if it was used, moved or deleted since.
 *
 * The volatile policies find keys with a TTL by the expiry index, which knows the buckets that have any, and the soonest
 * of all for volatile-ttl (on a replica, where keys go a little later, volatile-ttl samples as LRU does).
 */
import { lfuCounter, lfuLastUseMs, lruIdleMs } from './access.ts';
import type { Arena, Offset } from './arena.ts';
import {
  COUNTER_EVICTED,
  COUNTER_EXPIRED,
  COUNTER_EXPIRING_KEYS,
  COUNTER_KEYS,
  COUNTER_NEXT_EXPIRY,
  COUNTER_USED_BYTES,
  DATABASE_DIRECTORY_OFFSET,
  WORD_DATABASES,
} from './arena.ts';
import { bucketOffset, EXPIRING_COUNT, NEXT_OVERFLOW, PLACES, PLACES_OFFSET, TABLE_NEXT_EXPIRY } from './bucket.ts';
import type { Call } from './call.ts';
import { EvictionPool } from './evictionpool.ts';
import { expiryDueBucket, expiryNextBucket, expiryRefresh } from './expiry.ts';
import { deleteRecord } from './keyspace.ts';
import { freeBuried, hasBuried } from './lazyfree.ts';
import { Random } from './random.ts';
import { HEAD_EXPIRY, recordExpiry } from './record.ts';
import { MAXMEMORY_POLICIES, type Settings, settingIndex } from './settings.ts';
import type { Shards } from './shards.ts';
import { usableSize } from './spans.ts';
import { bucketRecords, tableBuckets, tableCount, tableRandom } from './table.ts';
import { valueBytes } from './values.ts';

const MAXMEMORY = settingIndex('maxmemory');
const MAXMEMORY_POLICY = settingIndex('maxmemory-policy');
const MAXMEMORY_SAMPLES = settingIndex('maxmemory-samples');

const ALLKEYS_RANDOM = MAXMEMORY_POLICIES.indexOf('allkeys-random');
const VOLATILE_RANDOM = MAXMEMORY_POLICIES.indexOf('volatile-random');
const VOLATILE_TTL = MAXMEMORY_POLICIES.indexOf('volatile-ttl');
const NOEVICTION = MAXMEMORY_POLICIES.indexOf('noeviction');

/**
 * After so many evictions a command goes ahead although memory is above maxmemory, if at least it is no higher than the
 * command before left it: after CONFIG SET maxmemory to half, say. About 4 ms.
 */
const MAX_EVICTIONS = 8192;
/** To free so many bytes takes as long as one eviction: 500 fields of a hash count as a hundred. */
const EVICTION_BYTES = 256;
/** What a step of freeing (RECLAIMED_BUCKETS) counts as, in evictions. */
const RECLAIM_WORK = 10;
/** Buckets visited for one eviction at the most, when candidates are few. */
const MAX_VISITS = 64;
/** Buckets of a value that is gone already, of about seven members each, that are freed between two looks at the memory. */
const RECLAIMED_BUCKETS = 8;
/** Rounds of sampling without an eviction before all that can be locked counts as searched. */
const MAX_ROUNDS = 64;
/** The rank of a key that has expired: before every other. */
const EXPIRED_RANK = -1;
/** The factor by which the frequency counter outweighs the time of the last use, which orders keys of one frequency. */
const COUNTER_WEIGHT = 2 ** 42;
const DIRECTORY = DATABASE_DIRECTORY_OFFSET >>> 2;

/** What the thread that keeps the log wants to know and decide. */
export interface EvictionGuard {
  /** Whether keys go later, by an entry of a group's log: then they stay where they are for a while. */
  readonly defers: boolean;
  /** Whether keys of a shard that is not locked may go now: not while commands are queued for it, which come before. */
  mayEnter(shard: number): boolean;
  /** The key is about to go, or will later if the guard defers. */
  evicting(a: Arena, record: Offset): void;
}

export function makeEvictor(shards: Shards, settings: Settings, thread: number): Eviction {
  return new Eviction(shards, settings, thread);
}

export class Eviction {
  guard: EvictionGuard | undefined = undefined;
  private readonly arenas: readonly Arena[];
  private readonly settings: Settings;
  private readonly thread: number;
  /** Its own draws, not the call's: followers replay the command but not the evictions before it. */
  private readonly random: Random;
  private readonly pool = new EvictionPool();
  /** Bytes of keys that will go later. Whoever lets them go takes them off. */
  deferredBytes = 0;
  private policy = NOEVICTION;
  /** Whether only keys with a TTL are candidates. */
  private isVolatile = false;
  /** Where the sweep of each shard stands. Hints: any value is good. */
  private readonly cursorKeyspace: Uint16Array;
  private readonly cursorBucket: Uint32Array;
  /** Samples still to be taken; below zero by what the last bucket held more than was wanted. */
  private owedSamples = 0;
  /** What `readPlaces` found. */
  private readonly placeRecord = new Uint32Array(PLACES);
  private readonly placeAccess = new Uint32Array(PLACES);
  /** The records of the bucket at hand, for the policies that look at one bucket per eviction. */
  private readonly records: Offset[] = [];
  /** What `measure` found: bytes in use, and keys that the policy may evict, over all shards. */
  private usedBytes = 0;
  private candidates = 0;
  /** `usedBytes` at the end of the last call that evicted. */
  private leftBytes = Number.POSITIVE_INFINITY;
  /** Shards whose lock another thread held when it was tried for the eviction at hand. */
  private readonly isBusy: Uint8Array;
  private busyCount = 0;
  /** Whether the shard entered last was locked by `enter`, so that `leave` unlocks it. */
  private hasLocked = false;

  constructor(shards: Shards, settings: Settings, thread: number) {
    this.arenas = shards.arenas;
    this.settings = settings;
    this.thread = thread;
    this.random = new Random(thread + 1);
    this.cursorKeyspace = new Uint16Array(this.arenas.length);
    this.cursorBucket = new Uint32Array(this.arenas.length);
    this.isBusy = new Uint8Array(this.arenas.length);
  }

  /**
   * Brings memory down to maxmemory. False when it stays above because there is nothing to evict: commands that add memory
   * are then refused. True also when others hold the locks of all that could go, since they make room before they write.
   */
  makeRoom(c: Call): boolean {
    const limit = this.settings.f64[MAXMEMORY];
    if (limit === 0) return true;
    this.measure();
    if (this.usedBytes <= limit) return true;
    const policy = this.settings.f64[MAXMEMORY_POLICY];
    if (policy !== this.policy) this.setPolicy(policy);
    for (let work = 0; this.usedBytes > limit; ) {
      if (work >= MAX_EVICTIONS && this.usedBytes <= this.leftBytes) break;
      const before = this.usedBytes;
      // What is gone already makes room first: no other key has to go for it.
      const reclaims = this.reclaim();
      if (!reclaims) {
        // Others have those shards: they free it, or will.
        if (this.arenas.some(hasBuried)) break;
        if (policy === NOEVICTION) return false;
        if (!this.evictOne(c)) return this.busyCount > 0;
      }
      this.measure();
      work += reclaims ? RECLAIM_WORK : 1 + (before - this.usedBytes) / EVICTION_BYTES;
    }
    this.leftBytes = this.usedBytes;
    return true;
  }

  /** Frees a little of what waits to be freed, in a shard that is free; false when there is none. */
  private reclaim(): boolean {
    for (const a of this.arenas) {
      if (!hasBuried(a)) continue;
      const isOurs = a.lockedBy(this.thread);
      if (!isOurs && !a.tryLock(this.thread)) continue;
      freeBuried(a, RECLAIMED_BUCKETS);
      if (!isOurs) a.unlock();
      return true;
    }
    return false;
  }

  private setPolicy(policy: number): void {
    this.policy = policy;
    this.isVolatile = MAXMEMORY_POLICIES[policy].startsWith('volatile');
    this.pool.clear();
    this.measure();
  }

  private measure(): void {
    const counter = this.isVolatile ? COUNTER_EXPIRING_KEYS : COUNTER_KEYS;
    let used = 0;
    let candidates = 0;
    for (let i = 0; i < this.arenas.length; i++) {
      const f64 = this.arenas[i].f64;
      used += f64[COUNTER_USED_BYTES];
      candidates += f64[counter];
    }
    this.usedBytes = used - this.deferredBytes;
    this.candidates = candidates;
  }

  private evictOne(c: Call): boolean {
    if (this.busyCount > 0) {
      this.isBusy.fill(0);
      this.busyCount = 0;
    }
    if (this.candidates === 0) return false;
    // Where keys stay for a while the soonest would be found again and again.
    if (this.policy === VOLATILE_TTL && this.guard?.defers !== true) return this.evictSoonest(c.nowMs);
    if (this.policy === ALLKEYS_RANDOM || this.policy === VOLATILE_RANDOM) return this.evictRandom(c.nowMs);
    for (let round = 0; round < MAX_ROUNDS; round++) {
      this.sample(c);
      if (this.evictBest(c.nowMs)) return true;
    }
    return false;
  }

  /** The one way out for a key that has to go. */
  private evict(a: Arena, record: Offset, nowMs: number): void {
    this.guard?.evicting(a, record);
    if (this.guard?.defers === true) {
      this.deferredBytes += usableSize(a, record) + valueBytes(a, record);
      a.f64[COUNTER_EVICTED]++;
      return;
    }
    a.f64[recordExpiry(a, record) <= nowMs ? COUNTER_EXPIRED : COUNTER_EVICTED]++;
    deleteRecord(a, record);
  }

  /** Whether the shard may be worked on now: this thread holds its lock, or could take it. Then `leave` it. */
  private enter(shard: number): boolean {
    const a = this.arenas[shard];
    this.hasLocked = false;
    if (a.lockedBy(this.thread)) return true;
    if (this.isBusy[shard] === 1) return false;
    if (this.guard?.mayEnter(shard) !== false && a.tryLock(this.thread)) {
      this.hasLocked = true;
      return true;
    }
    this.isBusy[shard] = 1;
    this.busyCount++;
    return false;
  }

  private leave(shard: number): void {
    if (this.hasLocked) this.arenas[shard].unlock();
  }

  /** Enters a shard drawn by its number of candidates, or the next one with any that is free. Returns -1 for none. */
  private enterDrawn(): number {
    const counter = this.isVolatile ? COUNTER_EXPIRING_KEYS : COUNTER_KEYS;
    const count = this.arenas.length;
    let draw = this.random.below(this.candidates);
    let shard = 0;
    while (shard < count - 1 && draw >= this.arenas[shard].f64[counter]) draw -= this.arenas[shard++].f64[counter];
    for (let tries = 0; tries < count; tries++) {
      if (this.arenas[shard].f64[counter] > 0 && this.enter(shard)) return shard;
      shard = shard + 1 < count ? shard + 1 : 0;
    }
    return -1;
  }

  // LRU and LFU.

  /** Offers the pool all records of the next buckets of some shard: on average `maxmemory-samples` per call. */
  private sample(c: Call): void {
    const shard = this.enterDrawn();
    if (shard < 0) return;
    this.owedSamples += this.settings.f64[MAXMEMORY_SAMPLES];
    for (let visits = 0; visits < MAX_VISITS && this.owedSamples > 0; visits++) {
      this.owedSamples -= this.sampleBucket(c, shard);
    }
    this.owedSamples = Math.min(this.owedSamples, 0);
    this.leave(shard);
  }

  private sampleBucket(c: Call, shard: number): number {
    const a = this.arenas[shard];
    const bucket = this.nextBucket(a, shard);
    if (bucket < 0) return 0;
    const keyspace = this.cursorKeyspace[shard];
    const t = a.u32[DIRECTORY + keyspace];
    let looked = 0;
    for (let at = bucketOffset(a, t, bucket); at !== 0; at = a.u32[(at + NEXT_OVERFLOW) >>> 2]) {
      const count = this.readPlaces(a, at);
      looked += count;
      for (let i = 0; i < count; i++) {
        const record = this.placeRecord[i];
        const access = this.placeAccess[i];
        this.pool.offer(this.rankOf(c, a, record, access), shard, keyspace, bucket, record, access);
      }
    }
    if (looked === 0 && this.isVolatile) expiryRefresh(a, t, bucket, Number.NEGATIVE_INFINITY);
    return looked;
  }

  /**
   * Reads the candidates in the places of a bucket and their access words. A loop of its own, without a branch on what it
   * reads from the records, so that their cache misses overlap.
   */
  private readPlaces(a: Arena, at: Offset): number {
    const u32 = a.u32;
    const { placeRecord, placeAccess } = this;
    const wanted = this.isVolatile ? HEAD_EXPIRY : 0;
    let count = 0;
    for (let word = (at >>> 2) + PLACES_OFFSET, end = word + PLACES; word < end; word++) {
      const record = u32[word];
      if (record === 0) continue;
      placeRecord[count] = record;
      placeAccess[count] = u32[(record + 4) >>> 2];
      if (wanted === 0 || (u32[record >>> 2] & wanted) !== 0) count++;
    }
    return count;
  }

  /** Moves the shard's sweep on to the next bucket that may hold candidates, through one keyspace after the other. */
  private nextBucket(a: Arena, shard: number): number {
    const keyspaces = a.u32[WORD_DATABASES];
    let keyspace = this.cursorKeyspace[shard];
    let from = this.cursorBucket[shard];
    for (let turn = 0; turn <= keyspaces; turn++) {
      const t = a.u32[DIRECTORY + keyspace];
      if (t !== 0) {
        const bucket = this.isVolatile ? expiryNextBucket(a, t, from) : from < tableBuckets(a, t) ? from : -1;
        if (bucket >= 0) {
          this.cursorKeyspace[shard] = keyspace;
          this.cursorBucket[shard] = bucket + 1;
          return bucket;
        }
      }
      keyspace = keyspace + 1 < keyspaces ? keyspace + 1 : 0;
      from = 0;
    }
    return -1;
  }

  /** LRU: the time of the last use. LFU: the frequency, and among equals the time of the last use. TTL: the expiry. */
  private rankOf(c: Call, a: Arena, record: Offset, access: number): number {
    const atMs = recordExpiry(a, record);
    if (atMs <= c.nowMs) return EXPIRED_RANK;
    if (this.policy === VOLATILE_TTL) return atMs;
    if (!c.lfu) return c.nowMs - lruIdleMs(c.nowMs, access);
    return lfuCounter(c, access) * COUNTER_WEIGHT + lfuLastUseMs(c.nowMs, access);
  }

  /** Evicts the pool's best candidate that still is one and whose shard is free. */
  private evictBest(nowMs: number): boolean {
    const pool = this.pool;
    for (let i = pool.count - 1; i >= 0; i--) {
      const slot = pool.order[i];
      const shard = pool.shard[slot];
      if (!this.enter(shard)) continue;
      const isGood = this.isStillThere(slot);
      if (isGood) this.evict(this.arenas[shard], pool.record[slot], nowMs);
      this.leave(shard);
      pool.removeAt(i);
      if (isGood) return true;
    }
    return false;
  }

  /**
   * Whether a candidate's record is still in the bucket where it was seen and was not used since. (Another key's record
   * that has come to lie there, in the same bucket and used at the same time, is as good.)
   */
  private isStillThere(slot: number): boolean {
    const pool = this.pool;
    const a = this.arenas[pool.shard[slot]];
    const u32 = a.u32;
    const t = u32[DIRECTORY + pool.keyspace[slot]];
    const bucket = pool.bucket[slot];
    if (t === 0 || bucket >= tableBuckets(a, t)) return false;
    const record = pool.record[slot];
    for (let at = bucketOffset(a, t, bucket); at !== 0; at = u32[(at + NEXT_OVERFLOW) >>> 2]) {
      for (let i = 0; i < PLACES; i++) {
        if (u32[(at >>> 2) + PLACES_OFFSET + i] !== record) continue;
        return (
          u32[(record + 4) >>> 2] === pool.access[slot] && (!this.isVolatile || (u32[record >>> 2] & HEAD_EXPIRY) !== 0)
        );
      }
    }
    return false;
  }

  // Random.

  private evictRandom(nowMs: number): boolean {
    const shard = this.enterDrawn();
    if (shard < 0) return false;
    const a = this.arenas[shard];
    const t = this.drawTable(a);
    this.evict(a, this.isVolatile ? this.drawVolatile(a, t) : tableRandom(a, t, this.random), nowMs);
    this.leave(shard);
    return true;
  }

  /** A table of the shard drawn by its number of candidates; there are some. */
  private drawTable(a: Arena): Offset {
    let draw = this.random.below(a.f64[this.isVolatile ? COUNTER_EXPIRING_KEYS : COUNTER_KEYS]);
    const keyspaces = a.u32[WORD_DATABASES];
    for (let keyspace = 0; keyspace < keyspaces; keyspace++) {
      const t = a.u32[DIRECTORY + keyspace];
      if (t === 0) continue;
      draw -= this.isVolatile ? a.u32[(t + EXPIRING_COUNT) >>> 2] : tableCount(a, t);
      if (draw < 0) return t;
    }
    throw new Error('eviction: the tables hold fewer keys than the shard counts');
  }

  /** A key with a TTL from the bucket that follows a random one. The table has some. */
  private drawVolatile(a: Arena, t: Offset): Offset {
    for (;;) {
      let bucket = expiryNextBucket(a, t, this.random.below(tableBuckets(a, t)));
      if (bucket < 0) bucket = expiryNextBucket(a, t, 0);
      if (bucket < 0) throw new Error('eviction: keys with an expiry are not in the index');
      const count = this.volatileRecords(a, t, bucket);
      if (count > 0) return this.records[this.random.below(count)];
      // Each bucket found empty leaves the index, so that the search ends.
      expiryRefresh(a, t, bucket, Number.NEGATIVE_INFINITY);
    }
  }

  /** Fills `records` with the bucket's records that have a TTL and returns how many. */
  private volatileRecords(a: Arena, t: Offset, bucket: number): number {
    const records = this.records;
    records.length = 0;
    bucketRecords(a, t, bucket, records);
    let count = 0;
    for (let i = 0; i < records.length; i++) {
      if ((a.u32[records[i] >>> 2] & HEAD_EXPIRY) !== 0) records[count++] = records[i];
    }
    return count;
  }

  // TTL.

  /**
   * Evicts the key of the node that expires next. The index gives lower bounds; a bound that no key has is made exact and
   * the search begins again, so what is evicted in the end is the true minimum over the shards that are free.
   */
  private evictSoonest(nowMs: number): boolean {
    for (;;) {
      const shard = this.enterSoonest();
      if (shard < 0) return false;
      const a = this.arenas[shard];
      const believed = a.f64[COUNTER_NEXT_EXPIRY];
      const t = this.soonestTable(a);
      const bound = t === 0 ? Number.POSITIVE_INFINITY : a.f64[(t + TABLE_NEXT_EXPIRY) >>> 3];
      a.f64[COUNTER_NEXT_EXPIRY] = bound;
      const record = bound > believed ? 0 : this.recordDue(a, t, bound);
      if (record !== 0) this.evict(a, record, nowMs);
      this.leave(shard);
      if (record !== 0) return true;
    }
  }

  /** Enters the shard with the earliest bound among those that are free. Returns -1 for none. */
  private enterSoonest(): number {
    for (;;) {
      let shard = -1;
      let soonest = Number.POSITIVE_INFINITY;
      for (let i = 0; i < this.arenas.length; i++) {
        const atMs = this.arenas[i].f64[COUNTER_NEXT_EXPIRY];
        if (atMs >= soonest || this.isBusy[i] === 1) continue;
        soonest = atMs;
        shard = i;
      }
      if (shard < 0 || this.enter(shard)) return shard;
    }
  }

  private soonestTable(a: Arena): Offset {
    const keyspaces = a.u32[WORD_DATABASES];
    let soonest = 0;
    for (let keyspace = 0; keyspace < keyspaces; keyspace++) {
      const t = a.u32[DIRECTORY + keyspace];
      if (t === 0) continue;
      if (soonest === 0 || a.f64[(t + TABLE_NEXT_EXPIRY) >>> 3] < a.f64[(soonest + TABLE_NEXT_EXPIRY) >>> 3])
        soonest = t;
    }
    return soonest;
  }

  /** The record that expires at the table's bound; 0 when there is none, and then the bucket that said so is made exact. */
  private recordDue(a: Arena, t: Offset, bound: number): Offset {
    const bucket = expiryDueBucket(a, t, bound);
    if (bucket < 0) throw new Error('eviction: no bucket has the bound of its table');
    const count = this.volatileRecords(a, t, bucket);
    for (let i = 0; i < count; i++) if (recordExpiry(a, this.records[i]) <= bound) return this.records[i];
    expiryRefresh(a, t, bucket, Number.NEGATIVE_INFINITY);
    return 0;
  }
}
