/**
 * Snapshots of a moment without fork: which records are saved already, and when a snapshot begins and ends. What saves
 * them: saver.ts; what walks over those that nobody changes: sweep.ts. Runs under the shard's lock where nothing else is said.
 *
 * Every key record has one bit, its *epoch*, and the arena's header has one too. Outside a snapshot all of them are equal.
 * A snapshot begins by turning the header's bit over, in all shards at one moment. From then on a record whose bit
 * differs is *not yet saved*: whoever is about to change or delete it saves it first and turns its bit (`preserve`); new
 * records are born with the header's bit; and the sweep saves the rest, bucket by bucket in ascending order. When it has
 * passed the whole arena all bits are equal again. So the barrier on the way of a write is one xor and one test, snapshot
 * or not, and a snapshot costs the memory of chunks on their way to the file, however much is written meanwhile.
 *
 * Where the sweep has been nothing unsaved may come to lie. A table that grows moves records to higher buckets only; one that
 * shrinks moves its last bucket down, and saves what is in it then (table.ts, `merge`); compaction moves blocks, not places
 * in tables; SWAPDB exchanges databases, not keyspaces, and items are labelled with the database that a keyspace had when
 * the snapshot began. What drops whole tables (FLUSHALL) would have to save them in one go, and aborts the snapshot instead:
 * the sweep goes on, turning bits without saving, until all are equal.
 *
 * ```
 * state        IDLE ──begin──> SWEEPING ──sweep's end──> IDLE
 *                                  └──abort──> ABORTING ──sweep's end──> ABORTED ──begin──> SWEEPING
 * ```
 * Refused: copying arenas page by page before writes, as fork does. Writes to random keys touch every page's shard within
 * milliseconds, and what is then copied at once is the pause and the doubled memory that fork has.
 */
import {
  type Arena,
  DATABASE_MAP_OFFSET,
  type Offset,
  SNAPSHOT_AT,
  SNAPSHOT_MAP_OFFSET,
  WORD_DATABASES,
  WORD_EPOCH,
  WORD_SNAPSHOT,
  WORD_SNAPSHOT_STATE,
  WORD_SWEEP_BUCKET,
  WORD_SWEEP_KEYSPACE,
} from '../arena.ts';
import { HEAD_EPOCH } from '../record.ts';

/** No snapshot was begun, or the shard's part of the last one is saved. */
export const SNAPSHOT_IDLE = 0;
export const SNAPSHOT_SWEEPING = 1;
/** The snapshot is worth nothing any more; the sweep still evens the bits. */
export const SNAPSHOT_ABORTING = 2;
/** The same, and the sweep is over. Stays until the next snapshot begins. */
export const SNAPSHOT_ABORTED = 3;

/** Saves a record that the snapshot under way has not saved, if there is one: before it is changed or deleted. */
export function preserve(a: Arena, record: Offset): void {
  if (((a.u32[record >>> 2] ^ a.u32[WORD_EPOCH]) & HEAD_EPOCH) !== 0) a.saver.save(a, record);
}

/** The state of a shard's part of the last snapshot. Any thread, without the lock. */
export function snapshotState(a: Arena): number {
  return Atomics.load(a.i32, WORD_SNAPSHOT_STATE);
}

/** Whether the sweep of a shard is under way. Any thread, without the lock. */
export function isSwept(a: Arena): boolean {
  const state = snapshotState(a);
  return state === SNAPSHOT_IDLE || state === SNAPSHOT_ABORTED;
}

/** Whether the last snapshot was aborted in any shard: then all of it is. Any thread, without the locks. */
export function isAborted(arenas: readonly Arena[]): boolean {
  return arenas.some((a) => {
    const state = snapshotState(a);
    return state === SNAPSHOT_ABORTING || state === SNAPSHOT_ABORTED;
  });
}

/** The number of the last snapshot begun, 0 for none. Any thread, without the lock. */
export function snapshotNumber(a: Arena): number {
  return Atomics.load(a.i32, WORD_SNAPSHOT) >>> 0;
}

/**
 * Begins a snapshot of what all shards hold now, and returns its number. The caller holds all locks, and every thread has
 * handed out what it saved for the snapshot before. `nowMs` is the moment's clock: keys that have expired by then are left
 * out. Costs about a microsecond per shard.
 */
export function beginSnapshot(arenas: readonly Arena[], nowMs: number): number {
  for (const a of arenas) if (!isSwept(a)) throw new Error('snapshot: one is under way');
  const number = snapshotNumber(arenas[0]) + 1;
  for (const a of arenas) {
    a.u32[WORD_EPOCH] ^= HEAD_EPOCH;
    a.f64[SNAPSHOT_AT] = nowMs;
    a.u32[WORD_SWEEP_KEYSPACE] = 0;
    a.u32[WORD_SWEEP_BUCKET] = 0;
    copyMap(a);
    Atomics.store(a.i32, WORD_SNAPSHOT_STATE, SNAPSHOT_SWEEPING);
  }
  // Threads look at the first shard's number for news, without its lock: it is the last thing to change.
  for (let i = arenas.length - 1; i >= 0; i--) Atomics.store(arenas[i].i32, WORD_SNAPSHOT, number);
  return number;
}

/** Turns the map from databases to keyspaces round. */
function copyMap(a: Arena): void {
  const { u16 } = a;
  const databases = a.u32[WORD_DATABASES];
  for (let db = 0; db < databases; db++) {
    const difference = u16[(DATABASE_MAP_OFFSET >>> 1) + db];
    u16[(SNAPSHOT_MAP_OFFSET >>> 1) + (db ^ difference)] = difference;
  }
}

/**
 * Aborts the snapshot under way; nothing happens when there is none. What was handed out for it is to be thrown away. With all
 * locks when something unsaved is to be dropped; else, after trouble with the file, without any.
 */
export function abortSnapshot(arenas: readonly Arena[]): void {
  if (arenas.every(isSwept)) return;
  for (const a of arenas) {
    // A shard that is done is aborted with the others, so that its state says what has become of the snapshot.
    Atomics.compareExchange(a.i32, WORD_SNAPSHOT_STATE, SNAPSHOT_IDLE, SNAPSHOT_ABORTED);
    Atomics.compareExchange(a.i32, WORD_SNAPSHOT_STATE, SNAPSHOT_SWEEPING, SNAPSHOT_ABORTING);
  }
}

/** The sweep has passed the whole arena. */
export function endSweep(a: Arena): void {
  Atomics.compareExchange(a.i32, WORD_SNAPSHOT_STATE, SNAPSHOT_SWEEPING, SNAPSHOT_IDLE);
  Atomics.compareExchange(a.i32, WORD_SNAPSHOT_STATE, SNAPSHOT_ABORTING, SNAPSHOT_ABORTED);
}
