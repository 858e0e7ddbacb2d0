import { beforeEach, describe, expect, it } from 'vitest';
import { COUNTER_NEXT_EXPIRY } from '../../engine/arena.ts';
import { Call } from '../../engine/call.ts';
import { LockSet } from '../../engine/locks.ts';
import { Settings } from '../../engine/settings.ts';
import { Shards } from '../../engine/shards.ts';
import { releaseChunk } from '../../engine/snapshot/chunk.ts';
import { beginSnapshot, isSwept } from '../../engine/snapshot/epoch.ts';
import { Saver } from '../../engine/snapshot/saver.ts';
import { MainShards } from '../../net/dispatch-shards.ts';

const ARENA_BYTES = 1024 * 1024;
const NOW_MS = 1_700_000_000_000;

let call: Call;
let clock: { settledMs: number };
let shards: MainShards;
/** A worker's. */
let others: LockSet;

beforeEach(() => {
  const memory = Shards.create(2, ARENA_BYTES, 1, [1, 2]);
  call = new Call(memory, new Settings());
  clock = { settledMs: NOW_MS };
  shards = new MainShards(call, clock, false);
  others = new LockSet(memory, 1);
});

describe('a shard is borrowed at once', () => {
  it('when its lock is free', () => {
    expect(shards.borrowAtOnce(0)).toBe(true);
    expect(shards.locks.held[0]).toBe(1);
  });

  it('not while its worker has the lock', () => {
    others.take(0);
    expect(shards.borrowAtOnce(0)).toBe(false);
    expect(shards.borrowAtOnce(1)).toBe(true);
  });

  it('not when keys of it are to expire, which borrowing it does', () => {
    shards.arenas[0].f64[COUNTER_NEXT_EXPIRY] = NOW_MS;
    expect(shards.borrowAtOnce(0)).toBe(false);
    expect(shards.locks.held[0]).toBe(0);
  });

  it('not while a snapshot sweeps it, which borrowing it does too', () => {
    const pending = new Int32Array(new SharedArrayBuffer(4));
    shards.saver = new Saver((chunk) => releaseChunk(chunk, pending), pending);
    expect(shards.borrowAtOnce(1)).toBe(true);
    for (const arena of shards.arenas) arena.saver = shards.saver;
    beginSnapshot(shards.arenas, NOW_MS);
    expect(shards.borrowAtOnce(0)).toBe(false);
    expect(shards.borrow(0)).toBe(true);
    expect(isSwept(shards.arenas[0])).toBe(true);
  });

  it('of several, when each is', () => {
    shards.marked.fill(1);
    others.take(1);
    expect(shards.borrowMarkedAtOnce()).toBe(false);
    others.release(1);
    expect(shards.borrowMarkedAtOnce()).toBe(true);
    expect([...shards.locks.held]).toEqual([1, 1]);
  });
});
