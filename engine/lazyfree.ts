/**
 * Lazy freeing: the table of a big set, hash or sorted set whose key is gone is buried, which takes as long as linking it
 * into the shard's chain, and its members are freed a few buckets at a time. So no command, expiry or eviction waits for a
 * million members (0.1 us each). Runs under the shard's lock.
 *
 * ```
 * header WORD_BURIED -> table -NEXT_BURIED-> table -> 0
 * ```
 * Who frees them: the shard's worker, in the slices that it has for expiry (worker.ts); whoever makes room below
 * maxmemory, before any key is evicted (eviction.ts); and an allocation that would fail, all of them at once (spans.ts).
 * Until then they count as used memory. A buried table stays whole, so that compaction may still move its members.
 *
 * Lists, streams and strings are freed at once: they are a few large blocks, a million elements about a millisecond.
 */
import { type Arena, COUNTER_BURIED, COUNTER_LAZY_FREED, type Offset, WORD_BURIED } from './arena.ts';
import { NEXT_BURIED } from './bucket.ts';
import { free, registerReclaimer } from './spans.ts';
import { tableCount, tableFree, tableOwnerWord, tableTakeLast } from './table.ts';
import { treeFree, treeRemove } from './types/tree.ts';

/** A table with more members is buried; this many are freed in about 50 us. */
const FREED_AT_ONCE = 512;

/** Whether a table is large enough to be buried rather than freed. */
export function isLarge(a: Arena, t: Offset): boolean {
  return tableCount(a, t) > FREED_AT_ONCE;
}

/** Takes over a table of members, with its tree if it is a sorted set's: nobody else refers to it any more. */
export function bury(a: Arena, t: Offset): void {
  a.u32[(t + NEXT_BURIED) >>> 2] = a.u32[WORD_BURIED];
  a.u32[WORD_BURIED] = t;
  a.f64[COUNTER_BURIED]++;
}

/** Whether anything waits to be freed; without the lock the answer may be old. */
export function hasBuried(a: Arena): boolean {
  return a.u32[WORD_BURIED] !== 0;
}

const taken: Offset[] = [];

/** Frees up to `buckets` buckets of what is buried, of about seven members each; false when nothing is left. */
export function freeBuried(a: Arena, buckets: number): boolean {
  for (let i = 0; i < buckets; i++) {
    const t = a.u32[WORD_BURIED];
    if (t === 0) return false;
    const isSorted = tableOwnerWord(a, t) !== 0;
    taken.length = 0;
    const count = tableTakeLast(a, t, taken);
    for (let m = 0; m < count; m++) {
      if (isSorted) treeRemove(a, t, taken[m]);
      free(a, taken[m]);
    }
    if (tableCount(a, t) > 0) continue;
    a.u32[WORD_BURIED] = a.u32[(t + NEXT_BURIED) >>> 2];
    if (isSorted) treeFree(a, t);
    tableFree(a, t);
    a.f64[COUNTER_BURIED]--;
    a.f64[COUNTER_LAZY_FREED]++;
  }
  return a.u32[WORD_BURIED] !== 0;
}

registerReclaimer((a) => {
  while (freeBuried(a, Number.MAX_SAFE_INTEGER));
});
