import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { realDisk } from '../../engine/log/realdisk.ts';
import { Random } from '../../engine/random.ts';
import { SnapshotError } from '../../engine/snapshot/file-errors.ts';
import { BackgroundPool } from '../../engine/snapshot/pool.ts';
import { SnapshotFileReader } from '../../engine/snapshot/read-file.ts';
import { removeTemporary, snapshotName } from '../../engine/snapshot/retain.ts';
import { SnapshotWriter } from '../../engine/snapshot/write.ts';
import type { SnapshotTarget } from '../../engine/snapshot/write-file.ts';
import { TestEngine } from '../support/engine.ts';
import { RedisServer, redisAvailable } from '../support/redis.ts';
import { chunkOf, chunksOf, drain, headerAt, readChunks, sameChunks, writeChunks } from '../support/snapshot-files.ts';

const MIB = 1024 * 1024;
const pool = new BackgroundPool();
const pending = new Int32Array(new SharedArrayBuffer(4));
let directory = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-snapshot-'));
  pending[0] = 0;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));
afterAll(() => pool.close());

function targetAt(index: number): SnapshotTarget {
  const header = headerAt(index);
  return { format: 'mrs', path: join(directory, snapshotName(header.groups)), header };
}

/** Small file systems can be made by root alone, and not in every container. */
function canMount(): boolean {
  const probe = mkdtempSync(join(tmpdir(), 'millrace-mount-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', probe]).status === 0;
  if (mounted) spawnSync('umount', [probe]);
  else console.log('skipped: no file system of its own can be mounted here');
  rmSync(probe, { recursive: true, force: true });
  return mounted;
}

/** Hands over a chunk as a producer does. */
function give(writer: SnapshotWriter, bytes: Uint8Array, keys: number): void {
  Atomics.add(pending, 0, bytes.length);
  writer.write(bytes, keys);
}

async function rejection(promise: Promise<unknown>): Promise<SnapshotError> {
  const error = await promise.then(
    () => undefined,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(SnapshotError);
  return error as SnapshotError;
}

describe('SnapshotWriter', () => {
  it('writes what SnapshotFileReader reads, file after file', async () => {
    const random = new Random(1);
    const writer = new SnapshotWriter(pool, pending);
    for (const index of [1, 2]) {
      const chunks = Array.from({ length: 40 }, () =>
        chunkOf(random, 1 + random.below(300_000), random.below(2) === 0),
      );
      const target = targetAt(index);
      writer.start(target);
      for (const { bytes, keys } of chunks) give(writer, bytes, keys);
      const summary = await writer.finish();
      const rawBytes = chunks.reduce((sum, { bytes }) => sum + bytes.length, 0);
      expect(summary).toMatchObject({ path: target.path, chunks: 40, rawBytes, keys: writer.keys });
      expect(writer.bytesIn).toBe(rawBytes);
      expect(writer.bytesWritten).toBeGreaterThan(0);
      expect(writer.bytesWritten).toBeLessThanOrEqual(summary.fileBytes);
      expect(pending[0]).toBe(0);

      const reader = new SnapshotFileReader(realDisk, target.path);
      expect(reader.header).toMatchObject(headerAt(index));
      expect(sameChunks(await drain(reader), chunks)).toBe(true);
      expect(await reader.next()).toBeUndefined();
      expect(reader.bytesAll).toBe(summary.fileBytes);
      await reader.close();
    }
    expect(readdirSync(directory)).toHaveLength(2);
  });

  it('makes the file whole for a reader without threads as well', async () => {
    const writer = new SnapshotWriter(pool, pending);
    const target = targetAt(1);
    const chunk = chunkOf(new Random(2), 10_000);
    writer.start(target);
    give(writer, chunk.bytes, chunk.keys);
    await writer.finish();
    expect(sameChunks(readChunks(realDisk, target.path), [chunk])).toBe(true);
  });

  it('throws a file away in the middle', async () => {
    const random = new Random(3);
    const writer = new SnapshotWriter(pool, pending);
    writeChunks(realDisk, targetAt(1).path, headerAt(1), []);
    writer.start(targetAt(1));
    for (let i = 0; i < 30; i++) give(writer, chunkOf(random, 200_000, true).bytes, 1);
    const aborted = writer.abort();
    give(writer, chunkOf(random, 1000).bytes, 1);
    await aborted;
    expect(pending[0]).toBe(0);
    expect(readdirSync(directory)).toEqual([snapshotName(headerAt(1).groups)]);
    expect(readChunks(realDisk, targetAt(1).path)).toEqual([]);
    expect(() => writer.write(new Uint8Array(1), 1)).toThrow('is idle');

    writer.start(targetAt(2));
    give(writer, chunkOf(random, 1000).bytes, 1);
    await writer.finish();
    expect(readdirSync(directory)).toHaveLength(2);
  });

  it('tells of trouble at once, swallows what still comes, and fails at the end', async () => {
    const writer = new SnapshotWriter(pool, pending);
    const told = new Promise<SnapshotError>((resolve) => {
      writer.onError = resolve;
    });
    const target = { ...targetAt(1), path: join(directory, 'none', 'snapshot.mrs') };
    writer.start(target);
    expect(await told).toMatchObject({ name: 'SnapshotError', code: 'IO' });
    for (let i = 0; i < 5; i++) give(writer, new Uint8Array(new SharedArrayBuffer(1000)), 1);
    expect(await rejection(writer.finish())).toMatchObject({ code: 'IO', file: `${target.path}.millrace-tmp` });
    expect(pending[0]).toBe(0);
  });

  it('survives the death of its thread', async () => {
    const own = new BackgroundPool();
    const writer = new SnapshotWriter(own, pending);
    const random = new Random(4);
    writer.start(targetAt(1));
    give(writer, chunkOf(random, 100_000).bytes, 1);
    while (writer.bytesWritten === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    for (let i = 0; i < 20; i++) give(writer, chunkOf(random, 100_000).bytes, 1);
    await own.destroy();
    give(writer, chunkOf(random, 1000).bytes, 1);
    expect(await rejection(writer.finish())).toMatchObject({ code: 'THREAD' });
    expect(pending[0]).toBe(0);
    expect(removeTemporary(realDisk, directory)).toBe(1);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('fails by a mistake of ours in the thread, and the pool goes on', async () => {
    const writer = new SnapshotWriter(pool, pending);
    const chunk = chunkOf(new Random(9), 1000);
    writer.start(targetAt(1));
    give(writer, new Uint8Array(new SharedArrayBuffer(0)), 0);
    give(writer, chunk.bytes, 1);
    const error = await rejection(writer.finish());
    expect(error).toMatchObject({ code: 'THREAD' });
    expect(error.message).toContain('a chunk of 0 bytes');
    expect(pending[0]).toBe(0);
    writer.start(targetAt(1));
    give(writer, chunk.bytes, 1);
    expect(await writer.finish()).toMatchObject({ chunks: 1 });
    expect(readdirSync(directory)).toHaveLength(1);
  });

  it('stores a value of 300 MiB, without holding it twice', async () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(300 * MIB));
    for (let at = 0; at < bytes.length; at += 4096) bytes[at] = at >>> 12;
    const before = process.resourceUsage().maxRSS * 1024;
    const writer = new SnapshotWriter(pool, pending);
    const target = targetAt(1);
    writer.start(target);
    give(writer, bytes, 1);
    expect(await writer.finish()).toMatchObject({ rawBytes: 300 * MIB, chunks: 1, keys: 1 });
    expect(process.resourceUsage().maxRSS * 1024 - before).toBeLessThan(100 * MIB);
    const reader = new SnapshotFileReader(realDisk, target.path);
    const chunk = await reader.next();
    expect(chunk?.keys).toBe(1);
    expect(Buffer.compare(chunk!.bytes, bytes)).toBe(0);
    expect(await reader.next()).toBeUndefined();
    await reader.close();
  }, 60_000);
});

describe('a full disk', () => {
  it.skipIf(!canMount())('fails the file with its word, and leaves the one before it', async () => {
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', directory]).status).toBe(0);
    try {
      const random = new Random(8);
      const old = [chunkOf(random, 10_000)];
      writeChunks(realDisk, targetAt(1).path, headerAt(1), old);
      const facts = { redisVersion: '7.0.15', createdAtSeconds: 0, usedBytes: 0 };
      for (const target of [
        targetAt(1),
        targetAt(2),
        { format: 'rdb' as const, path: join(directory, 'dump.rdb'), facts },
      ]) {
        const writer = new SnapshotWriter(pool, pending);
        writer.start(target);
        for (let i = 0; i < 10; i++) give(writer, chunkOf(random, 500_000, true).bytes, 1);
        const error = await rejection(writer.finish());
        expect(error).toMatchObject({ code: 'NO_SPACE' });
        expect(error.message).toContain('no space left');
        expect(pending[0]).toBe(0);
        expect(readdirSync(directory)).toEqual([snapshotName(headerAt(1).groups)]);
        expect(sameChunks(readChunks(realDisk, targetAt(1).path), old)).toBe(true);
      }
    } finally {
      spawnSync('umount', [directory]);
    }
  });
});

describe('a dump.rdb', () => {
  it.skipIf(!redisAvailable)('is loaded by redis-server', async () => {
    const engine = new TestEngine();
    for (let i = 0; i < 2000; i++) engine.run('SET', `key:${i}`, `value ${i}`.repeat(1 + (i % 30)));
    engine.call.db = 3;
    for (let i = 0; i < 100; i++) engine.run('HSET', `hash:${i}`, 'field', i, 'other', 'x'.repeat(i));
    engine.run('SET', 'ends', '1', 'PXAT', 4_000_000_000_000);

    const path = join(directory, 'dump.rdb');
    const writer = new SnapshotWriter(pool, pending);
    const facts = { redisVersion: '7.0.15', createdAtSeconds: 1_764_000_000, usedBytes: 1_000_000 };
    writer.start({ format: 'rdb', path, facts });
    const chunks = chunksOf(engine, 5000);
    expect(chunks.length).toBeGreaterThan(20);
    for (const { bytes, keys } of chunks.reverse()) give(writer, bytes, keys);
    expect(await writer.finish()).toMatchObject({ path, keys: 2101, fileBytes: statSync(path).size });
    expect(readdirSync(directory)).toEqual(['dump.rdb']);

    const server = await RedisServer.start(['--dir', directory, '--dbfilename', 'dump.rdb']);
    try {
      const client = await server.connect();
      expect(await client.run('DBSIZE')).toBe(':2000\r\n');
      for (const i of [0, 1, 777, 1999]) {
        engine.call.db = 0;
        expect(await client.run('GET', `key:${i}`)).toBe(engine.run('GET', `key:${i}`));
      }
      await client.run('SELECT', 3);
      expect(await client.run('DBSIZE')).toBe(':101\r\n');
      expect(await client.run('HGET', 'hash:99', 'other')).toBe(`$99\r\n${'x'.repeat(99)}\r\n`);
      expect(await client.run('PEXPIRETIME', 'ends')).toBe(':4000000000000\r\n');
      client.close();
    } finally {
      server.stop();
    }
  });
});

describe('a snapshot loaded by several threads', () => {
  const SHARDS = 5;

  function load(engine: TestEngine, path: string, from: number, to: number) {
    return pool.run(
      'loadSnapshotShare',
      {
        path,
        arenas: engine.shards.arenas.map((arena) => arena.buffer),
        settings: engine.settings.buffer,
        from,
        to,
        nowMs: Date.now(),
        progress: new SharedArrayBuffer(8),
        slot: 0,
      },
      [],
    );
  }

  it('has every key once, whatever share each thread has', async () => {
    const engine = new TestEngine({ shards: 3 });
    for (let i = 0; i < 3000; i++) engine.run('SET', `key:${i}`, `value ${i}`);
    engine.call.db = 5;
    for (let i = 0; i < 200; i++) engine.run('RPUSH', `list:${i}`, i, 'x'.repeat(i));
    const path = join(directory, 'a.mrs');
    writeChunks(realDisk, path, headerAt(1), chunksOf(engine, 5000));

    for (const shares of [
      [0, 5],
      [0, 2, 5],
      [0, 1, 2, 3, 4, 5],
    ]) {
      const loaded = new TestEngine({ shards: SHARDS });
      const outcomes = await Promise.all(shares.slice(1).map((to, i) => load(loaded, path, shares[i], to)));
      expect(outcomes.reduce((sum, outcome) => sum + ('keys' in outcome ? outcome.keys : Number.NaN), 0)).toBe(3200);
      loaded.verify();
      expect(loaded.run('DBSIZE')).toBe(':3000\r\n');
      for (const i of [0, 1, 2, 3, 1500, 2999]) expect(loaded.run('GET', `key:${i}`)).toContain(`value ${i}`);
      loaded.call.db = 5;
      expect(loaded.run('DBSIZE')).toBe(':200\r\n');
      for (let i = 0; i < 200; i++) expect(loaded.run('LLEN', `list:${i}`)).toBe(':2\r\n');
    }
  });

  it('is refused by each of them when it is damaged', async () => {
    const random = new Random(5);
    const path = join(directory, 'a.mrs');
    const chunks = Array.from({ length: 10 }, () => chunkOf(random, 5000, true));
    const { fileBytes } = writeChunks(realDisk, path, headerAt(1), chunks);
    const file = realDisk.open(path, 'write');
    file.write(Uint8Array.of(1, 2, 3), 0, 3, fileBytes - 8000);
    file.close();
    const engine = new TestEngine({ shards: SHARDS });
    for (const outcome of await Promise.all([load(engine, path, 0, 2), load(engine, path, 2, 5)])) {
      expect('error' in outcome && outcome.error.code).toBe('DAMAGED');
    }
  });
});

describe('BackgroundPool', () => {
  it('has one thread from the start, and others only while there is work for them', async () => {
    const own = new BackgroundPool();
    expect(own.threads).toBe(1);
    const writers = [new SnapshotWriter(own, pending), new SnapshotWriter(own, pending)];
    writers.forEach((writer, i) => {
      writer.start(targetAt(i + 1));
    });
    await Promise.all(writers.map((writer) => writer.finish()));
    expect(own.threads).toBe(2);
    for (let waited = 0; own.threads > 1 && waited < 5000; waited += 50) await new Promise((r) => setTimeout(r, 50));
    expect(own.threads).toBe(1);
    await own.close();
  });
});
