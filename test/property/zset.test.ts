/**
 * Sorted sets against plain maps: random commands over sets of all sizes, while other keys come and go so that compaction
 * moves members and tree nodes about. Every set is checked against its map and from the inside.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compactStep } from '../../engine/alloc.ts';
import { COUNTER_USED_BYTES } from '../../engine/arena.ts';
import { execute } from '../../engine/execute.ts';
import { baseBytes } from '../../engine/pages.ts';
import { Random } from '../../engine/random.ts';
import { TestEngine } from '../support/engine.ts';
import { checkZset, entriesOf, ModelZset, treeRoot } from '../support/zsets.ts';

const MIB = 1024 * 1024;
const KEYS = ['a', 'b', 'c', 'd'];

/** How a run's members and scores are spread: few distinct scores mean that members decide the order. */
interface Spread {
  members: number;
  scores: number;
  batch: number;
}

class Models {
  readonly sets = new Map(KEYS.map((key) => [key, new ModelZset()]));

  get(key: string): ModelZset {
    return this.sets.get(key) as ModelZset;
  }
}

function member(r: Random, spread: Spread): string {
  const text = `member:${r.below(spread.members)}`;
  return r.below(40) === 0 ? text.padEnd(60 + r.below(60), '-') : text;
}

function score(r: Random, spread: Spread): number {
  return (r.below(spread.scores) - (spread.scores >>> 1)) / 4 + 0;
}

/** Runs one random command on both sides. */
function step(engine: TestEngine, models: Models, r: Random, spread: Spread): void {
  const key = KEYS[r.below(KEYS.length)];
  const model = models.get(key);
  const entries = r.below(3) === 0 ? model.sorted() : [];
  const size = model.scores.size;
  switch (r.below(9)) {
    case 0:
    case 1:
    case 2: {
      const args: (string | number)[] = [];
      for (let n = 1 + r.below(spread.batch); n > 0; n--) {
        const added = member(r, spread);
        const value = score(r, spread);
        args.push(value, added);
        model.scores.set(added, value);
      }
      engine.run('zadd', key, ...args);
      return;
    }
    case 3: {
      const added = member(r, spread);
      const by = r.below(3) - 1;
      engine.run('zincrby', key, by, added);
      model.scores.set(added, (model.scores.get(added) ?? 0) + by + 0);
      return;
    }
    case 4: {
      const removed = Array.from({ length: 1 + r.below(spread.batch) }, () => member(r, spread));
      engine.run('zrem', key, ...removed);
      for (const name of removed) model.scores.delete(name);
      return;
    }
    case 5: {
      const count = r.below(spread.batch);
      const sorted = model.sorted();
      const min = r.below(2) === 0;
      engine.run(min ? 'zpopmin' : 'zpopmax', key, count);
      model.remove(min ? sorted.slice(0, count) : sorted.slice(Math.max(0, size - count)));
      return;
    }
    case 6: {
      if (entries.length === 0) return;
      const from = r.below(size);
      const to = from + r.below(spread.batch * 4);
      engine.run('zremrangebyrank', key, from, to);
      return model.remove(entries.slice(from, to + 1));
    }
    case 7: {
      if (entries.length === 0) return;
      const low = score(r, spread);
      const high = low + r.below(3);
      engine.run('zremrangebyscore', key, low, `(${high}`);
      return model.remove(entries.filter(([, value]) => value >= low && value < high));
    }
    default: {
      const other = KEYS[r.below(KEYS.length)];
      const limit = r.below(spread.batch * 20);
      // A limit of 0 stores 0 to -1, everything. The source is read first: it may be the target.
      const source = models.get(other).sorted();
      const kept = limit === 0 ? source : source.slice(0, limit);
      engine.run('zrangestore', key, other, 0, limit - 1);
      model.scores.clear();
      for (const [name, value] of kept) model.scores.set(name, value);
    }
  }
}

function check(engine: TestEngine, models: Models): void {
  for (const key of KEYS) checkZset(engine, key, models.get(key), 7);
  engine.verify();
}

/** Bytes of all blocks in use. */
function blockBytes(engine: TestEngine): number {
  return engine.shards.arenas.reduce((sum, arena) => sum + arena.f64[COUNTER_USED_BYTES] - baseBytes(arena), 0);
}

const SPREADS: Spread[] = [
  { members: 60, scores: 8, batch: 4 },
  { members: 400, scores: 1, batch: 30 },
  { members: 3000, scores: 5000, batch: 120 },
  { members: 20_000, scores: 12, batch: 400 },
];

describe('sorted sets', () => {
  it('do what maps do', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1 }), fc.constantFrom(...SPREADS), (seed, spread) => {
        const engine = new TestEngine({ shards: 2, arenaBytes: 32 * MIB });
        const models = new Models();
        const r = new Random(seed);
        for (const key of KEYS) engine.run('zadd', key, 1, 'x');
        engine.run('del', ...KEYS);
        const before = blockBytes(engine);
        for (let i = 0; i < 200; i++) {
          step(engine, models, r, spread);
          if (i % 80 === 0) check(engine, models);
        }
        check(engine, models);
        engine.run('del', ...KEYS);
        expect(blockBytes(engine)).toBe(before);
      }),
      { numRuns: 12 },
    );
  });

  it('grow to several levels and shrink to nothing, from either end and from within', () => {
    const size = 20_000;
    for (const order of ['rising', 'falling', 'random']) {
      const engine = new TestEngine({ shards: 1, arenaBytes: 64 * MIB });
      const model = new ModelZset();
      const r = new Random(3);
      for (let i = 0; i < size; i++) {
        const value = order === 'rising' ? i : order === 'falling' ? size - i : r.below(1_000_000);
        engine.run('zadd', 'a', value, `m${i}`);
        model.scores.set(`m${i}`, value);
      }
      checkZset(engine, 'a', model, 97);
      engine.verify();
      const sorted = model.sorted();
      const removed = sorted.filter((_, i) => i % 9 !== 0);
      for (const [name] of removed) engine.run('zrem', 'a', name);
      model.remove(removed);
      checkZset(engine, 'a', model, 1);
      engine.verify();
      for (let left = model.scores.size; left > 0; left--) {
        engine.run(order === 'rising' ? 'zpopmin' : 'zpopmax', 'a');
        if (left % 500 === 0) engine.verify();
      }
      expect(engine.run('exists', 'a')).toBe(':0\r\n');
    }
  });

  it('stay whole while compaction moves their members and nodes', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 64 * MIB });
    const r = new Random(11);
    const models = new Models();
    const spread = { members: 6000, scores: 300, batch: 60 };
    // Sets of the same kind among those that are kept, so that their pages become sparse when they go.
    for (let i = 0; i < 12_000; i++) {
      const name = member(r, spread);
      const value = score(r, spread);
      engine.run('zadd', `gone${i % 40}`, value, name);
      if (i % 4 > 0) continue;
      const key = KEYS[r.below(KEYS.length)];
      engine.run('zadd', key, value, name);
      models.get(key).scores.set(name, value);
    }
    const roots = KEYS.map((key) => treeRoot(engine, key));
    for (let i = 0; i < 40; i++) engine.run('del', `gone${i}`);
    for (let i = 0; i < 250; i++) engine.run('set', `string${i}`, 'x'.repeat(30_000));
    check(engine, models);
    expect(KEYS.filter((key, i) => treeRoot(engine, key) !== roots[i]).length).toBeGreaterThan(0);
    for (let i = 0; i < 800; i++) {
      step(engine, models, r, spread);
      if (i % 3 === 0) engine.run('set', `string${i % 250}`, 'x'.repeat(100 + r.below(40_000)));
    }
    check(engine, models);
  });

  it('stay whole in an arena that is full, and shrink there', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 6 * MIB });
    const [arena] = engine.shards.arenas;
    const { call } = engine;
    const evictor = { makeRoom: () => false };
    let full = 0;
    for (let i = 0; full < 20; i++) {
      const args = ['zadd', KEYS[i % 4]];
      for (let k = 0; k < (i % 50 === 0 ? 3000 : 3); k++) args.push(String((i * 31 + k) % 1000), `member ${i} ${k}`);
      engine.run('exists', KEYS[i % 4]);
      call.buf = Buffer.from(args.join(''));
      call.reserveArgs(args.length);
      call.argc = args.length;
      for (let k = 0, at = 0; k < args.length; at += args[k++].length) {
        call.off[k] = at;
        call.len[k] = args[k].length;
      }
      const row = engine.table.resolve(call);
      if (row === undefined) throw new Error('no zadd');
      call.begin(row);
      call.reply.length = 0;
      execute(call, row, evictor);
      compactStep(arena);
      if (call.reply.u8[0] === 45) full++;
    }
    engine.verify();
    const used = arena.f64[COUNTER_USED_BYTES];
    for (const key of KEYS) {
      expect(engine.run('zremrangebyrank', key, 10, -1)).toMatch(/^:\d{3,}/);
      expect(entriesOf(engine, key).length).toBe(10);
    }
    engine.verify();
    expect(arena.f64[COUNTER_USED_BYTES]).toBeLessThan(used / 4);
  });
});
