import { describe, expect, it } from 'vitest';
import { usableSize } from '../../engine/alloc.ts';
import { COUNTER_USED_BYTES } from '../../engine/arena.ts';
import { baseBytes } from '../../engine/pages.ts';
import { valueWord } from '../../engine/record.ts';
import { encodingName, listLength } from '../../engine/types/list.ts';
import {
  maxNodeBytes,
  NODE_BEGIN,
  NODE_END,
  NODE_NEXT,
  ROOT_HEAD,
  ROOT_NODES,
  ROOT_TAIL,
} from '../../engine/types/list-node.ts';
import { hasRoot, valueBytes } from '../../engine/values.ts';
import { TestEngine } from '../support/engine.ts';
import { elementsOf, recordOf, walkElements } from '../support/lists.ts';

function oneShard(): TestEngine {
  return new TestEngine({ shards: 1, arenaBytes: 128 * 1024 * 1024 });
}

function push(engine: TestEngine, command: string, key: string, elements: readonly string[]): void {
  for (const element of elements) engine.run(command, key, element);
}

function numbers(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => `n${from + i}`);
}

function rootWord(engine: TestEngine, key: string, word: number): number {
  const record = recordOf(engine, key);
  expect(hasRoot(engine.call.arena, record)).toBe(true);
  return engine.call.arena.u32[(valueWord(engine.call.arena, record) + word) >>> 2];
}

/** Usable sizes of the blocks of a list's nodes. */
function nodeSizes(engine: TestEngine, key: string): number[] {
  const sizes: number[] = [];
  for (
    let node = rootWord(engine, key, ROOT_HEAD);
    node !== 0;
    node = engine.call.arena.u32[(node + NODE_NEXT) >>> 2]
  ) {
    sizes.push(usableSize(engine.call.arena, node));
  }
  return sizes;
}

describe('a short list', () => {
  it('lies in its record, as the comment says', () => {
    const engine = oneShard();
    engine.line('rpush k a bc');
    const record = recordOf(engine, 'k');
    const a = engine.call.arena;
    expect(hasRoot(a, record)).toBe(false);
    expect([...a.u8.slice(record + 17, record + 25)]).toEqual([2, 1, 97, 1, 2, 98, 99, 2]);
    expect(encodingName(a, record)).toBe('quicklist');
    expect(valueBytes(a, record)).toBe(0);
  });

  it('takes little: ten small elements fit one block of 128 bytes', () => {
    const engine = oneShard();
    push(engine, 'rpush', 'k', numbers(10, 100));
    const record = recordOf(engine, 'k');
    expect(hasRoot(engine.call.arena, record)).toBe(false);
    expect(usableSize(engine.call.arena, record)).toBeLessThanOrEqual(128);
  });

  it('keeps its expiry and elements while its record moves', () => {
    const engine = oneShard();
    engine.line('rpush k a');
    engine.line('pexpireat k 4000000000000');
    push(engine, 'lpush', 'k', numbers(30));
    engine.line('persist k');
    push(engine, 'rpush', 'k', numbers(3));
    expect(elementsOf(engine, 'k')).toEqual([...numbers(30).reverse(), 'a', ...numbers(3)]);
    expect(engine.line('pexpiretime k')).toBe(':-1\r\n');
  });

  it('gets nodes when it grows beyond its limit, and goes back when it has shrunk', () => {
    const engine = oneShard();
    push(engine, 'rpush', 'k', numbers(40));
    expect(hasRoot(engine.call.arena, recordOf(engine, 'k'))).toBe(false);
    push(engine, 'rpush', 'k', numbers(40));
    expect(nodeSizes(engine, 'k')).toEqual([512]);
    engine.line('ltrim k 70 -1');
    expect(hasRoot(engine.call.arena, recordOf(engine, 'k'))).toBe(false);
    expect(elementsOf(engine, 'k')).toEqual(numbers(10, 30));
  });

  it('gives memory back when it shrinks', () => {
    const engine = oneShard();
    engine.run('rpush', 'k', 'x'.repeat(200), 'a');
    engine.line('lpop k');
    expect(usableSize(engine.call.arena, recordOf(engine, 'k'))).toBeLessThan(64);
    engine.run('rpush', 'k', 'x'.repeat(200));
    engine.line('lset k 1 b');
    expect(usableSize(engine.call.arena, recordOf(engine, 'k'))).toBeLessThan(100);
    expect(elementsOf(engine, 'k')).toEqual(['a', 'b']);
  });
});

describe('a long list', () => {
  it('grows its first node by doubling and fills nodes of 8 KiB', () => {
    const engine = oneShard();
    const sizes = new Set<number>();
    for (let i = 0; i < 4000; i++) {
      engine.line('rpush k xxx');
      if (i > 60) for (const size of nodeSizes(engine, 'k')) sizes.add(size);
    }
    expect([...sizes].sort((x, y) => x - y)).toEqual([512, 1024, 2048, 4096, 8192]);
    // 5 bytes for each element, 1633 to a node.
    expect(rootWord(engine, 'k', ROOT_NODES)).toBe(3);
  });

  for (const [command, end] of [
    ['lpush', ROOT_HEAD],
    ['rpush', ROOT_TAIL],
  ] as const) {
    it(`${command} moves no entry of a full-size node`, () => {
      const engine = oneShard();
      push(engine, command, 'k', numbers(20_000));
      const node = rootWord(engine, 'k', end);
      const edge = (): number => engine.call.arena.u32[(node + (end === ROOT_HEAD ? NODE_END : NODE_BEGIN)) >>> 2];
      const before = edge();
      push(engine, command, 'k', numbers(10));
      expect(edge()).toBe(before);
      engine.line(`${command === 'lpush' ? 'lpop' : 'rpop'} k 5`);
      expect(edge()).toBe(before);
      const elements = [...numbers(20_000), ...numbers(5)];
      expect(elementsOf(engine, 'k')).toEqual(command === 'lpush' ? elements.reverse() : elements);
    });
  }

  it('is a queue that stays in one small node however much passes through', () => {
    const engine = oneShard();
    push(engine, 'lpush', 'q', numbers(100));
    for (let i = 0; i < 20_000; i++) {
      engine.run('lpush', 'q', `n${100 + i}`);
      expect(engine.line('rpop q')).toBe(`$${`n${i}`.length}\r\nn${i}\r\n`);
    }
    expect(rootWord(engine, 'q', ROOT_NODES)).toBe(1);
    expect(nodeSizes(engine, 'q')[0]).toBeLessThanOrEqual(2048);
    expect(elementsOf(engine, 'q')).toEqual(numbers(100, 20_000).reverse());
  });

  it('shrinks its last node when it empties', () => {
    const engine = oneShard();
    push(engine, 'rpush', 'k', numbers(5000));
    engine.line('lpop k 4000');
    engine.line('rpop k 950');
    for (let i = 0; i < 30; i++) engine.line('lpop k');
    expect(valueBytes(engine.call.arena, recordOf(engine, 'k'))).toBeLessThanOrEqual(1024 + 16);
    expect(elementsOf(engine, 'k')).toEqual(numbers(20, 4030));
  });

  it('gives a large element a node of its own, without slack', () => {
    const engine = oneShard();
    const large = 'x'.repeat(100_000);
    engine.line('rpush k a');
    engine.run('rpush', 'k', large);
    engine.line('rpush k b');
    engine.run('lpush', 'k', large);
    engine.line('lpush k c');
    expect(rootWord(engine, 'k', ROOT_NODES)).toBe(5);
    expect(valueBytes(engine.call.arena, recordOf(engine, 'k'))).toBeLessThan(2 * 114_688 + 12_288);
    expect(elementsOf(engine, 'k')).toEqual(['c', large, 'a', large, 'b']);
    engine.line('lset k 1 y');
    engine.run('lrem', 'k', 0, large);
    expect(valueBytes(engine.call.arena, recordOf(engine, 'k'))).toBeLessThan(8192);
    expect(elementsOf(engine, 'k')).toEqual(['c', 'y', 'a', 'b']);
  });

  it('wastes little where large and small elements take turns', () => {
    const engine = oneShard();
    for (let i = 0; i < 100; i++) engine.run('rpush', 'k', i % 2 === 0 ? 'small' : 'x'.repeat(8300));
    expect(valueBytes(engine.call.arena, recordOf(engine, 'k'))).toBeLessThan(50 * (9216 + 512) + 8192);
  });

  it('holds elements of a few KiB without wasting half of each node', () => {
    const engine = oneShard();
    for (let i = 0; i < 40; i++) engine.run('rpush', 'k', 'x'.repeat(3000));
    expect(valueBytes(engine.call.arena, recordOf(engine, 'k'))).toBeLessThan(40 * 3000 * 1.1);
  });

  it('splits a full node where an element comes in, and keeps the order', () => {
    const engine = oneShard();
    const model = numbers(3000);
    push(engine, 'rpush', 'k', model);
    for (const pivot of [0, 1, 700, 1500, 1501, 2998, 2999]) {
      for (let i = 0; i < 40; i++) {
        const element = `p${pivot}-${i}`.padEnd(50, '.');
        engine.run('linsert', 'k', i % 2 === 0 ? 'before' : 'after', `n${pivot}`, element);
        model.splice(model.indexOf(`n${pivot}`) + (i % 2), 0, element);
      }
      expect(elementsOf(engine, 'k')).toEqual(model);
    }
  });

  it('joins nodes that LREM has thinned out', () => {
    const engine = oneShard();
    for (let i = 0; i < 20_000; i++) engine.run('rpush', 'k', i % 10 === 0 ? `keep${i}` : 'drop');
    const nodes = rootWord(engine, 'k', ROOT_NODES);
    expect(engine.line('lrem k 9000 drop')).toBe(':9000\r\n');
    expect(engine.line('lrem k -8999 drop')).toBe(':8999\r\n');
    expect(rootWord(engine, 'k', ROOT_NODES)).toBeLessThan(nodes / 2);
    const kept = Array.from({ length: 2000 }, (_, i) => `keep${i * 10}`);
    expect(elementsOf(engine, 'k').filter((element) => element !== 'drop')).toEqual(kept);
    expect(listLength(engine.call.arena, recordOf(engine, 'k'))).toBe(2001);
  });

  it('obeys list-max-listpack-size', () => {
    const engine = oneShard();
    engine.settings.set('list-max-listpack-size', 16);
    push(engine, 'rpush', 'k', numbers(1600));
    expect(rootWord(engine, 'k', ROOT_NODES)).toBeGreaterThanOrEqual(96);
    engine.settings.set('list-max-listpack-size', -5);
    push(engine, 'rpush', 'l', numbers(20_000));
    expect(nodeSizes(engine, 'l')).toContain(65536);
    expect([-1, -2, -3, -4, -5, -9, 7].map(maxNodeBytes)).toEqual([4096, 8192, 16384, 32768, 65536, 65536, 8192]);
  });

  it('is walked from both ends', () => {
    const engine = oneShard();
    push(engine, 'rpush', 'k', numbers(3000));
    const record = recordOf(engine, 'k');
    expect(walkElements(engine.call.arena, record, true)).toEqual(numbers(3000).reverse());
  });

  it('can be copied to another shard and keeps nothing of the first', () => {
    const engine = new TestEngine({ shards: 4, arenaBytes: 16 * 1024 * 1024 });
    push(engine, 'lpush', 'k', numbers(5000));
    engine.run('rpush', 'k', 'x'.repeat(30_000));
    const elements = elementsOf(engine, 'k');
    for (const to of ['a', 'b', 'c', 'd', 'e']) {
      expect(engine.line(`copy k ${to}`)).toBe(':1\r\n');
      expect(elementsOf(engine, to)).toEqual(elements);
      push(engine, 'rpush', to, numbers(10));
      push(engine, 'lpush', to, numbers(10));
      expect(elementsOf(engine, to)).toEqual([...numbers(10).reverse(), ...elements, ...numbers(10)]);
      engine.line(`rename ${to} other`);
      expect(elementsOf(engine, 'other').length).toBe(elements.length + 20);
    }
    expect(elementsOf(engine, 'k')).toEqual(elements);
    engine.verify();
  });

  it('leaves no block behind when its key goes', () => {
    const engine = oneShard();
    engine.line('set warm up');
    engine.line('rpush gone a');
    engine.line('del gone');
    const arena = engine.shards.arenas[0];
    const used = (): number => arena.f64[COUNTER_USED_BYTES] - baseBytes(arena);
    const before = used();
    push(engine, 'rpush', 'k', numbers(9000));
    engine.line('lpop k 9000');
    push(engine, 'rpush', 'k', numbers(9000));
    engine.line('ltrim k 1 0');
    push(engine, 'rpush', 'k', numbers(9000));
    engine.line('del k');
    for (let i = 0; i < 3000; i++) engine.line('rpush k same');
    engine.line('lrem k 0 same');
    expect(engine.line('exists k')).toBe(':0\r\n');
    expect(used()).toBe(before);
  });
});

describe('LMOVE', () => {
  it('turns a list round at either end', () => {
    const engine = oneShard();
    for (const count of [1, 2, 50, 3000]) {
      engine.line('del k');
      const model = numbers(count);
      push(engine, 'rpush', 'k', model);
      for (let i = 0; i < count + 3; i++) {
        engine.line('rpoplpush k k');
        model.unshift(model.pop() ?? '');
      }
      expect(elementsOf(engine, 'k')).toEqual(model);
      engine.line('lmove k k left left');
      engine.line('lmove k k right right');
      expect(elementsOf(engine, 'k')).toEqual(model);
      engine.line('lmove k k left right');
      model.push(model.shift() ?? '');
      expect(elementsOf(engine, 'k')).toEqual(model);
    }
  });

  it('drains one list into another, in another shard', () => {
    const engine = new TestEngine();
    push(engine, 'rpush', 'from', [...numbers(2000), 'x'.repeat(20_000)]);
    for (let i = 0; i < 2001; i++) engine.line('rpoplpush from to');
    expect(engine.line('rpoplpush from to')).toBe('$-1\r\n');
    expect(engine.line('exists from')).toBe(':0\r\n');
    expect(elementsOf(engine, 'to')).toEqual([...numbers(2000), 'x'.repeat(20_000)]);
  });
});
