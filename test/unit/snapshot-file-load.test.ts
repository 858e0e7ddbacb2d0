import { describe, expect, it } from 'vitest';
import { Call } from '../../engine/call.ts';
import { Random } from '../../engine/random.ts';
import type { SnapshotChunk } from '../../engine/snapshot/read.ts';
import { SnapshotFileReader } from '../../engine/snapshot/read-file.ts';
import { loadSnapshot } from '../../engine/snapshot/read-load.ts';
import { SimDisk } from '../sim/simdisk.ts';
import { TestEngine } from '../support/engine.ts';
import { chunksOf, DIRECTORY, headerAt, writeChunks } from '../support/snapshot-files.ts';

const PATH = `${DIRECTORY}/a.mrs`;
const KEYS = 3000;

function filled(): TestEngine {
  const engine = new TestEngine();
  for (let i = 0; i < KEYS; i++) {
    engine.call.db = i % 3;
    const lines = [
      `SET s${i} ${i}`,
      `RPUSH l${i} a b ${i}`,
      `SADD t${i} ${i} x`,
      `HSET h${i} f ${i}`,
      `ZADD z${i} ${i} m`,
    ];
    engine.line(lines[i % lines.length]);
  }
  return engine;
}

/** One line for each database: all its keys and what they hold. */
function contents(engine: TestEngine): string[] {
  return [0, 1, 2].map((db) => {
    engine.call.db = db;
    const lines: string[] = [engine.run('DBSIZE')];
    for (let i = db; i < KEYS; i += 3) {
      const reads = [
        `GET s${i}`,
        `LRANGE l${i} 0 -1`,
        `SMEMBERS t${i}`,
        `HGETALL h${i}`,
        `ZRANGE z${i} 0 -1 WITHSCORES`,
      ];
      lines.push(engine.line(reads[i % reads.length]));
    }
    return lines.join('');
  });
}

function readerOf(chunks: readonly SnapshotChunk[]): SnapshotFileReader {
  const disk = new SimDisk(new Random(1));
  writeChunks(disk, PATH, headerAt(1), chunks);
  return new SnapshotFileReader(disk, PATH);
}

describe('loadSnapshot', () => {
  const engine = filled();
  const chunks = chunksOf(engine, 2000);

  it('makes every key again, whatever the order of the chunks', async () => {
    expect(chunks.length).toBeGreaterThan(20);
    for (const order of [chunks, chunks.toReversed()]) {
      const loaded = new TestEngine({ shards: 3 });
      expect(await loadSnapshot(readerOf(order), loaded.call, () => {})).toBe(KEYS);
      expect(contents(loaded)).toEqual(contents(engine));
      loaded.verify();
    }
  });

  it('tells of its progress, and gives the event loop turns', async () => {
    const source = readerOf(chunks);
    const { bytesAll } = source;
    // Each chunk takes longer than a slice.
    const slow = Object.assign(Object.create(source), {
      next: () => {
        const until = performance.now() + 12;
        while (performance.now() < until);
        return source.next();
      },
    }) as SnapshotFileReader;
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const seen: number[] = [];
    await loadSnapshot(slow, new TestEngine().call, (done, all) => {
      expect(all).toBe(bytesAll);
      seen.push(done);
    });
    clearInterval(timer);
    expect(seen.length).toBeGreaterThan(chunks.length / 2);
    expect(turns).toBeGreaterThan(chunks.length / 4);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(bytesAll);
  });

  it('tells its caller when others may have had the call and the shards', async () => {
    const loaded = new TestEngine();
    // Keys of all databases in one chunk, large enough for many slices.
    const values = new TestEngine();
    for (let i = 0; i < 40_000; i++) {
      values.call.db = i < 20_000 ? 1 : 5;
      values.run('SET', `k${i}`, i);
    }
    const parts = chunksOf(values, 1e9);
    const bytes = Buffer.concat(parts.map((part) => part.bytes));
    const keys = parts.reduce((sum, part) => sum + part.keys, 0);
    let turns = 0;
    let isHeld = false;
    const turn = (): void => {
      turns++;
      isHeld = false;
      loaded.call.db = 2;
      loaded.call.setClock(1);
      pending = setImmediate(turn);
    };
    let pending = setImmediate(turn);
    loaded.call.hashKeyAt = (buf, start, length) => {
      if (!isHeld || loaded.call.nowMs !== 1000) throw new Error('a key is made while others have the shards');
      Call.prototype.hashKeyAt.call(loaded.call, buf, start, length);
    };
    loaded.call.setClock(1000);
    await loadSnapshot(readerOf([{ bytes, keys }]), loaded.call, () => {
      isHeld = true;
    });
    clearImmediate(pending);
    expect(turns).toBeGreaterThan(1);
    const sizes = [1, 2, 5].map((db) => {
      loaded.call.db = db;
      return loaded.run('DBSIZE');
    });
    expect(sizes).toEqual([':20000\r\n', ':0\r\n', ':20000\r\n']);
  });

  it.each([
    ['a chunk with fewer keys than it says', [{ ...chunks[0], keys: chunks[0].keys + 1 }, ...chunks.slice(1)], /has/],
    ['the same keys twice', [...chunks, chunks[3]], /is there already/],
    ['what is no RDB', [{ bytes: Buffer.from('\xfe\x00\x63zzz', 'latin1'), keys: 1 }], /no RDB/],
  ])('refuses %s', async (_title, wrong, words) => {
    const loading = loadSnapshot(readerOf(wrong), new TestEngine().call, () => {});
    await expect(loading).rejects.toThrow(words);
    await expect(loading).rejects.toMatchObject({ code: 'DAMAGED', file: PATH });
  });
});
