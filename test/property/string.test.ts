/** Strings, expiries and renames against a map, with walks over every table and enough churn that blocks are moved. */
import { describe, expect, it } from 'vitest';
import { COUNTER_EXPIRING_KEYS, COUNTER_KEYS } from '../../engine/arena.ts';
import { expiringCount } from '../../engine/keyspace.ts';
import { Random } from '../../engine/random.ts';
import { TestEngine } from '../support/engine.ts';

const SEED_COUNT = 4;
const OPERATIONS = 6000;
const KEYS = 400;

interface Entry {
  value: string;
  expireAtMs: number;
}

function value(random: Random): string {
  const kind = random.below(40);
  const length = kind === 0 ? 60_000 + random.below(20_000) : kind < 4 ? random.below(5000) : random.below(120);
  return String.fromCharCode(97 + random.below(26)).repeat(length);
}

class Model {
  readonly engine = new TestEngine({ arenaBytes: 64 * 1024 * 1024 });
  readonly entries = new Map<string, Entry>();
  readonly random: Random;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.engine.nowMs = 1_700_000_000_000;
  }

  get now(): number {
    return this.engine.nowMs as number;
  }

  live(key: string): Entry | undefined {
    const entry = this.entries.get(key);
    if (entry !== undefined && entry.expireAtMs <= this.now) this.entries.delete(key);
    return this.entries.get(key);
  }

  step(): void {
    const { engine, random } = this;
    const key = `k${random.below(KEYS)}`;
    const text = value(random);
    switch (random.below(9)) {
      case 0:
      case 1:
        engine.run('set', key, text);
        this.entries.set(key, { value: text, expireAtMs: Number.POSITIVE_INFINITY });
        break;
      case 2: {
        const ms = 1 + random.below(20_000);
        engine.run('set', key, text, 'px', ms);
        this.entries.set(key, { value: text, expireAtMs: this.now + ms });
        break;
      }
      case 3: {
        const old = this.live(key) ?? { value: '', expireAtMs: Number.POSITIVE_INFINITY };
        engine.run('append', key, text);
        this.entries.set(key, { ...old, value: old.value + text });
        break;
      }
      case 4: {
        const ms = 1 + random.below(20_000);
        const entry = this.live(key);
        expect(engine.run('pexpire', key, ms)).toBe(entry ? ':1\r\n' : ':0\r\n');
        if (entry) entry.expireAtMs = this.now + ms;
        break;
      }
      case 5: {
        const entry = this.live(key);
        engine.run('persist', key);
        if (entry) entry.expireAtMs = Number.POSITIVE_INFINITY;
        break;
      }
      case 6: {
        const to = `k${random.below(KEYS)}`;
        const entry = this.live(key);
        engine.run('rename', key, to);
        if (entry) {
          this.entries.delete(key);
          this.entries.set(to, entry);
        }
        break;
      }
      case 7: {
        const to = `k${random.below(KEYS)}`;
        const entry = this.live(key);
        engine.run('copy', key, to, 'replace');
        if (entry && to !== key) this.entries.set(to, { ...entry });
        break;
      }
      default:
        expect(engine.run('del', key)).toBe(this.live(key) ? ':1\r\n' : ':0\r\n');
        this.entries.delete(key);
    }
    engine.nowMs = this.now + random.below(20);
    if (random.below(50) === 0) engine.expire();
  }

  check(): void {
    this.engine.verify();
    let live = 0;
    let expiring = 0;
    for (let i = 0; i < KEYS; i++) {
      const key = `k${i}`;
      const entry = this.live(key);
      const reply = this.engine.run('get', key);
      if (entry === undefined) {
        expect(reply).toBe('$-1\r\n');
        continue;
      }
      live++;
      if (entry.expireAtMs !== Number.POSITIVE_INFINITY) expiring++;
      expect(reply === `$${entry.value.length}\r\n${entry.value}\r\n`).toBe(true);
      const left = entry.expireAtMs === Number.POSITIVE_INFINITY ? -1 : entry.expireAtMs - this.now;
      expect(this.engine.run('pttl', key)).toBe(`:${left}\r\n`);
    }
    this.engine.expire();
    expect(this.engine.run('dbsize')).toBe(`:${live}\r\n`);
    const { arenas } = this.engine.shards;
    expect(arenas.reduce((sum, arena) => sum + arena.f64[COUNTER_KEYS], 0)).toBe(live);
    expect(arenas.reduce((sum, arena) => sum + arena.f64[COUNTER_EXPIRING_KEYS], 0)).toBe(expiring);
    expect(arenas.reduce((sum, arena) => sum + expiringCount(arena, 0), 0)).toBe(expiring);
  }
}

describe('strings against a map', () => {
  for (let seed = 1; seed <= SEED_COUNT; seed++) {
    it(`seed ${seed}`, () => {
      const model = new Model(seed);
      for (let i = 1; i <= OPERATIONS; i++) {
        model.step();
        if (i % 1000 === 0) model.check();
      }
    });
  }
});

describe('strings in an arena that is full', () => {
  it.each([1, 2, 3])('are as they were after a refused command (seed %i)', (seed) => {
    const random = new Random(seed);
    const engine = new TestEngine({ shards: 1, arenaBytes: 3 * 1024 * 1024 + seed * 100_000 });
    let refused = 0;
    for (let i = 0; i < 2000; i++) {
      const key = `k${random.below(60)}`;
      const bytes = random.below(200_000);
      const command = [
        ['setrange', key, bytes, 'x'],
        ['append', key, 'y'.repeat(bytes >>> 6)],
        ['setbit', key, bytes * 8, 1],
        ['copy', `k${random.below(60)}`, key, 'replace'],
        ['del', key],
      ][random.below(5)];
      const before = state(engine, key);
      if (!engine.run(...command).startsWith('-OOM ')) continue;
      refused++;
      expect(state(engine, key)).toBe(before);
    }
    expect(refused).toBeGreaterThan(100);
    engine.verify();
  });

  function state(engine: TestEngine, key: string): string {
    return engine.run('strlen', key) + engine.run('exists', key) + engine.run('dbsize');
  }
});
