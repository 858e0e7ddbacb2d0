/**
 * Shards that are full to the last page: a command that finds no room changes nothing, no key is lost, nothing leaks, and what
 * goes or expires always can.
 */
import { describe, expect, it } from 'vitest';
import {
  alloc,
  free,
  hasRoom,
  KIND_FIXED,
  KIND_MEMBER,
  KIND_RECORD,
  liveBytes,
  verifyAlloc,
} from '../../engine/alloc.ts';
import { type Arena, COUNTER_KEYS, PAGE_BYTES } from '../../engine/arena.ts';
import { defragment } from '../../engine/defragment.ts';
import { freeBuried } from '../../engine/lazyfree.ts';
import { freePages } from '../../engine/pages.ts';
import { Random } from '../../engine/random.ts';
import { TestEngine } from '../support/engine.ts';

const MIB = 1024 * 1024;
const OOM = '-OOM the shard of this key is full (its arena has no free page)\r\n';
/** Keys of two shards. */
const [FULL, OTHER] = ['{a}', '{b}'];

/** Takes every free page, and every free block of the sizes that tables need: what is left of the arena is nothing. */
function takeAll(arena: Arena, kinds = [KIND_FIXED, KIND_MEMBER]): number[] {
  const taken: number[] = [];
  for (const size of [16384, 4096, 512, 64, 16]) {
    for (const kind of kinds) {
      try {
        for (;;) taken.push(alloc(arena, size, kind));
      } catch {
        // The next size may still find room.
      }
    }
  }
  return taken;
}

/** Takes pages of each arena, or gives them back, so that a few are left or none. */
function weigh(arenas: readonly Arena[], ballast: number[][], random: Random): void {
  for (const [i, arena] of arenas.entries()) {
    const left = random.below(14);
    while (freePages(arena) > left) ballast[i].push(alloc(arena, PAGE_BYTES, KIND_FIXED));
    while (freePages(arena) < left && ballast[i].length > 0) free(arena, ballast[i].pop() as number);
  }
}

function shardOf(engine: TestEngine, key: string): Arena {
  engine.run('exists', key);
  return engine.call.arena;
}

function keys(engine: TestEngine): number {
  return engine.shards.arenas.reduce((sum, { f64 }) => sum + f64[COUNTER_KEYS], 0);
}

describe('a command over several shards, of which one is full', () => {
  it('changes nothing', () => {
    const engine = new TestEngine({ shards: 2, arenaBytes: 4 * MIB });
    const arena = shardOf(engine, FULL);
    expect(shardOf(engine, OTHER)).not.toBe(arena);
    for (let i = 0; i < 1700; i++) engine.run('set', `${FULL}${i}`, 'v');
    // There is room for records, and none for what their table needs.
    const spare = Array.from({ length: 1000 }, () => alloc(arena, 32, KIND_RECORD));
    takeAll(arena);
    for (const block of spare) free(arena, block);
    for (let i = 0; i < 400; i++) {
      const key = `${FULL}new:${i}`;
      engine.call.arena = shardOf(engine, OTHER);
      expect(engine.execute('mset', key, 'v', `${OTHER}x`, 'y')).toBe(OOM);
      expect(engine.execute('exists', key, `${OTHER}x`)).toBe(':0\r\n');
    }
    expect(keys(engine)).toBe(1700);
    engine.verify();
  });
});

describe('MOVE', () => {
  it('in a full shard keeps the key where it is', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 4 * MIB });
    const [arena] = engine.shards.arenas;
    engine.run('set', 'key', 'value');
    const taken = takeAll(arena);
    for (let db = 1; db < 16; db++) {
      expect(engine.execute('move', 'key', db)).toBe(OOM);
      expect(engine.execute('get', 'key')).toBe('$5\r\nvalue\r\n');
    }
    for (const block of taken) free(arena, block);
    expect(engine.execute('move', 'key', 1)).toBe(':1\r\n');
    expect(engine.execute('exists', 'key')).toBe(':0\r\n');
  });
});

describe('keys of a full shard', () => {
  it('can be deleted and expire, although their table has no room to shrink', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = new Random(seed);
      const engine = new TestEngine({ shards: 1, arenaBytes: 4 * MIB, hashSeeds: [seed, 2] });
      const [arena] = engine.shards.arenas;
      engine.nowMs = 1_700_000_000_000;
      const count = 3000 + random.below(3000);
      for (let i = 0; i < count; i++) engine.run('set', `key:${i}`, 'v', 'px', 1000 + i);
      // To where buckets are about to be merged.
      for (let i = 0; i < count / 2; i++) engine.run('del', `key:${i}`);
      takeAll(arena);
      expect(freePages(arena)).toBe(0);
      engine.nowMs += 1000 + Math.floor(count * 0.8);
      engine.expire();
      engine.verify();
      engine.nowMs += count;
      engine.expire();
      expect(keys(engine)).toBe(0);
    }
  }, 60_000);

  it('are all there, and nothing else, after any mix of commands that find no room', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = new Random(seed);
      const engine = new TestEngine({ shards: 2, arenaBytes: 2 * MIB, hashSeeds: [seed, 3] });
      const model = new Map<string, string>();
      const key = (): string => `{${random.below(8)}}${random.below(600)}`;
      let refused = 0;
      const ballast: number[][] = engine.shards.arenas.map(() => []);
      for (let i = 0; i < 15_000; i++) {
        // Mostly there are some pages, often none.
        if (i % 40 === 0) weigh(engine.shards.arenas, ballast, random);
        const [one, other] = [key(), key()];
        const value = 'x'.repeat(random.below(8) === 0 ? random.below(9000) : random.below(60));
        const what = random.below(10);
        if (what < 4) {
          if (engine.execute('set', one, value) === '+OK\r\n') model.set(one, value);
          else refused++;
        } else if (what < 6) {
          if (engine.execute('mset', one, value, other, value) === '+OK\r\n') {
            model.set(one, value);
            model.set(other, value);
          } else refused++;
        } else if (what < 7) {
          if (engine.execute('rename', one, other) === '+OK\r\n') {
            const moved = model.get(one) as string;
            model.delete(one);
            model.set(other, moved);
          }
        } else if (what < 8) {
          // There and back, which may fail on either way.
          if (engine.execute('move', one, 1) === ':1\r\n') {
            engine.call.db = 1;
            const isBack = engine.execute('move', one, 0) === ':1\r\n';
            if (!isBack) {
              expect(engine.execute('del', one)).toBe(':1\r\n');
              model.delete(one);
            }
            engine.call.db = 0;
          }
        } else if (random.below(model.size > 900 ? 2 : 6) === 0) {
          expect(engine.execute('del', one)).toBe(model.delete(one) ? ':1\r\n' : ':0\r\n');
        }
        engine.execute(
          ['sadd', 'hset', 'zadd'][i % 3],
          `big:${i % 3}`,
          ...[['a'], ['a', 'v'], ['1', 'a']][i % 3],
          ...[],
        );
        engine.execute('sadd', 'members', `member:${random.below(4000)}`);
        engine.execute('zadd', 'scores', random.below(50), `member:${random.below(2000)}`);
      }
      expect(refused).toBeGreaterThan(300);
      engine.verify();
      for (const [name, value] of model) expect(engine.execute('get', name)).toBe(`$${value.length}\r\n${value}\r\n`);
      for (const name of ['big:0', 'big:1', 'big:2', 'members', 'scores']) engine.execute('del', name);
      expect(keys(engine)).toBe(model.size);
      for (const name of model.keys()) expect(engine.execute('del', name)).toBe(':1\r\n');
      // Nothing is left but tables.
      for (const [i, arena] of engine.shards.arenas.entries()) {
        for (const block of ballast[i]) free(arena, block);
        while (freeBuried(arena, 1000));
        expect(verifyAlloc(arena)).toBeLessThan(40);
      }
    }
  }, 120_000);
});

describe('memory that was given back', () => {
  const KEYS = 7000;

  /** Fills the arena of one shard with small values, and deletes all keys but every eighth. */
  function sparse(seed: number): TestEngine {
    const engine = new TestEngine({ shards: 1, arenaBytes: 8 * MIB, hashSeeds: [seed, 4] });
    const random = new Random(seed);
    let count = 0;
    while (engine.execute('set', `key:${count}`, 'v'.repeat(20 + random.below(100))) === '+OK\r\n') count++;
    fillCollections(engine, random);
    expect(count).toBeGreaterThan(KEYS);
    for (let i = 0; i < count; i++) if (i % 8 > 0) engine.execute('del', `key:${i}`);
    for (let i = 0; i < 8; i++) engine.execute('del', `set:${i}`);
    while (freeBuried(engine.shards.arenas[0], 100));
    return engine;
  }

  /** Blocks of every kind that can be moved. */
  function fillCollections(engine: TestEngine, random: Random): void {
    for (let i = 0; i < 20_000; i++) {
      const member = `member:${random.below(5000)}`;
      const key = random.below(16);
      engine.execute('sadd', `set:${key}`, member);
      engine.execute('zadd', `zset:${key}`, random.below(100), member);
      engine.execute('hset', `hash:${key}`, member, 'x'.repeat(random.below(40)));
      if (i % 8 === 0) engine.execute('rpush', `list:${key}`, member);
      if (i % 8 === 4) engine.execute('xadd', `stream:${key}`, '*', 'f', member);
    }
  }

  it.each([1, 2, 3])(
    'serves values of every length, and everything that was moved is whole: seed %i',
    (seed) => {
      const engine = sparse(seed);
      const [arena] = engine.shards.arenas;
      const left = contents(engine);
      for (const bytes of [10_000, 100_000, 300_000]) {
        expect(engine.execute('set', `long:${bytes}`, 'x'.repeat(bytes))).toBe('+OK\r\n');
        engine.verify();
        verifyAlloc(arena);
      }
      expect(engine.execute('rpush', 'more', 'y'.repeat(9000))).toBe(':1\r\n');
      expect(engine.execute('hset', 'fields', 'f', 'y'.repeat(20_000))).toBe(':1\r\n');
      for (const bytes of [10_000, 100_000, 300_000]) engine.execute('del', `long:${bytes}`);
      engine.execute('del', 'more', 'fields');
      expect(contents(engine)).toEqual(left);
    },
    60_000,
  );

  /** Every key with its value, but for the time that it was used. */
  function contents(engine: TestEngine): Map<string, string> {
    const found = new Map<string, string>();
    const names = engine
      .run('keys', '*')
      .split('\r\n')
      .filter((line) => /:\d+$/.test(line));
    for (const name of names) found.set(name, engine.run('dump', name));
    return found;
  }

  it('takes a little at a time from a write, and goes on where it was', () => {
    const engine = sparse(5);
    const [arena] = engine.shards.arenas;
    let tries = 0;
    while (!hasRoom(arena, 700_000) && tries < 1000) {
      if (!defragment(arena, () => hasRoom(arena, 700_000), 100_000)) break;
      tries++;
    }
    expect(hasRoom(arena, 700_000)).toBe(true);
    expect(tries).toBeGreaterThan(3);
    engine.verify();
    verifyAlloc(arena);
  });
});

describe('a command with many elements that finds no room', () => {
  it('SADD adds none', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 4 * MIB });
    const members = Array.from({ length: 60_000 }, (_, i) => i.toString(36).padStart(4, 'x'));
    expect(engine.run('sadd', 'k', ...members)).toBe(OOM);
    expect([engine.line('EXISTS k'), engine.call.dirty]).toEqual([':0\r\n', 0]);
  });

  // Nodes of several pages, which need free pages that follow each other: there are none.
  it.each([-4, -5])(
    'pushes and LSET change all or nothing, fill %d',
    (fill) => {
      const engine = new TestEngine({ shards: 1, arenaBytes: 8 * MIB });
      engine.settings.set('list-max-listpack-size', fill);
      const [arena] = engine.shards.arenas;
      const random = new Random(3 - fill);
      const list: string[] = [];
      const pages: number[] = [];
      const left: number[] = [];
      let refused = 0;
      const expectList = (): void => {
        const found = list.map((_, i) => engine.run('lindex', 'L', i));
        expect(found).toEqual(list.map((text) => `$${text.length}\r\n${text}\r\n`));
        expect(engine.line('LLEN L')).toBe(`:${list.length}\r\n`);
      };
      for (let round = 0; round < 6; round++) {
        for (let i = 0; i < 60; i++) {
          const text = `${round}.${i}:${'o'.repeat(random.below(1500))}`;
          if (engine.execute('rpush', 'L', text) !== OOM) list.push(text);
        }
        while (freePages(arena) > 0) pages.push(alloc(arena, PAGE_BYTES, KIND_FIXED));
        for (let i = 0; i < pages.length; i += 2) free(arena, pages[i]);
        for (let step = 0; step < 40; step++) {
          const texts = Array.from(
            { length: 1 + random.below(8) },
            (_, i) => `${step}+${i}:${'n'.repeat(random.below(6000))}`,
          );
          const at = random.below(list.length);
          const isSet = random.below(2) === 0;
          if (step % 8 === 0) {
            // A new list that finds no room leaves nothing.
            engine.execute('rpush', 'new', ...texts, ...texts);
            engine.execute('unlink', 'new');
          }
          const reply = isSet ? engine.execute('lset', 'L', at, texts[0]) : engine.execute('rpush', 'L', ...texts);
          if (reply === OOM) refused++;
          else if (isSet) list[at] = texts[0];
          else list.push(...texts);
          expectList();
        }
        for (let i = 1; i < pages.length; i += 2) free(arena, pages[i]);
        pages.length = 0;
        list.length = 0;
        engine.execute('unlink', 'L');
        left.push(liveBytes(arena));
      }
      expect(refused).toBeGreaterThan(20);
      verifyAlloc(arena);
      // What is left after a round is tables, and they do not grow.
      expect(Math.max(...left)).toBe(left[0]);
    },
    60_000,
  );
});
