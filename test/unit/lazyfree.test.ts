/** Big values that are gone are freed bit by bit: nothing is lost of the arena, and nobody is refused for what is gone. */
import { describe, expect, it } from 'vitest';
import { arenaBytes, verifyAlloc } from '../../engine/alloc.ts';
import { type Arena, COUNTER_BURIED, COUNTER_LAZY_FREED, COUNTER_USED_BYTES } from '../../engine/arena.ts';
import { makeEvictor } from '../../engine/eviction.ts';
import { flushDatabase } from '../../engine/keyspace.ts';
import { freeBuried, hasBuried } from '../../engine/lazyfree.ts';
import { baseBytes } from '../../engine/pages.ts';
import { MAXMEMORY_POLICIES } from '../../engine/settings.ts';
import { TestEngine } from '../support/engine.ts';

const MIB = 1024 * 1024;
const KINDS = ['set', 'hash', 'zset'] as const;
type Kind = (typeof KINDS)[number];
const BATCH = 500;

function engineOf(arenaBytes = 64 * MIB): TestEngine {
  return new TestEngine({ shards: 1, arenaBytes, frees: false });
}

/** Bytes of blocks in use, without what the allocator itself needs, which stays. */
function blockBytes(arena: Arena): number {
  return arena.f64[COUNTER_USED_BYTES] - baseBytes(arena);
}

/** Adds the members [from, to) to a key. */
function fill(engine: TestEngine, kind: Kind, key: string, from: number, to: number): void {
  for (let first = from; first < to; first += BATCH) {
    const args: string[] = [];
    for (let i = first; i < Math.min(to, first + BATCH); i++) {
      if (kind === 'set') args.push(`member:${i}`);
      else if (kind === 'hash') args.push(`field:${i}`, 'x'.repeat(i % 50));
      else args.push(String(i % 37), `member:${i}`);
    }
    engine.run({ set: 'sadd', hash: 'hset', zset: 'zadd' }[kind], key, ...args);
  }
}

/** An engine that had a key once. */
function emptied(): TestEngine {
  const engine = engineOf();
  engine.run('set', 'key', 'x');
  engine.run('del', 'key');
  return engine;
}

describe('a big value that is gone', () => {
  for (const kind of KINDS) {
    it(`is freed to the last block: a ${kind}`, () => {
      const engine = engineOf();
      const arena = engine.shards.arenas[0];
      const { f64 } = arena;
      fill(engine, kind, 'big', 0, 1);
      engine.run('del', 'big');
      const blocks = verifyAlloc(arena);
      const before = blockBytes(arena);

      fill(engine, kind, 'big', 0, 20_000);
      const full = blockBytes(arena);
      expect(engine.run('unlink', 'big')).toBe(':1\r\n');
      expect(engine.run('exists', 'big')).toBe(':0\r\n');
      expect(f64[COUNTER_BURIED]).toBe(1);
      expect(blockBytes(arena)).toBeGreaterThan(full * 0.99);

      // Every step takes some, and no step takes much.
      let used = full;
      let steps = 0;
      while (freeBuried(arena, 8)) {
        const left = blockBytes(arena);
        expect(left).toBeLessThan(used);
        expect(used - left).toBeLessThan((full - before) / 20);
        used = left;
        steps++;
        if (steps % 50 === 0) verifyAlloc(arena);
      }
      expect(steps).toBeGreaterThan(100);
      expect(f64[COUNTER_BURIED]).toBe(0);
      expect(f64[COUNTER_LAZY_FREED]).toBe(1);
      expect(blockBytes(arena)).toBe(before);
      expect(verifyAlloc(arena)).toBe(blocks);
    });
  }

  it('is buried however it goes: deleted, overwritten, expired, its database flushed', () => {
    const engine = engineOf();
    const arena = engine.shards.arenas[0];
    engine.nowMs = 1_700_000_000_000;
    engine.run('set', 'small', 'x');
    const before = blockBytes(arena);
    for (const kind of KINDS) for (let i = 0; i < 4; i++) fill(engine, kind, `${kind}:${i}`, 0, 3000);
    for (const kind of KINDS) {
      engine.run('del', `${kind}:0`);
      engine.run('set', `${kind}:1`, 'now a string');
      engine.run('pexpire', `${kind}:2`, '5');
    }
    expect(arena.f64[COUNTER_BURIED]).toBe(6);
    engine.nowMs += 10;
    engine.expire();
    expect(arena.f64[COUNTER_BURIED]).toBe(9);
    flushDatabase(arena, 0);
    expect(arena.f64[COUNTER_BURIED]).toBe(12);
    while (freeBuried(arena, 8));
    engine.run('set', 'small', 'x');
    expect(blockBytes(arena)).toBe(before);
    expect(arena.f64[COUNTER_LAZY_FREED]).toBe(12);
  });

  for (const kind of KINDS) {
    it(`may be moved by compaction while it is half freed: a ${kind}`, () => {
      const engine = engineOf();
      const arena = engine.shards.arenas[0];
      // Members of both lie side by side in every page.
      for (let i = 0; i < 30_000; i += BATCH) {
        for (const key of ['kept', 'gone']) fill(engine, kind, key, i, i + BATCH);
      }
      engine.run('del', 'gone');
      const pages = arenaBytes(arena);
      for (let step = 0; step < 40; step++) {
        freeBuried(arena, 100);
        // Each takes pages, for which compaction empties those that have become sparse.
        for (let i = 0; i < 5; i++) engine.run('set', `string:${step}:${i}`, 'y'.repeat(20_000));
      }
      expect(hasBuried(arena)).toBe(true);
      for (let step = 0; step < 40; step++) for (let i = 0; i < 5; i++) engine.run('del', `string:${step}:${i}`);
      expect(arenaBytes(arena)).toBeLessThan(pages - MIB / 4);
      engine.verify();
      while (freeBuried(arena, 100));
      engine.verify();
      engine.run('del', 'kept');
      while (freeBuried(arena, 100));
      expect(verifyAlloc(arena)).toBe(verifyAlloc(emptied().shards.arenas[0]));
    });
  }

  it('makes room at once when the arena is full', () => {
    const engine = engineOf(8 * MIB);
    for (const kind of KINDS) {
      for (let i = 0; i < 10; i++) {
        fill(engine, kind, 'big', 0, 40_000);
        expect(engine.run('del', 'big')).toBe(':1\r\n');
        expect(engine.run('set', 'large', 'x'.repeat(4 * MIB))).toBe('+OK\r\n');
        expect(engine.run('del', 'large')).toBe(':1\r\n');
      }
    }
  });

  it('is freed before any key is evicted or any write refused', () => {
    for (const policy of ['allkeys-lru', 'noeviction'] as const) {
      const engine = engineOf();
      const arena = engine.shards.arenas[0];
      engine.settings.set('maxmemory-policy', MAXMEMORY_POLICIES.indexOf(policy));
      for (let i = 0; i < 1000; i++) engine.run('set', `key:${i}`, 'x'.repeat(100));
      fill(engine, 'set', 'big', 0, 50_000);
      engine.settings.set('maxmemory', arena.f64[COUNTER_USED_BYTES] - MIB);
      engine.run('del', 'big');
      const evictor = makeEvictor(engine.shards, engine.settings, 0);
      engine.call.setClock(Date.now());
      expect(evictor.makeRoom(engine.call)).toBe(true);
      // As much as was needed, and no more.
      expect(hasBuried(arena)).toBe(true);
      expect(engine.run('dbsize')).toBe(':1000\r\n');
    }
  });
});

describe('eviction of big values', () => {
  const MEMBERS = 2000;

  function bounded(policy: (typeof MAXMEMORY_POLICIES)[number], shards: number) {
    const engine = new TestEngine({ shards, arenaBytes: 64 * MIB, frees: false });
    engine.settings.set('maxmemory-policy', MAXMEMORY_POLICIES.indexOf(policy));
    engine.settings.set('maxmemory', 4 * MIB);
    const evictor = makeEvictor(engine.shards, engine.settings, 0);
    const makeRoom = (): boolean => {
      engine.call.setClock(Date.now());
      return evictor.makeRoom(engine.call);
    };
    return { engine, makeRoom };
  }

  it.each(['allkeys-lru', 'allkeys-random', 'volatile-ttl'] as const)(
    'lets no more go than it has to: %s',
    (policy) => {
      const { engine, makeRoom } = bounded(policy, 2);
      let before = 0;
      for (let i = 0; i < 100; i++) {
        expect(makeRoom()).toBe(true);
        const keys = Number(engine.run('dbsize').slice(1));
        expect(keys).toBeGreaterThanOrEqual(before - 2);
        fill(engine, 'set', `set:${i}`, 0, MEMBERS);
        engine.run('pexpire', `set:${i}`, String(1_000_000 + i));
        before = keys + 1;
      }
      expect(before).toBeGreaterThan(20);
    },
  );

  it('waits for nobody who is about to free some', () => {
    const { engine, makeRoom } = bounded('allkeys-lru', 2);
    for (let i = 0; i < 40; i++) fill(engine, 'set', `set:${i}`, 0, MEMBERS);
    const [arena] = engine.shards.arenas;
    for (let i = 0; i < 40; i++) {
      engine.run('exists', `set:${i}`);
      if (engine.call.arena === arena) engine.run('del', `set:${i}`);
    }
    const keys = engine.run('dbsize');
    expect(hasBuried(arena)).toBe(true);
    arena.tryLock(1);
    expect(makeRoom()).toBe(true);
    expect(engine.run('dbsize')).toBe(keys);
    arena.unlock();
    expect(makeRoom()).toBe(true);
  });

  it('takes its time over what is far above the limit', () => {
    const { engine, makeRoom } = bounded('allkeys-lru', 1);
    const [arena] = engine.shards.arenas;
    engine.run('set', 'key', 'x');
    fill(engine, 'set', 'big', 0, 400_000);
    engine.run('del', 'big');
    const before = arena.f64[COUNTER_USED_BYTES];
    expect(makeRoom()).toBe(true);
    expect(arena.f64[COUNTER_USED_BYTES]).toBeGreaterThan(before * 0.7);
    for (let i = 0; i < 100; i++) expect(makeRoom()).toBe(true);
    expect(arena.f64[COUNTER_USED_BYTES]).toBeLessThanOrEqual(4 * MIB);
    expect(engine.run('dbsize')).toBe(':1\r\n');
  });
});
