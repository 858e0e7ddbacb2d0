/**
 * Hashes and sets against maps: random commands over keys of all sizes, while other keys come and go so that compaction moves
 * records and members about. Every key is checked against its map and from the inside.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compactStep } from '../../engine/alloc.ts';
import { COUNTER_USED_BYTES } from '../../engine/arena.ts';
import { execute } from '../../engine/execute.ts';
import { baseBytes } from '../../engine/pages.ts';
import { Random } from '../../engine/random.ts';
import { valueWord } from '../../engine/record.ts';
import { keyHash, tableFind } from '../../engine/table.ts';
import { TestEngine } from '../support/engine.ts';
import { formOf, membersOf, recordOf, stringsOf } from '../support/members.ts';

const MIB = 1024 * 1024;
const SETS = ['s1', 's2', 's3'];
const HASHES = ['h1', 'h2', 'h3'];

/** How a run's members are spread: over how many, how many to a command, how often one is no integer or long. */
interface Spread {
  members: number;
  batch: number;
  words: number;
  long: number;
}

const SPREADS: Spread[] = [
  { members: 40, batch: 4, words: 0, long: 0 },
  { members: 900, batch: 30, words: 0.0005, long: 0 },
  { members: 100, batch: 5, words: 0.5, long: 0.01 },
  { members: 3000, batch: 60, words: 1, long: 0.02 },
  { members: 8000, batch: 300, words: 0.9, long: 0 },
];

class Models {
  readonly keys = new Map([...SETS, ...HASHES].map((key) => [key, new Map<string, string>()]));

  get(key: string): Map<string, string> {
    return this.keys.get(key) as Map<string, string>;
  }
}

function chance(r: Random, share: number): boolean {
  return r.below(1_000_000) < share * 1_000_000;
}

function member(r: Random, spread: Spread): string {
  const number = r.below(spread.members);
  if (!chance(r, spread.words)) {
    return number % 7 === 0 ? String(2n ** BigInt(number % 63)) : String(number - (spread.members >> 2));
  }
  return chance(r, spread.long) ? `member:${number}`.padEnd(60 + r.below(300), '-') : `member:${number}`;
}

function members(r: Random, spread: Spread): string[] {
  return Array.from({ length: 1 + r.below(spread.batch) }, () => member(r, spread));
}

function value(r: Random): string {
  const kind = r.below(30);
  return kind === 0 ? 'v'.repeat(r.below(3000)) : 'value'.repeat(3).slice(0, r.below(15));
}

function stepSet(engine: TestEngine, models: Models, r: Random, spread: Spread): void {
  const key = SETS[r.below(SETS.length)];
  const model = models.get(key);
  switch (r.below(9)) {
    case 0:
    case 1:
    case 2: {
      const added = members(r, spread);
      const before = model.size;
      for (const name of added) model.set(name, '');
      expect(engine.run('sadd', key, ...added)).toBe(`:${model.size - before}\r\n`);
      return;
    }
    case 3:
    case 4: {
      const removed = members(r, spread);
      const before = model.size;
      for (const name of removed) model.delete(name);
      expect(engine.run('srem', key, ...removed)).toBe(`:${before - model.size}\r\n`);
      return;
    }
    case 5: {
      const popped = stringsOf(
        engine.run('spop', key, r.below(2) === 0 ? r.below(spread.batch) : r.below(model.size + 5)),
      );
      for (const name of popped) if (!model.delete(name)) expect.fail(`${key} has no ${name}`);
      return;
    }
    case 6: {
      const other = SETS[r.below(SETS.length)];
      const [moved = 'none'] = stringsOf(engine.run('srandmember', key));
      engine.run('smove', key, other, moved);
      if (model.delete(moved)) models.get(other).set(moved, '');
      return;
    }
    case 7: {
      const others = SETS.filter(() => r.below(2) === 0);
      if (others.length === 0) return;
      const sources = others.map((name) => models.get(name));
      const operation = ['sunionstore', 'sinterstore', 'sdiffstore'][r.below(3)];
      let result = new Set(sources[0].keys());
      for (const source of sources.slice(1)) {
        const names = new Set(source.keys());
        if (operation === 'sunionstore') result = result.union(names);
        else result = operation === 'sinterstore' ? result.intersection(names) : result.difference(names);
      }
      expect(engine.run(operation, key, ...others)).toBe(`:${result.size}\r\n`);
      model.clear();
      for (const name of result) model.set(name, '');
      return;
    }
    default: {
      const drawn = stringsOf(engine.run('srandmember', key, r.below(spread.batch * 2)));
      expect(new Set(drawn).size).toBe(drawn.length);
      for (const name of drawn) if (!model.has(name)) expect.fail(`${key} has no ${name}`);
    }
  }
}

function stepHash(engine: TestEngine, models: Models, r: Random, spread: Spread): void {
  const key = HASHES[r.below(HASHES.length)];
  const model = models.get(key);
  switch (r.below(6)) {
    case 0:
    case 1:
    case 2: {
      const before = model.size;
      const args: string[] = [];
      for (const name of members(r, spread)) {
        const given = value(r);
        args.push(name, given);
        model.set(name, given);
      }
      expect(engine.run('hset', key, ...args)).toBe(`:${model.size - before}\r\n`);
      return;
    }
    case 3: {
      const removed = members(r, spread);
      const before = model.size;
      for (const name of removed) model.delete(name);
      expect(engine.run('hdel', key, ...removed)).toBe(`:${before - model.size}\r\n`);
      return;
    }
    case 4: {
      const sum = String(Number(model.get('number') ?? 0) + 12345);
      engine.run('hincrby', key, 'number', 12345);
      model.set('number', sum);
      return;
    }
    default: {
      const to = HASHES[r.below(HASHES.length)];
      if (model.size === 0 || r.below(10) > 0) return;
      engine.run(to === key || r.below(2) === 0 ? 'copy' : 'rename', key, to, 'replace');
      if (to !== key && engine.call.reply.u8[0] !== 45) {
        models.get(to).clear();
        for (const [name, given] of model) models.get(to).set(name, given);
      }
    }
  }
}

function check(engine: TestEngine, models: Models): void {
  for (const [key, model] of models.keys) {
    const found = membersOf(engine, key);
    expect(found.size).toBe(model.size);
    for (const [name, given] of model) if (found.get(name) !== given) expect.fail(`${key} ${name}: ${found.get(name)}`);
  }
  engine.verify();
}

/** Bytes of all blocks in use. */
function blockBytes(engine: TestEngine): number {
  return engine.shards.arenas.reduce((sum, arena) => sum + arena.f64[COUNTER_USED_BYTES] - baseBytes(arena), 0);
}

describe('hashes and sets', () => {
  for (const [kind, keys, step] of [
    ['sets', SETS, stepSet],
    ['hashes', HASHES, stepHash],
  ] as const) {
    it(`${kind} do what maps do`, () => {
      fc.assert(
        fc.property(fc.integer({ min: 1 }), fc.constantFrom(...SPREADS), (seed, spread) => {
          const engine = new TestEngine({ shards: 2, arenaBytes: 64 * MIB });
          const models = new Models();
          const r = new Random(seed);
          for (const key of keys) engine.run('set', key, 'x');
          engine.run('del', ...keys);
          const before = blockBytes(engine);
          for (let i = 0; i < 250; i++) {
            step(engine, models, r, spread);
            if (i % 80 === 0) check(engine, models);
          }
          check(engine, models);
          engine.run('del', ...keys);
          expect(blockBytes(engine)).toBe(before);
        }),
        { numRuns: 10 },
      );
    });
  }

  it('stay whole while compaction moves their members', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 64 * MIB });
    const [arena] = engine.shards.arenas;
    const r = new Random(12);
    const models = new Models();
    const spread = { members: 8000, batch: 60, words: 1, long: 0.02 };
    // Members of the same size among those that are kept, so that their pages become sparse when they go.
    for (let i = 0; i < 40_000; i++) {
      const name = member(r, spread);
      engine.run('sadd', `gone${i % 40}`, name);
      if (i % 5 > 0) continue;
      const set = SETS[r.below(SETS.length)];
      const hash = HASHES[r.below(HASHES.length)];
      engine.run('sadd', set, name);
      models.get(set).set(name, '');
      engine.run('hset', hash, name, 'v');
      models.get(hash).set(name, 'v');
    }
    const places = (): number[] => {
      const t = valueWord(arena, recordOf(engine, 's1'));
      return [...models.get('s1').keys()].map((name) => {
        const bytes = Buffer.from(name);
        return tableFind(arena, t, keyHash(arena, bytes, 0, bytes.length), bytes, 0, bytes.length);
      });
    };
    expect(formOf(engine, 's1')).toBe('table');
    const before = places();
    for (let i = 0; i < 40; i++) engine.run('del', `gone${i}`);
    for (let i = 0; i < 300; i++) engine.run('set', `string${i}`, 'x'.repeat(30_000));
    check(engine, models);
    const after = places();
    expect(before.filter((place, i) => place !== after[i]).length).toBeGreaterThan(500);
    for (let i = 0; i < 600; i++) {
      stepSet(engine, models, r, spread);
      stepHash(engine, models, r, spread);
      if (i % 3 === 0) engine.run('set', `string${i % 300}`, 'x'.repeat(100 + r.below(40_000)));
    }
    check(engine, models);
  });

  it('stay whole in an arena that is full, and shrink there', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 6 * MIB });
    const [arena] = engine.shards.arenas;
    const { call } = engine;
    const evictor = { makeRoom: () => false };
    const sizes = new Map<string, number>();
    let full = 0;
    for (let i = 0; full < 30; i++) {
      const ofSet = i % 2 === 0;
      const key = (ofSet ? SETS : HASHES)[i % 3];
      const args = [ofSet ? 'sadd' : 'hset', key];
      for (let k = 0; k < (i % 50 < 2 ? 3000 : 2); k++) args.push(`member ${i} ${k}`);
      engine.run('exists', key);
      call.buf = Buffer.from(args.join(''));
      call.reserveArgs(args.length);
      call.argc = args.length;
      for (let k = 0, at = 0; k < args.length; at += args[k++].length) {
        call.off[k] = at;
        call.len[k] = args[k].length;
      }
      const row = engine.table.resolve(call);
      if (row === undefined) throw new Error(`no ${args[0]}`);
      call.begin(row);
      call.reply.length = 0;
      execute(call, row, evictor);
      compactStep(arena);
      if (call.reply.u8[0] === 45) full++;
      else sizes.set(key, (sizes.get(key) ?? 0) + (ofSet ? args.length - 2 : (args.length - 2) / 2));
    }
    engine.verify();
    const used = arena.f64[COUNTER_USED_BYTES];
    for (const key of SETS) {
      expect(membersOf(engine, key).size).toBe(sizes.get(key));
      expect(stringsOf(engine.run('spop', key, (sizes.get(key) as number) - 10)).length).toBeGreaterThan(100);
      expect(membersOf(engine, key).size).toBe(10);
    }
    for (const key of HASHES) {
      const fields = [...membersOf(engine, key).keys()];
      expect(fields.length).toBe(sizes.get(key));
      for (const field of fields.slice(10)) engine.run('hdel', key, field);
      expect(membersOf(engine, key).size).toBe(10);
    }
    engine.verify();
    expect(arena.f64[COUNTER_USED_BYTES]).toBeLessThan(used / 4);
  });
});
