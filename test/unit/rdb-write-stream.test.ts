/** Deleted entries of streams in payloads: as many and as large as they were, so that a copy goes on as the stream would. */
import { describe, expect, it } from 'vitest';
import type { Offset } from '../../engine/arena.ts';
import { Random } from '../../engine/random.ts';
import { valueWord } from '../../engine/record.ts';
import { lastIdWord } from '../../engine/types/stream.ts';
import { compareIds } from '../../engine/types/stream-id.ts';
import { NodeWalk } from '../../engine/types/stream-index.ts';
import { NODE_LAST_ID, nodeEntries, nodeListpackBytes, nodeLive } from '../../engine/types/stream-node.ts';
import { TestEngine } from '../support/engine.ts';
import { eachKey, payloadOf } from '../support/rdb-write.ts';

const newEngine = (): TestEngine => new TestEngine({ shards: 1, arenaBytes: 8 * 1024 * 1024 });

/** What tells how a node goes on: entries, deleted entries, bytes in Redis, whether its last entry is the stream's last. */
function nodesOf(engine: TestEngine): number[][] {
  const nodes: number[][] = [];
  eachKey(engine, 0, (a, record) => {
    const root: Offset = valueWord(a, record);
    const walk = new NodeWalk();
    for (let node = walk.first(a, root); node !== 0; node = walk.next(a)) {
      const order = compareIds(a.u32, (node + NODE_LAST_ID) >>> 2, a.u32, lastIdWord(root));
      nodes.push([nodeLive(a, node), nodeEntries(a, node) - nodeLive(a, node), nodeListpackBytes(a, node), order]);
    }
  });
  return nodes;
}

function copyOf(engine: TestEngine): TestEngine {
  const copy = newEngine();
  expect(copy.run('restore', 's', '0', payloadOf(engine.run('dump', 's')))).toBe('+OK\r\n');
  copy.verify();
  return copy;
}

const xinfo = (engine: TestEngine): string => engine.run('xinfo', 'stream', 's');

describe('deleted entries in a payload', () => {
  it.each([1, 2, 3, 5])('keep the last node as it was, %d fields', (fields) => {
    const random = new Random(50 + fields);
    for (let round = 0; round < 40; round++) {
      const engine = newEngine();
      const entries = 1 + random.below(90);
      for (let i = 0; i < entries; i++) {
        const own = random.below(8) === 0 ? 1 : fields;
        // Of every length around those that no single string takes.
        const strings = Array.from({ length: own }, (_, k) => [`f${k}`, 'v'.repeat(random.below(round))]).flat();
        engine.run('xadd', 's', `${1000 + i * 3}-0`, ...strings);
      }
      const kept = random.below(entries);
      for (let i = 0; i < entries; i++)
        if (i !== kept && random.below(3) > 0) engine.run('xdel', 's', `${1000 + i * 3}-0`);
      const copy = copyOf(engine);
      expect(nodesOf(copy).at(-1)).toEqual(nodesOf(engine).at(-1));
      for (let i = 0; i < 40; i++) {
        for (const one of [engine, copy]) one.run('xadd', 's', `${5000 + i}-0`, 'f', 'x'.repeat(i * 2));
      }
      expect(xinfo(copy)).toBe(xinfo(engine));
      expect(copy.run('xrange', 's', '-', '+')).toBe(engine.run('xrange', 's', '-', '+'));
    }
  });

  it('have a place when all entries but the first have one id after another', () => {
    const engine = newEngine();
    for (let i = 0; i < 50; i++) engine.run('xadd', 's', `7-${i + 1}`, 'f', i);
    for (const i of [2, 3, 4, 30, 48, 49, 50]) engine.run('xdel', 's', `7-${i}`);
    expect(nodesOf(copyOf(engine))).toEqual(nodesOf(engine));
  });

  it('are left out where XSETID has left them no id', () => {
    const engine = newEngine();
    for (const id of ['5-1', '9-1']) engine.run('xadd', 's', id, 'f', 'v');
    engine.run('xdel', 's', '9-1');
    engine.run('xsetid', 's', '5-1');
    expect(nodesOf(copyOf(engine)).map((node) => node.slice(0, 2))).toEqual([[1, 0]]);
    engine.run('xadd', 's', '5-2', 'f', 'v');
    const copy = copyOf(engine);
    expect(copy.run('xrange', 's', '-', '+')).toBe(engine.run('xrange', 's', '-', '+'));
    expect(nodesOf(copy).map((node) => node.slice(0, 2))).toEqual([[2, 0]]);
  });

  it('may be all that a node has, above the last id even', () => {
    const engine = newEngine();
    for (const id of ['5-1', '6-1', '9-1']) engine.run('xadd', 's', id, 'f', 'v');
    engine.run('xdel', 's', '9-1');
    engine.run('xtrim', 's', 'minid', '8-0');
    expect(nodesOf(engine).map((node) => node.slice(0, 2))).toEqual([[0, 3]]);
    expect(xinfo(copyOf(engine))).toContain('last-generated-id\r\n$3\r\n9-1');
    for (const id of ['4-1', '0-0']) {
      expect(engine.run('xsetid', 's', id)).toBe('+OK\r\n');
      expect(xinfo(copyOf(engine))).toContain(`last-generated-id\r\n$3\r\n${id}`);
    }
  });
});
