/**
 * Lists against plain arrays: random commands over many keys, with elements of all sizes, while other keys come and go so
 * that compaction moves records and nodes about. Every list is checked against its array and from the inside.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArenaFullError } from '../../engine/alloc.ts';
import { COUNTER_USED_BYTES } from '../../engine/arena.ts';
import { baseBytes } from '../../engine/pages.ts';
import { Random } from '../../engine/random.ts';
import { valueWord } from '../../engine/record.ts';
import { ROOT_HEAD } from '../../engine/types/list-node.ts';
import { hasRoot } from '../../engine/values.ts';
import { TestEngine } from '../support/engine.ts';
import { elementsOf, recordOf } from '../support/lists.ts';

const MIB = 1024 * 1024;

/** What the commands do, said with arrays. */
class Model {
  readonly lists = new Map<string, string[]>();

  list(key: string): string[] {
    return this.lists.get(key) ?? [];
  }

  set(key: string, list: string[]): void {
    if (list.length === 0) this.lists.delete(key);
    else this.lists.set(key, list);
  }
}

function element(r: Random): string {
  const kind = r.below(60);
  if (kind < 25) return ['a', 'b', 'c', 'dd', ''][r.below(5)];
  if (kind < 50) return String(r.below(100_000));
  if (kind < 57) return 'e'.repeat(r.below(300));
  return kind < 59 ? 'f'.repeat(r.below(4000)) : 'g'.repeat(r.below(30_000));
}

/** Runs one random command on both sides. */
function step(engine: TestEngine, model: Model, keys: readonly string[], r: Random): void {
  const key = keys[r.below(keys.length)];
  const list = model.list(key);
  const x = element(r);
  switch (r.below(12)) {
    case 0:
    case 1: {
      const pushed = Array.from({ length: 1 + r.below(r.below(6) === 0 ? 60 : 3) }, () => element(r));
      engine.run('rpush', key, ...pushed);
      return model.set(key, [...list, ...pushed]);
    }
    case 2:
    case 3: {
      const pushed = Array.from({ length: 1 + r.below(r.below(6) === 0 ? 60 : 3) }, () => element(r));
      engine.run('lpush', key, ...pushed);
      return model.set(key, [...pushed.reverse(), ...list]);
    }
    case 4:
      engine.run('lpop', key);
      return model.set(key, list.slice(1));
    case 5:
      engine.run('rpop', key);
      return model.set(key, list.slice(0, -1));
    case 6: {
      const at = list.indexOf(list[r.below(Math.max(1, list.length))]);
      if (at < 0) return;
      const after = r.below(2);
      engine.run('linsert', key, after === 1 ? 'after' : 'before', list[at], x);
      return model.set(key, [...list.slice(0, at + after), x, ...list.slice(at + after)]);
    }
    case 7: {
      if (list.length === 0) return;
      const at = r.below(list.length);
      engine.run('lset', key, r.below(2) === 0 ? at : at - list.length, x);
      return model.set(key, list.with(at, x));
    }
    case 8: {
      const count = r.below(3) - 1;
      const limit = count === 0 ? Number.POSITIVE_INFINITY : 1 + r.below(20);
      engine.run('lrem', key, count === 0 ? 0 : count * limit, x);
      const order = count < 0 ? list.toReversed() : list;
      let left = limit;
      const kept = order.filter((other) => other !== x || left-- <= 0);
      return model.set(key, count < 0 ? kept.toReversed() : kept);
    }
    case 9: {
      const first = r.below(4);
      const last = list.length - 1 - r.below(4);
      engine.run('ltrim', key, first, last - list.length < -list.length ? -list.length - 1 : last - list.length);
      return model.set(key, list.slice(first, Math.max(0, last + 1)));
    }
    case 10: {
      if (list.length === 0) return;
      const to = keys[r.below(keys.length)];
      engine.run('rpoplpush', key, to);
      model.set(key, list.slice(0, -1));
      return model.set(to, [list[list.length - 1], ...model.list(to)]);
    }
    default: {
      if (list.length < 40) return;
      const count = r.below(list.length);
      const front = r.below(2) === 0;
      engine.run(front ? 'lpop' : 'rpop', key, count);
      return model.set(key, front ? list.slice(count) : list.slice(0, list.length - count));
    }
  }
}

function check(engine: TestEngine, model: Model, keys: readonly string[]): void {
  for (const key of keys) expect(elementsOf(engine, key)).toEqual(model.list(key));
  engine.verify();
}

/** Bytes of all blocks in use. */
function blockBytes(engine: TestEngine): number {
  return engine.shards.arenas.reduce((sum, arena) => sum + arena.f64[COUNTER_USED_BYTES] - baseBytes(arena), 0);
}

describe('lists', () => {
  it('do what arrays do', () => {
    const keys = ['a', 'b', 'c', 'd'];
    fc.assert(
      fc.property(fc.integer({ min: 1 }), fc.constantFrom(-2, -1, -5, 1, 4, 100), (seed, fill) => {
        const engine = new TestEngine({ shards: 2, arenaBytes: 32 * MIB });
        engine.settings.set('list-max-listpack-size', fill);
        const model = new Model();
        const r = new Random(seed);
        for (const key of keys) engine.run('rpush', key, 'a');
        engine.run('del', ...keys);
        const before = blockBytes(engine);
        for (let i = 0; i < 500; i++) {
          step(engine, model, keys, r);
          if (i % 100 === 0) check(engine, model, keys);
        }
        check(engine, model, keys);
        engine.run('del', ...keys);
        expect(blockBytes(engine)).toBe(before);
      }),
      { numRuns: 25 },
    );
  });

  it('stay whole while compaction moves their nodes', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 64 * MIB });
    const arena = engine.shards.arenas[0];
    const model = new Model();
    const r = new Random(5);
    const keys = Array.from({ length: 400 }, (_, i) => `key${i}`);
    for (const key of keys) {
      const list = Array.from({ length: 100 + r.below(1500) }, () => String(r.below(100_000)));
      engine.run('rpush', key, ...list);
      model.set(key, list);
    }
    const kept = keys.filter((_, i) => i % 8 === 0);
    const headOf = (key: string): number => {
      const record = recordOf(engine, key);
      return hasRoot(arena, record) ? arena.u32[(valueWord(arena, record) + ROOT_HEAD) >>> 2] : 0;
    };
    const heads = kept.map(headOf);
    for (const key of keys) {
      if (kept.includes(key)) continue;
      engine.run('del', key);
      model.set(key, []);
    }
    // Strings that want pages: compaction has to make them from the sparse pages of the lists.
    for (let i = 0; i < 300; i++) engine.run('set', `string${i}`, 'x'.repeat(30_000));
    const moved = kept.filter((key, i) => headOf(key) !== heads[i]).length;
    expect(moved).toBeGreaterThan(5);
    check(engine, model, keys);
    for (let i = 0; i < 2000; i++) {
      step(engine, model, kept, r);
      if (i % 3 === 0) engine.run('set', `string${i % 300}`, 'x'.repeat(100 + r.below(40_000)));
    }
    check(engine, model, keys);
  });

  it('stay whole in an arena that is full, and shrink there', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 3 * MIB });
    const arena = engine.shards.arenas[0];
    const keys = Array.from({ length: 20 }, (_, i) => `key${i}`);
    const r = new Random(8);
    let full = 0;
    for (let i = 0; full < 50; i++) {
      const key = keys[r.below(keys.length)];
      try {
        if (i % 5 === 4) engine.run('linsert', key, 'before', 'pivot', 'x'.repeat(r.below(900)));
        else engine.run(i % 2 === 0 ? 'lpush' : 'rpush', key, i % 7 === 0 ? 'pivot' : 'y'.repeat(r.below(300)));
      } catch (error) {
        if (!(error instanceof ArenaFullError)) throw error;
        full++;
      }
    }
    engine.verify();
    const used = arena.f64[COUNTER_USED_BYTES];
    for (const key of keys) {
      engine.run('lrem', key, 0, 'pivot');
      const list = elementsOf(engine, key);
      for (let i = 0; i < list.length - 3; i++) engine.run(i % 2 === 0 ? 'lpop' : 'rpop', key);
      expect(elementsOf(engine, key).length).toBe(Math.min(3, list.length));
    }
    engine.verify();
    expect(arena.f64[COUNTER_USED_BYTES]).toBeLessThan(used / 4);
  });
});
