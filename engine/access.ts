/**
 * The access clock in a key's record: when, or how often, it was last used. Eviction and OBJECT IDLETIME / FREQ read it.
 *
 * LRU policies keep the time in units of 64 ms (32 bits, wraps after 8.7 years), finer than Redis's second, so that keys
 * used within one second still have an order. LFU policies keep 24 bits of minutes and an 8-bit logarithmic counter that
 * decays with time (Redis's scheme: probability of an increment 1 / (counter above 5 x lfu-log-factor + 1)).
 */
import type { Arena, Offset } from './arena.ts';
import type { Call } from './call.ts';
import { settingIndex } from './settings.ts';

const LRU_UNIT_MS = 64;
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
  return ((Math.floor(nowMs / 60_000) & 0xffffff) << 8) >>> 0;
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
  const minutes = ((lfuClock(c.nowMs) >>> 8) - (word >>> 8)) & 0xffffff;
  return Math.max(0, counter - Math.floor(minutes / decayMinutes));
}

function incremented(c: Call, counter: number): number {
  if (counter === 255) return 255;
  const above = Math.max(0, counter - LFU_INITIAL);
  const odds = above * c.settings.f64[LFU_LOG_FACTOR] + 1;
  return c.random.next() < 4294967296 / odds ? counter + 1 : counter;
}

/** Milliseconds since the record was last used, to 64 ms. Meaningless under an LFU policy. */
export function idleMs(a: Arena, record: Offset, nowMs: number): number {
  return ((lruClock(nowMs) - a.u32[(record + 4) >>> 2]) >>> 0) * LRU_UNIT_MS;
}
