/**
 * The access clock in a key's record: when, or how often, it was last used. Eviction and OBJECT IDLETIME / FREQ read it.
 *
 * LRU policies keep the time in units of 64 ms (32 bits, wraps after 8.7 years), finer than Redis's second, so that keys
 * used within one second still have an order. LFU policies keep an 8-bit logarithmic counter that decays with time (Redis's
 * scheme: probability of an increment 1 / (counter above 5 x lfu-log-factor + 1)) and above it 24 bits of time in units of
 * 128 ms (wraps after 24 days), where Redis keeps minutes: so that of the many keys with the same counter the one that
 * was not used for longest can be told. That is worth 0.5 to 1.5 points of hit ratio (bench/hit-ratio.ts).
 */
import type { Arena, Offset } from './arena.ts';
import type { Call } from './call.ts';
import { settingIndex } from './settings.ts';

const LRU_UNIT_MS = 64;
const LFU_UNIT_MS = 128;
const LFU_TIME_MASK = 0xffffff;
/** The counter a new key begins with, so that it is not the first to go. */
const LFU_INITIAL = 5;
const LFU_LOG_FACTOR = settingIndex('lfu-log-factor');
const LFU_DECAY_MINUTES = settingIndex('lfu-decay-time');

/** Policies 2 and 3 are volatile-lfu and allkeys-lfu (MAXMEMORY_POLICIES). */
export function isLfuPolicy(policy: number): boolean {
  return policy === 2 || policy === 3;
}

export function lruClock(nowMs: number): number {
  return Math.floor(nowMs / LRU_UNIT_MS) >>> 0;
}

export function lfuClock(nowMs: number): number {
  return ((Math.floor(nowMs / LFU_UNIT_MS) & LFU_TIME_MASK) << 8) >>> 0;
}

/** The access word of a key made now. */
export function initialAccess(c: Call): number {
  return c.lfu ? c.accessClock | LFU_INITIAL : c.accessClock;
}

/** Marks a record as used now. */
export function touch(c: Call, record: Offset): void {
  const u32 = c.arena.u32;
  const word = (record + 4) >>> 2;
  if (c.lfu) u32[word] = c.accessClock | incremented(c, lfuCounter(c, u32[word]));
  else u32[word] = c.accessClock;
}

/** The counter in an access word after the decay due by now, 0 to 255. */
export function lfuCounter(c: Call, word: number): number {
  const counter = word & 255;
  const decayMinutes = c.settings.f64[LFU_DECAY_MINUTES];
  if (decayMinutes === 0) return counter;
  // Whole minutes of the clock, so that keys used several times a minute decay as well.
  const minutes = Math.floor(c.nowMs / 60_000) - Math.floor(lfuLastUseMs(c.nowMs, word) / 60_000);
  return Math.max(0, counter - Math.floor(minutes / decayMinutes));
}

/** When a record was last used, ms since 1970 to 128 ms. */
export function lfuLastUseMs(nowMs: number, word: number): number {
  const units = Math.floor(nowMs / LFU_UNIT_MS);
  return (units - (((units & LFU_TIME_MASK) - (word >>> 8)) & LFU_TIME_MASK)) * LFU_UNIT_MS;
}

function incremented(c: Call, counter: number): number {
  if (counter === 255) return 255;
  const above = Math.max(0, counter - LFU_INITIAL);
  const odds = above * c.settings.f64[LFU_LOG_FACTOR] + 1;
  return c.random.next() < 4294967296 / odds ? counter + 1 : counter;
}

/** Milliseconds since the record was last used, to 64 ms. Meaningless under an LFU policy. */
export function idleMs(a: Arena, record: Offset, nowMs: number): number {
  return lruIdleMs(nowMs, a.u32[(record + 4) >>> 2]);
}

export function lruIdleMs(nowMs: number, word: number): number {
  return ((lruClock(nowMs) - word) >>> 0) * LRU_UNIT_MS;
}
