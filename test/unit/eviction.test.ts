/** Eviction: what each policy lets go, that memory stays below maxmemory, and that nobody waits for a lock. */
import { describe, expect, it } from 'vitest';
import {
  COUNTER_EVICTED,
  COUNTER_EXPIRED,
  COUNTER_EXPIRING_KEYS,
  COUNTER_KEYS,
  COUNTER_USED_BYTES,
} from '../../engine/arena.ts';
import { makeEvictor } from '../../engine/eviction.ts';
import { EvictionPool, POOL_SIZE } from '../../engine/evictionpool.ts';
import { Random } from '../../engine/random.ts';
import { keyLength, keyStart, recordExpiry } from '../../engine/record.ts';
import { MAXMEMORY_POLICIES } from '../../engine/settings.ts';
import { usableSize } from '../../engine/spans.ts';
import { type Arg, TestEngine } from '../support/engine.ts';

type Policy = (typeof MAXMEMORY_POLICIES)[number];

const MIB = 1024 * 1024;
const VALUE = 'v'.repeat(100);

/** An engine that makes room before each write, as the dispatcher does. */
class Cache {
  readonly engine: TestEngine;
  readonly evictor;

  constructor(policy: Policy, maxmemory: number, shards = 4) {
    this.engine = new TestEngine({ shards, arenaBytes: 64 * MIB });
    this.engine.nowMs = 1_700_000_000_000;
    this.engine.settings.set('maxmemory', maxmemory);
    this.setPolicy(policy);
    this.evictor = makeEvictor(this.engine.shards, this.engine.settings, 0);
  }

  setPolicy(policy: Policy): void {
    this.engine.settings.set('maxmemory-policy', MAXMEMORY_POLICIES.indexOf(policy));
  }

  /** False when there was no room. */
  write(...args: Arg[]): boolean {
    this.engine.call.setClock(this.engine.nowMs as number);
    if (!this.evictor.makeRoom(this.engine.call)) return false;
    this.engine.run(...args);
    return true;
  }

  has(key: string): boolean {
    return this.engine.run('exists', key) === ':1\r\n';
  }

  get(key: string): void {
    this.engine.run('get', key);
  }

  pass(ms: number): void {
    this.engine.nowMs = (this.engine.nowMs as number) + ms;
  }

  sum(counter: number): number {
    return this.engine.shards.arenas.reduce((sum, arena) => sum + arena.f64[counter], 0);
  }

  /** Bytes in use when nothing is stored: what maxmemory has to leave for keys. */
  static empty(shards = 4): number {
    return new Cache('noeviction', 0, shards).sum(COUNTER_USED_BYTES);
  }
}

const BASE = Cache.empty();

describe('every policy', () => {
  for (const policy of MAXMEMORY_POLICIES) {
    it(`${policy} keeps memory below maxmemory and the tables whole`, () => {
      const limit = BASE + 2 * MIB;
      const cache = new Cache(policy, limit);
      const random = new Random(5);
      let refused = 0;
      let most = 0;
      for (let i = 0; i < 20_000; i++) {
        if (i % 50 === 0) cache.pass(20);
        const key = `key:${random.below(40_000)}`;
        const value = 'x'.repeat(random.below(400));
        const ok =
          i % 3 === 0
            ? cache.write('set', key, value, 'ex', 1000 + random.below(1000))
            : cache.write('set', key, value);
        if (!ok) refused++;
        most = Math.max(most, cache.sum(COUNTER_USED_BYTES));
        if (random.below(2) === 0) cache.get(`key:${random.below(40_000)}`);
      }
      cache.engine.verify();
      // One command's worth: a record, a bucket or a segment of them with its bounds.
      expect(most).toBeLessThan(limit + 32 * 1024);
      if (policy.startsWith('allkeys')) expect(refused).toBe(0);
      if (policy === 'noeviction') expect(refused).toBeGreaterThan(1000);
      else expect(cache.sum(COUNTER_EVICTED)).toBeGreaterThan(1000);
    });
  }

  it('refuses when only keys without a TTL are left, and spares them', () => {
    for (const policy of MAXMEMORY_POLICIES.filter((name) => name.startsWith('volatile'))) {
      const cache = new Cache(policy, 0);
      for (let i = 0; i < 2000; i++) cache.write('set', `keep:${i}`, VALUE);
      for (let i = 0; i < 2000; i++) cache.write('set', `ttl:${i}`, VALUE, 'ex', 100);
      cache.engine.settings.set('maxmemory', BASE);
      expect(cache.write('set', 'one', 'more')).toBe(false);
      expect(cache.sum(COUNTER_EXPIRING_KEYS)).toBe(0);
      expect(cache.sum(COUNTER_KEYS)).toBe(2000);
      expect(cache.sum(COUNTER_EVICTED)).toBe(2000);
    }
  });

  it('evicts from every database', () => {
    for (const policy of MAXMEMORY_POLICIES.filter((name) => name !== 'noeviction')) {
      const cache = new Cache(policy, 0);
      for (let db = 0; db < 16; db += 5) {
        cache.engine.call.db = db;
        for (let i = 0; i < 500; i++) cache.write('set', `key:${i}`, VALUE, 'ex', 100);
      }
      cache.engine.settings.set('maxmemory', 1);
      expect(cache.write('set', 'one', 'more')).toBe(false);
      expect(cache.sum(COUNTER_KEYS)).toBe(0);
    }
  });
});

describe('which keys go', () => {
  it('allkeys-lru spares keys in use', () => {
    const cache = new Cache('allkeys-lru', BASE + MIB);
    for (let i = 0; i < 40_000; i++) {
      cache.pass(10);
      cache.write('set', `cold:${i}`, VALUE);
      if (i < 1000) cache.write('set', `hot:${i}`, VALUE);
      else cache.get(`hot:${i % 1000}`);
    }
    let hot = 0;
    for (let i = 0; i < 1000; i++) if (cache.has(`hot:${i}`)) hot++;
    expect(hot).toBe(1000);
    expect(cache.has('cold:100')).toBe(false);
  });

  it('allkeys-lfu spares keys used often, even from a scan longer than the cache', () => {
    const cache = new Cache('allkeys-lfu', BASE + MIB);
    for (let i = 0; i < 1000; i++) cache.write('set', `hot:${i}`, VALUE);
    for (let n = 0; n < 150; n++) for (let i = 0; i < 1000; i++) cache.get(`hot:${i}`);
    for (let i = 0; i < 40_000; i++) {
      if (i % 100 === 0) cache.pass(128);
      cache.write('set', `cold:${i}`, VALUE);
    }
    let hot = 0;
    for (let i = 0; i < 1000; i++) if (cache.has(`hot:${i}`)) hot++;
    expect(hot).toBe(1000);
  });

  it('allkeys-lfu forgets what was used often long ago', () => {
    const cache = new Cache('allkeys-lfu', BASE + MIB);
    for (let i = 0; i < 1000; i++) cache.write('set', `old:${i}`, VALUE);
    for (let n = 0; n < 40; n++) for (let i = 0; i < 1000; i++) cache.get(`old:${i}`);
    cache.pass(300 * 60_000);
    for (let i = 0; i < 20_000; i++) cache.write('set', `new:${i}`, VALUE);
    let old = 0;
    for (let i = 0; i < 1000; i++) if (cache.has(`old:${i}`)) old++;
    expect(old).toBe(0);
  });

  it('volatile policies find one key with a TTL in ten thousand', () => {
    for (const policy of ['volatile-lru', 'volatile-lfu', 'volatile-random', 'volatile-ttl'] as const) {
      const cache = new Cache(policy, 0);
      for (let i = 0; i < 30_000; i++) cache.write('set', `key:${i}`, VALUE);
      for (let i = 0; i < 3; i++) cache.engine.run('expire', `key:${i * 10_000}`, 1000 + i);
      // Keys whose TTL was taken away leave stale bounds in the index.
      for (let i = 1; i < 500; i++) cache.engine.run('expire', `key:${i}`, 500);
      for (let i = 1; i < 500; i++) cache.engine.run('persist', `key:${i}`);
      for (let left = 2; left >= 0; left--) {
        cache.engine.settings.set('maxmemory', cache.sum(COUNTER_USED_BYTES) - 1);
        expect(cache.write('get', 'nothing')).toBe(true);
        expect(cache.sum(COUNTER_EXPIRING_KEYS)).toBe(left);
      }
      cache.engine.settings.set('maxmemory', cache.sum(COUNTER_USED_BYTES) - 1);
      expect(cache.write('get', 'nothing')).toBe(false);
      expect(cache.sum(COUNTER_KEYS)).toBe(29_997);
    }
  });

  it('volatile-ttl evicts in the exact order of expiry over all shards', () => {
    const cache = new Cache('volatile-ttl', 0);
    const random = new Random(9);
    const ttls = new Map<string, number>();
    for (let i = 0; i < 2000; i++) {
      const seconds = 100 + random.below(100_000);
      ttls.set(`key:${i}`, seconds);
      cache.write('set', `key:${i}`, VALUE, 'ex', seconds);
      if (i % 4 === 0) {
        ttls.set(`key:${i}`, seconds + 50_000);
        cache.write('expire', `key:${i}`, seconds + 50_000);
      }
    }
    const sorted = [...ttls].sort((one, other) => one[1] - other[1]);
    for (let n = 0; n < 500; n++) {
      cache.engine.settings.set('maxmemory', cache.sum(COUNTER_USED_BYTES) - 1);
      expect(cache.write('get', 'nothing')).toBe(true);
      expect(cache.sum(COUNTER_KEYS)).toBe(1999 - n);
    }
    const soonestLeft = sorted[500][1];
    for (const [key, seconds] of sorted.slice(0, 500)) if (seconds < soonestLeft) expect(cache.has(key)).toBe(false);
  });

  it('keys that have expired go first and count as expired', () => {
    const cache = new Cache('allkeys-lru', 0, 1);
    for (let i = 0; i < 3; i++) cache.write('set', `gone:${i}`, VALUE, 'px', 50);
    cache.write('set', 'stays', VALUE);
    cache.pass(100);
    cache.engine.settings.set('maxmemory', cache.sum(COUNTER_USED_BYTES) - 300);
    cache.write('get', 'nothing');
    expect(cache.sum(COUNTER_EVICTED)).toBe(0);
    expect(cache.sum(COUNTER_EXPIRED)).toBe(3);
    expect(cache.has('stays')).toBe(true);
  });

  it('a candidate that is used again is no candidate', () => {
    const cache = new Cache('allkeys-lru', 0, 1);
    cache.engine.settings.set('maxmemory-samples', 20);
    for (let i = 0; i < 10; i++) {
      cache.write('set', `key:${i}`, VALUE);
      cache.pass(1000);
    }
    // The first eviction fills the pool with all others; key:1 would be next.
    for (const [used, evicted] of [
      ['key:1', 'key:0'],
      ['key:3', 'key:2'],
      ['key:4', 'key:5'],
    ]) {
      cache.get(used);
      cache.engine.settings.set('maxmemory', cache.sum(COUNTER_USED_BYTES) - 1);
      expect(cache.write('get', 'nothing')).toBe(true);
      expect([used, cache.has(used), evicted, cache.has(evicted)]).toEqual([used, true, evicted, false]);
    }
  });
});

describe('locks and bounds', () => {
  it('takes shards only for a moment, passes by those that others hold, and gives back what it took', () => {
    const cache = new Cache('allkeys-lru', 0);
    for (let i = 0; i < 4000; i++) cache.write('set', `key:${i}`, VALUE);
    const arenas = cache.engine.shards.arenas;
    arenas[0].tryLock(0);
    arenas[2].tryLock(7);
    const before = arenas.map((arena) => arena.f64[COUNTER_KEYS]);
    cache.engine.settings.set('maxmemory', cache.sum(COUNTER_USED_BYTES) - 100_000);
    expect(cache.write('get', 'nothing')).toBe(true);
    const after = arenas.map((arena) => arena.f64[COUNTER_KEYS]);
    expect(after[0]).toBeLessThan(before[0]);
    expect(after[1]).toBeLessThan(before[1]);
    expect(after[2]).toBe(before[2]);
    expect(arenas[0].lockedBy(0)).toBe(true);
    expect(arenas[1].tryLock(3)).toBe(true);
  });

  it('goes ahead when others hold all that could be evicted', () => {
    for (const policy of MAXMEMORY_POLICIES.filter((name) => name !== 'noeviction')) {
      const cache = new Cache(policy, 0);
      for (let i = 0; i < 100; i++) cache.write('set', `key:${i}`, VALUE, 'ex', 100);
      for (const arena of cache.engine.shards.arenas) arena.tryLock(5);
      cache.engine.settings.set('maxmemory', cache.sum(COUNTER_USED_BYTES) - 1);
      expect(cache.write('get', 'nothing')).toBe(true);
      expect(cache.sum(COUNTER_KEYS)).toBe(100);
    }
  });

  it('spreads the work when maxmemory is lowered far below what is in use', () => {
    const cache = new Cache('allkeys-random', 0);
    for (let i = 0; i < 20_000; i++) cache.write('set', `key:${i}`, VALUE);
    const before = cache.sum(COUNTER_USED_BYTES);
    cache.engine.settings.set('maxmemory', before);
    cache.write('set', 'one more', 'x'.repeat(2000));
    cache.write('get', 'nothing');
    cache.engine.settings.set('maxmemory', 1);
    expect(cache.write('get', 'nothing')).toBe(true);
    expect(cache.sum(COUNTER_KEYS)).toBeGreaterThan(10_000);
    for (let i = 0; i < 6; i++) cache.write('get', 'nothing');
    expect(cache.sum(COUNTER_KEYS)).toBe(0);
  });

  it('of values of hundreds of elements too', () => {
    const cache = new Cache('allkeys-lru', 0);
    const fields = Array.from({ length: 500 }, (_, i) => [`field:${i}`, `value:${i}`]).flat();
    for (let i = 0; i < 1000; i++) cache.write('hset', `hash:${i}`, ...fields);
    const used = cache.sum(COUNTER_USED_BYTES);
    cache.engine.settings.set('maxmemory', used);
    cache.write('set', 'one more', 'x'.repeat(2000));
    cache.write('get', 'nothing');
    cache.engine.settings.set('maxmemory', Math.floor(used / 2));
    expect(cache.write('get', 'nothing')).toBe(true);
    expect(cache.sum(COUNTER_EVICTED)).toBeGreaterThan(20);
    expect(cache.sum(COUNTER_EVICTED)).toBeLessThan(300);
  });

  it('a change of policy takes effect at once', () => {
    const cache = new Cache('allkeys-lru', 0);
    for (let i = 0; i < 1000; i++) cache.write('set', `key:${i}`, VALUE);
    cache.engine.settings.set('maxmemory', cache.sum(COUNTER_USED_BYTES) - 1);
    cache.write('get', 'nothing');
    expect(cache.sum(COUNTER_KEYS)).toBe(999);
    cache.setPolicy('volatile-lru');
    cache.engine.settings.set('maxmemory', cache.sum(COUNTER_USED_BYTES) - 1);
    expect(cache.write('get', 'nothing')).toBe(false);
    cache.setPolicy('noeviction');
    expect(cache.write('get', 'nothing')).toBe(false);
    cache.setPolicy('allkeys-lfu');
    expect(cache.write('get', 'nothing')).toBe(true);
    expect(cache.sum(COUNTER_KEYS)).toBe(998);
  });

  it('survives tables that vanish or move while they are in the pool', () => {
    const cache = new Cache('allkeys-lru', BASE + 300_000);
    const random = new Random(3);
    for (let i = 0; i < 20_000; i++) {
      cache.pass(random.below(20));
      const key = `key:${random.below(5000)}`;
      if (random.below(3) === 0) cache.engine.run('del', key);
      else cache.write('set', key, 'y'.repeat(random.below(300)));
      if (i % 5000 === 4999) for (let k = 0; k < 5000; k++) cache.engine.run('del', `key:${k}`);
    }
    cache.engine.verify();
  });
});

describe('pool', () => {
  it('keeps the best candidates in order and drops the worst', () => {
    const pool = new EvictionPool();
    const random = new Random(1);
    const ranks: number[] = [];
    for (let i = 0; i < 500; i++) {
      const rank = random.below(1000);
      ranks.push(rank);
      pool.offer(rank, 0, 0, 0, i * 8, 0);
      ranks.sort((one, other) => one - other);
      const kept = Array.from({ length: pool.count }, (_, k) => pool.rank[pool.order[pool.count - 1 - k]]);
      expect(kept).toEqual(ranks.slice(0, POOL_SIZE));
      if (i % 7 === 0) {
        const at = random.below(pool.count);
        ranks.splice(ranks.indexOf(pool.rank[pool.order[at]]), 1);
        ranks.length = Math.min(ranks.length, POOL_SIZE - 1);
        pool.removeAt(at);
      }
      expect(new Set(pool.order).size).toBe(POOL_SIZE);
    }
  });

  it('takes the same candidate once', () => {
    const pool = new EvictionPool();
    for (let i = 0; i < 3; i++) pool.offer(5, 1, 0, 9, 64, 33);
    expect(pool.count).toBe(1);
    pool.offer(5, 2, 0, 9, 64, 33);
    pool.offer(6, 1, 0, 9, 64, 34);
    expect(pool.count).toBe(3);
  });
});

describe('on a replica, where keys go a little after they were chosen', () => {
  const WRITES_AHEAD = 100;

  for (const policy of MAXMEMORY_POLICIES.filter((name) => name !== 'noeviction')) {
    it(`${policy} keeps memory below maxmemory`, () => {
      const limit = BASE + 2 * MIB;
      const cache = new Cache(policy, limit);
      const chosen: { key: string; bytes: number }[] = [];
      let evictions = 0;
      cache.evictor.guard = {
        defers: true,
        mayEnter: () => true,
        evicting: (a, record) => {
          const start = keyStart(a, record);
          const key = Buffer.from(a.u8.subarray(start, start + keyLength(a, record))).toString();
          chosen.push({ key, bytes: usableSize(a, record) });
          evictions++;
        },
      };
      let most = 0;
      for (let i = 0; i < 20_000; i++) {
        cache.write('set', `key:${i}`, 'x'.repeat(400), 'px', 1_000_000 + ((i * 7919) % 500_000));
        if (i % WRITES_AHEAD > 0) continue;
        for (const { key, bytes } of chosen.splice(0)) {
          cache.engine.run('del', key);
          cache.evictor.deferredBytes -= bytes;
        }
        most = Math.max(most, cache.sum(COUNTER_USED_BYTES));
      }
      expect(most).toBeLessThan(limit * 1.1);
      // Hardly any was chosen twice.
      expect(evictions).toBeLessThan(20_000);
      cache.engine.verify();
    });
  }

  it('volatile-ttl takes those that expire soon', () => {
    const cache = new Cache('volatile-ttl', 0);
    const chosen: number[] = [];
    const startMs = cache.engine.nowMs as number;
    cache.evictor.guard = {
      defers: true,
      mayEnter: () => true,
      evicting: (a, record) => void chosen.push(recordExpiry(a, record) - startMs),
    };
    for (let i = 0; i < 4000; i++) cache.write('set', `key:${i}`, VALUE, 'px', 10_000 + ((i * 7919) % 4000) * 100);
    cache.engine.settings.set('maxmemory', cache.sum(COUNTER_USED_BYTES) - 50_000);
    cache.write('set', 'one', 'more');
    expect(chosen.length).toBeGreaterThan(200);
    const mean = chosen.reduce((sum, ms) => sum + ms, 0) / chosen.length;
    // Drawn evenly it would be 210,000.
    expect(mean).toBeLessThan(100_000);
  });
});
