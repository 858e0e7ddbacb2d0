import { describe, expect, it } from 'vitest';
import { valueStart, valueWord } from '../../engine/record.ts';
import { tableOwnerWord } from '../../engine/table.ts';
import { LEAF_CAPACITY, leafMembers, nextLeaf, nodeCount, nodeLevel } from '../../engine/types/tree-node.ts';
import { TreeCursor } from '../../engine/types/tree-read.ts';
import { encodingName } from '../../engine/types/zset.ts';
import { memberLeaf } from '../../engine/types/zset-member.ts';
import { hasRoot, valueBytes } from '../../engine/values.ts';
import { TestEngine } from '../support/engine.ts';
import { recordOf } from '../support/lists.ts';
import { entriesOf } from '../support/zsets.ts';

function oneShard(): TestEngine {
  return new TestEngine({ shards: 1, arenaBytes: 64 * 1024 * 1024 });
}

/** The elements of a reply, without their lengths. */
function elements(reply: string): string[] {
  return reply
    .split('\r\n')
    .filter((line) => line !== '' && !/^[$*]/.test(line))
    .map((line) => line.replace(/^[,:]/, ''));
}

function addMany(engine: TestEngine, key: string, count: number, score: (i: number) => number): void {
  for (let i = 0; i < count; i++) engine.run('zadd', key, score(i), `m${String(i).padStart(6, '0')}`);
}

/** The counts of entries in all leaves, in order. */
function leafCounts(engine: TestEngine, key: string): number[] {
  const record = recordOf(engine, key);
  const a = engine.call.arena;
  const counts: number[] = [];
  let leaf = memberLeaf(a, new TreeCursor().seek(a, valueWord(a, record), 0));
  for (; leaf !== 0; leaf = nextLeaf(a, leaf)) counts.push(nodeCount(a, leaf));
  return counts;
}

describe('a small sorted set', () => {
  it('lies in its record, as the comment says', () => {
    const engine = oneShard();
    engine.line('zadd k 2 bc 1 a');
    const record = recordOf(engine, 'k');
    const a = engine.call.arena;
    expect(hasRoot(a, record)).toBe(false);
    expect(valueWord(a, record)).toBe(25);
    const start = valueStart(a, record);
    expect([...a.u8.slice(start, start + 25)]).toEqual([
      ...[2, 0, 0, 0],
      ...[0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 1, 97],
      ...[0, 0, 0, 0, 0, 0, 0, 0x40, 2, 98, 99],
    ]);
    expect(encodingName(a, record)).toBe('listpack');
    expect(valueBytes(a, record)).toBe(0);
  });

  it('keeps members of any length', () => {
    const engine = oneShard();
    engine.settings.set('zset-max-listpack-value', 1e6);
    const lengths = [0, 1, 254, 255, 256, 70_000];
    for (const length of lengths) engine.run('zadd', 'k', -length, 'x'.repeat(length));
    engine.run('zadd', 'k', 5, 'x'.repeat(255));
    engine.run('zincrby', 'k', -1e6, 'x'.repeat(254));
    expect(encodingName(engine.call.arena, recordOf(engine, 'k'))).toBe('listpack');
    expect(entriesOf(engine, 'k').map(([member]) => member.length)).toEqual([254, 70_000, 256, 1, 0, 255]);
    engine.run('zrem', 'k', 'x'.repeat(256), '');
    expect(entriesOf(engine, 'k').map(([member]) => member.length)).toEqual([254, 70_000, 1, 255]);
  });

  it('becomes big at either threshold, and stays big', () => {
    const engine = oneShard();
    addMany(engine, 'many', 128, (i) => i);
    expect(engine.line('object encoding many')).toContain('listpack');
    engine.line('zadd many 1 one-more');
    expect(engine.line('object encoding many')).toContain('skiplist');
    engine.line('zremrangebyrank many 3 -1');
    expect(engine.line('object encoding many')).toContain('skiplist');
    engine.run('zadd', 'long', 1, 'x'.repeat(64), 2, 'y');
    expect(engine.line('object encoding long')).toContain('listpack');
    engine.run('zadd', 'long', 1, 'x'.repeat(65));
    expect(engine.line('object encoding long')).toContain('skiplist');
    expect(entriesOf(engine, 'long').map(([member]) => member.length)).toEqual([64, 65, 1]);
    // What is stored is as small as it can be.
    engine.line('zunionstore many 1 many');
    expect(engine.line('object encoding many')).toContain('listpack');
    engine.verify();
  });
});

describe('a big sorted set', () => {
  it('has members as the comment says', () => {
    const engine = oneShard();
    engine.settings.set('zset-max-listpack-entries', 0);
    engine.line('zadd k 1.5 ab');
    const a = engine.call.arena;
    const t = valueWord(a, recordOf(engine, 'k'));
    const leaf = tableOwnerWord(a, t);
    expect(nodeLevel(a, leaf)).toBe(0);
    const member = a.u32[leafMembers(leaf)];
    expect([...a.u32.slice(member >>> 2, (member >>> 2) + 4)]).toEqual([0x107, t, 2, leaf]);
    expect(a.f64[(member + 16) >>> 3]).toBe(1.5);
    expect([...a.u8.slice(member + 24, member + 26)]).toEqual([97, 98]);
  });

  it('fills its leaves when scores only rise, or only fall', () => {
    for (const sign of [1, -1]) {
      const engine = oneShard();
      addMany(engine, 'k', LEAF_CAPACITY * 20, (i) => sign * i);
      const counts = leafCounts(engine, 'k');
      // Two leaves may be left half full by what came while the set was packed.
      expect(counts.filter((count) => count < LEAF_CAPACITY).length).toBeLessThanOrEqual(2);
      engine.verify();
    }
  });

  it('keeps its leaves a third full on average, whatever is removed', () => {
    const engine = oneShard();
    const size = LEAF_CAPACITY * 100;
    addMany(engine, 'k', size, (i) => (i * 7919) % size);
    for (let i = 0; i < size; i++) if (i % 10 !== 3) engine.run('zrem', 'k', `m${String(i).padStart(6, '0')}`);
    const counts = leafCounts(engine, 'k');
    expect(counts.length).toBeLessThan((size / 10 / LEAF_CAPACITY) * 3.1);
    engine.verify();
  });

  it('takes less than 90 bytes for a member of 20', () => {
    const engine = oneShard();
    for (let i = 0; i < 20_000; i++)
      engine.run('zadd', 'k', (i * 7919) % 20_011, `element:${String(i).padStart(12, '0')}`);
    expect(valueBytes(engine.call.arena, recordOf(engine, 'k')) / 20_000).toBeLessThan(90);
  });
});

describe('scores', () => {
  it('keep -0 in big sets only, as in Redis', () => {
    const engine = oneShard();
    engine.line('zadd small -0 a 0 b');
    expect(elements(engine.line('zrange small 0 -1 withscores'))).toEqual(['a', '0', 'b', '0']);
    engine.settings.set('zset-max-listpack-entries', 0);
    engine.line('zadd big -0 a 0 b');
    expect(elements(engine.line('zrange big 0 -1 withscores'))).toEqual(['a', '-0', 'b', '0']);
    expect(engine.line('zadd big ch 0 a')).toBe(':0\r\n');
    expect(elements(engine.line('zscore big a'))).toEqual(['-0']);
  });

  it('are printed as C prints them', () => {
    const engine = oneShard();
    for (const [score, text] of [
      ['3.1', '3.1000000000000001'],
      ['1e20', '1e+20'],
      ['123456789012345680', '1.2345678901234568e+17'],
      ['12345678901234567', '12345678901234568'],
      ['1234567890123456.25', '1234567890123456.2'],
      ['-1e-5', '-1.0000000000000001e-05'],
      ['0x1p4', '16'],
      ['-inf', '-inf'],
      ['+Infinity', 'inf'],
    ]) {
      engine.run('zadd', 'k', score, 'm');
      expect(elements(engine.line('zscore k m'))).toEqual([text]);
    }
    expect(engine.line('zincrby k -inf m')).toBe('-ERR resulting score is not a number (NaN)\r\n');
    expect(engine.line('zscan k 0')).toContain('inf');
  });

  it('come in pairs in RESP3', () => {
    const engine = oneShard();
    engine.call.reply.protocol = 3;
    engine.line('zadd k 1 a 2.5 b');
    expect(engine.line('zrange k 0 -1 withscores')).toBe('*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,2.5\r\n');
    expect(engine.line('zpopmin k')).toBe('*2\r\n$1\r\na\r\n,1\r\n');
    expect(engine.line('zpopmin k 5')).toBe('*1\r\n*2\r\n$1\r\nb\r\n,2.5\r\n');
    expect(engine.line('zscore k a')).toBe('_\r\n');
  });
});

describe('ZRANDMEMBER', () => {
  it('draws evenly, with and without repetition', () => {
    const engine = oneShard();
    addMany(engine, 'k', 10, (i) => i);
    const counts = new Map<string, number>();
    const draw = (text: string): void => {
      const drawn = elements(engine.line(text));
      for (const member of drawn) counts.set(member, (counts.get(member) ?? 0) + 1);
    };
    for (let i = 0; i < 300; i++) {
      for (const count of [-10, 2, 6]) draw(`zrandmember k ${count}`);
      draw('zrandmember k');
      draw('zrandmember k');
    }
    // 600 expected each, standard deviation 23.
    for (const count of counts.values()) expect(Math.abs(count - 600)).toBeLessThan(140);
    expect(counts.size).toBe(10);
    for (const count of [2, 6, 10, 15]) {
      const drawn = elements(engine.line(`zrandmember k ${count}`));
      expect(new Set(drawn).size).toBe(Math.min(count, 10));
      expect(drawn.length).toBe(Math.min(count, 10));
    }
  });
});

describe('ZSCAN', () => {
  it('meets every member that is there all the while', () => {
    const engine = oneShard();
    addMany(engine, 'k', 2000, (i) => i);
    const seen = new Set<string>();
    let cursor = '0';
    let round = 0;
    do {
      const [next, ...found] = elements(engine.run('zscan', 'k', cursor, 'count', 20));
      for (let i = 0; i < found.length; i += 2) seen.add(found[i]);
      cursor = next;
      for (let i = 0; i < 30; i++)
        engine.run(round % 2 === 0 ? 'zadd' : 'zrem', 'k', ...(round % 2 === 0 ? [1] : []), `x${i}`);
      round++;
    } while (cursor !== '0');
    expect(round).toBeGreaterThan(50);
    expect([...seen].filter((member) => member.startsWith('m')).length).toBe(2000);
  });
});
