/**
 * Streams against plain arrays: random commands over some keys, with entries of all shapes, while other keys come and go so
 * that compaction moves the nodes about. Every stream is compared with its array and checked from the inside.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArenaFullError } from '../../engine/alloc.ts';
import { COUNTER_USED_BYTES } from '../../engine/arena.ts';
import { lookupQuiet } from '../../engine/keyspace.ts';
import { baseBytes } from '../../engine/pages.ts';
import { Random } from '../../engine/random.ts';
import { valueWord } from '../../engine/record.ts';
import { NodeWalk } from '../../engine/types/stream-index.ts';
import { TestEngine } from '../support/engine.ts';

const MIB = 1024 * 1024;

interface Entry {
  ms: bigint;
  seq: bigint;
  strings: string[];
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function replyOf(entries: readonly Entry[]): string {
  const texts = entries.map(({ ms, seq, strings }) => {
    return `*2\r\n${bulk(`${ms}-${seq}`)}*${strings.length}\r\n${strings.map(bulk).join('')}`;
  });
  return `*${entries.length}\r\n${texts.join('')}`;
}

function order(one: Entry, ms: bigint, seq: bigint): number {
  if (one.ms !== ms) return one.ms < ms ? -1 : 1;
  return one.seq === seq ? 0 : one.seq < seq ? -1 : 1;
}

/** What the commands do, said with arrays. */
class Model {
  readonly streams = new Map<string, Entry[]>();
  private ms = 0n;
  private seq = 0n;

  entries(key: string): Entry[] {
    return this.streams.get(key) ?? [];
  }

  /** A next id: near, further off, or with words that carry. Above all ids of all streams. */
  nextId(r: Random): [bigint, bigint] {
    const kind = r.below(20);
    if (kind < 8) this.seq += 1n + BigInt(r.below(3));
    else {
      this.ms += kind === 19 ? BigInt(r.below(2 ** 32)) * 1000n : BigInt(1 + r.below(3000));
      this.seq = kind < 15 ? 0n : BigInt(r.below(2 ** 32)) * BigInt(1 + r.below(2 ** 31));
    }
    return [this.ms, this.seq];
  }
}

function strings(r: Random): string[] {
  const kind = r.below(20);
  if (kind < 10) return ['field', 'v'.repeat(r.below(30))];
  if (kind < 14) return ['a', String(r.below(100_000)), 'b', 'w'.repeat(r.below(200))];
  if (kind === 19) return ['large', 'x'.repeat(r.below(20_000))];
  return Array.from({ length: 2 * (1 + r.below(5)) }, () => 'y'.repeat(r.below(8)));
}

function pickEntry(model: Model, key: string, r: Random): Entry | undefined {
  const entries = model.entries(key);
  return entries[r.below(Math.max(1, entries.length))];
}

/** Runs one random command on both sides; what it replies must agree. */
function step(engine: TestEngine, model: Model, keys: readonly string[], r: Random): void {
  const key = keys[r.below(keys.length)];
  const entries = model.entries(key);
  switch (r.below(16)) {
    case 0: {
      const gone = [pickEntry(model, key, r), pickEntry(model, key, r), entries[entries.length - 1]];
      const ids = gone.slice(r.below(3)).filter((entry) => entry !== undefined);
      if (ids.length === 0) return;
      const kept = entries.filter((entry) => !ids.includes(entry));
      const reply = engine.run('xdel', key, ...ids.map(({ ms, seq }) => `${ms}-${seq}`), '7-7');
      expect(reply).toBe(`:${entries.length - kept.length}\r\n`);
      model.streams.set(key, kept);
      return;
    }
    case 1: {
      const length = Math.max(0, entries.length - r.below(r.below(8) === 0 ? 300 : 6));
      expect(engine.run('xtrim', key, 'maxlen', length)).toBe(`:${entries.length - length}\r\n`);
      model.streams.set(key, entries.slice(entries.length - length));
      return;
    }
    case 2: {
      const first = pickEntry(model, key, r);
      if (first === undefined || r.below(4) > 0) return;
      const at = entries.indexOf(first);
      expect(engine.run('xtrim', key, 'minid', `${first.ms}-${first.seq}`)).toBe(`:${at}\r\n`);
      model.streams.set(key, entries.slice(at));
      return;
    }
    case 3: {
      const [one, other] = [pickEntry(model, key, r), pickEntry(model, key, r)];
      if (one === undefined || other === undefined) return;
      const found = entries.filter(
        (entry) => order(entry, one.ms, one.seq) >= 0 && order(entry, other.ms, other.seq) <= 0,
      );
      const count = r.below(3) === 0 ? 1 + r.below(5) : found.length + 1;
      const range = [`${one.ms}-${one.seq}`, `${other.ms}-${other.seq}`];
      expect(engine.run('xrange', key, ...range, 'count', count)).toBe(replyOf(found.slice(0, count)));
      const back = engine.run('xrevrange', key, ...range.reverse(), 'count', count);
      expect(back).toBe(replyOf(found.toReversed().slice(0, count)));
      return;
    }
    case 4: {
      const to = keys[r.below(keys.length)];
      if (to === key || !model.streams.has(key) || r.below(4) > 0) return;
      engine.run('copy', key, to, 'replace');
      model.streams.set(to, [...entries]);
      return;
    }
    default: {
      const [ms, seq] = model.nextId(r);
      const added = strings(r);
      expect(engine.run('xadd', key, `${ms}-${seq}`, ...added)).toBe(bulk(`${ms}-${seq}`));
      model.streams.set(key, [...entries, { ms, seq, strings: added }]);
    }
  }
}

function check(engine: TestEngine, model: Model, keys: readonly string[]): void {
  engine.verify();
  for (const key of keys) {
    const entries = model.entries(key);
    expect(engine.run('xrange', key, '-', '+')).toBe(replyOf(entries));
    expect(engine.run('xrevrange', key, '+', '-')).toBe(replyOf(entries.toReversed()));
  }
}

function nodesOf(engine: TestEngine, key: string): number[] {
  engine.run('exists', key);
  const record = lookupQuiet(engine.call, 1);
  if (record === 0) return [];
  const a = engine.call.arena;
  const walk = new NodeWalk();
  const nodes: number[] = [];
  for (let node = walk.first(a, valueWord(a, record)); node !== 0; node = walk.next(a)) nodes.push(node);
  return nodes;
}

/** Bytes of all blocks in use. */
function blockBytes(engine: TestEngine): number {
  return engine.shards.arenas.reduce((sum, arena) => sum + arena.f64[COUNTER_USED_BYTES] - baseBytes(arena), 0);
}

describe('streams', () => {
  it('do what arrays do', () => {
    const keys = ['a', 'b', 'c', 'd'];
    const limits = fc.constantFrom([100, 4096], [1, 4096], [3, 100], [0, 0], [7, 1000]);
    fc.assert(
      fc.property(fc.integer({ min: 1 }), limits, (seed, [entries, bytes]) => {
        const engine = new TestEngine({ shards: 2, arenaBytes: 32 * MIB });
        engine.settings.set('stream-node-max-entries', entries);
        engine.settings.set('stream-node-max-bytes', bytes);
        const model = new Model();
        const r = new Random(seed);
        for (const key of keys) engine.run('xadd', key, '1-1', 'f', 'v');
        engine.run('del', ...keys);
        const before = blockBytes(engine);
        for (let i = 0; i < 600; i++) {
          step(engine, model, keys, r);
          if (i % 150 === 0) check(engine, model, keys);
        }
        check(engine, model, keys);
        engine.run('del', ...keys);
        expect(blockBytes(engine)).toBe(before);
      }),
      { numRuns: 25 },
    );
  });

  it('find their entries with an index of several levels', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 64 * MIB });
    engine.settings.set('stream-node-max-entries', 1);
    const r = new Random(2);
    const count = 9000;
    const left = new Set<number>();
    for (let i = 1; i <= count; i++) {
      engine.run('xadd', 's', i, 'f', i);
      left.add(i);
    }
    engine.verify();
    const one = (i: number): string => replyOf([{ ms: BigInt(i), seq: 0n, strings: ['f', String(i)] }]);
    for (let n = 0; left.size > 0; n++) {
      // At random, from the front, from the back, and in runs.
      const from = 1 + r.below(count);
      const kind = r.below(40);
      const run = kind === 0 ? 300 : kind < 5 ? 20 : 1;
      for (let i = from; i < from + run; i++) {
        expect(engine.run('xdel', 's', i)).toBe(left.delete(i) ? ':1\r\n' : ':0\r\n');
      }
      if (n % 50 === 0) {
        const at = 1 + r.below(count);
        expect(engine.run('xrange', 's', at, at)).toBe(left.has(at) ? one(at) : '*0\r\n');
        const next = [...left].filter((i) => i >= at).slice(0, 1);
        expect(engine.run('xrange', 's', at, '+', 'count', 1)).toBe(next.length === 1 ? one(next[0]) : '*0\r\n');
        const last = [...left].filter((i) => i <= at).slice(-1);
        expect(engine.run('xrevrange', 's', at, '-', 'count', 1)).toBe(last.length === 1 ? one(last[0]) : '*0\r\n');
      }
      if (n % 500 === 0) engine.verify();
      if (left.size < 2000 && n % 4 === 0 && left.size > 0) {
        const length = Math.max(0, left.size - 5);
        engine.run('xtrim', 's', 'maxlen', length);
        for (const i of [...left].slice(0, left.size - length)) left.delete(i);
      }
    }
    engine.verify();
    expect(engine.run('xlen', 's')).toBe(':0\r\n');
    engine.run('xadd', 's', count + 1, 'f', count + 1);
    expect(engine.run('xrange', 's', '-', '+')).toBe(one(count + 1));
  });

  it('stay whole while compaction moves their nodes', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 64 * MIB });
    const model = new Model();
    const r = new Random(5);
    const keys = Array.from({ length: 200 }, (_, i) => `key${i}`);
    // In turns, so that the nodes of one stream lie between those of the others.
    for (let i = 0; i < 40_000; i++) {
      const key = keys[r.below(keys.length)];
      const [ms, seq] = model.nextId(r);
      const added = ['field', 'v'.repeat(r.below(60))];
      engine.run('xadd', key, `${ms}-${seq}`, ...added);
      const entries = model.entries(key);
      entries.push({ ms, seq, strings: added });
      model.streams.set(key, entries);
    }
    const kept = keys.filter((_, i) => i % 10 === 0);
    const before = kept.map((key) => nodesOf(engine, key));
    for (const key of keys) {
      if (kept.includes(key)) continue;
      engine.run('del', key);
      model.streams.delete(key);
    }
    // Strings that want pages: compaction has to make them from the sparse pages of the streams.
    for (let i = 0; i < 300; i++) engine.run('set', `string${i}`, 'x'.repeat(30_000));
    const moved = kept.filter((key, i) => nodesOf(engine, key).join() !== before[i].join()).length;
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
    const keys = Array.from({ length: 20 }, (_, i) => `key${i}`);
    const r = new Random(8);
    let full = 0;
    for (let i = 1; full < 50; i++) {
      try {
        engine.run('xadd', keys[r.below(keys.length)], i, 'f', 'y'.repeat(r.below(300)));
      } catch (error) {
        if (!(error instanceof ArenaFullError)) throw error;
        full++;
      }
    }
    engine.verify();
    const used = engine.shards.arenas[0].f64[COUNTER_USED_BYTES];
    for (const key of keys) {
      engine.run('xtrim', key, 'maxlen', 50);
      engine.run('xdel', key, ...Array.from({ length: 4000 }, (_, i) => i * 2));
      engine.run('xtrim', key, 'maxlen', 5);
    }
    engine.verify();
    expect(engine.shards.arenas[0].f64[COUNTER_USED_BYTES]).toBeLessThan(used / 4);
  });
});
