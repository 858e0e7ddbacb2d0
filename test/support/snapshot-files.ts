/** Snapshot files for tests: chunks of random bytes, written to any disk, and read back whole. */
import { tableOf } from '../../engine/keyspace.ts';
import type { Disk } from '../../engine/log/disk.ts';
import type { Random } from '../../engine/random.ts';
import { encodePair } from '../../engine/rdb/encode.ts';
import { RDB_OPCODE_SELECTDB } from '../../engine/rdb/opcodes.ts';
import { RdbOutput } from '../../engine/rdb/output.ts';
import type { SnapshotHeader } from '../../engine/snapshot/file.ts';
import type { ChunkSource, SnapshotChunk } from '../../engine/snapshot/read.ts';
import { SnapshotFileReader } from '../../engine/snapshot/read-file.ts';
import { openTarget, type Summary } from '../../engine/snapshot/write-file.ts';
import { TableWalk } from '../../engine/table.ts';
import type { TestEngine } from './engine.ts';

export const DIRECTORY = '/data';

const DATABASES = 16;

export function headerAt(index: number, id = '5f3e9c1a-8d24-4b7e-9a10-c2d3e4f50617'): SnapshotHeader {
  return {
    id,
    timeMs: 1_764_000_000_123,
    groups: [{ group: 0, index, term: 7 }],
    creator: 'millrace 0.1.0',
    config: new Uint8Array(0),
  };
}

/** Bytes that shrink, as values do, unless `noise`: then they do not. */
export function chunkOf(random: Random, length: number, noise = false): SnapshotChunk {
  const bytes = new Uint8Array(new SharedArrayBuffer(length));
  for (let i = 0; i < length; i++) bytes[i] = random.below(noise ? 256 : 4);
  return { bytes, keys: random.below(10_000) };
}

export function writeChunks(
  disk: Disk,
  path: string,
  header: SnapshotHeader,
  chunks: readonly SnapshotChunk[],
): Summary {
  const file = openTarget(disk, { format: 'mrs', path, header });
  try {
    for (const { bytes, keys } of chunks) file.chunk(bytes, keys);
    return file.publish();
  } catch (error) {
    file.discard();
    throw error;
  }
}

/** The keys of all databases of an engine as chunks of at least `sizeBytes`, but for the last. */
export function chunksOf(engine: TestEngine, sizeBytes: number): SnapshotChunk[] {
  const chunks: SnapshotChunk[] = [];
  const out = new RdbOutput();
  const walk = new TableWalk();
  let keys = 0;
  const end = (): void => {
    if (keys > 0) chunks.push({ bytes: out.u8.slice(0, out.length), keys });
    out.length = 0;
    keys = 0;
  };
  for (let db = 0; db < DATABASES; db++) {
    for (const arena of engine.shards.arenas) {
      const t = tableOf(arena, db);
      if (t === 0) continue;
      walk.start();
      for (let record = walk.next(arena, t); record !== 0; record = walk.next(arena, t)) {
        if (keys === 0) {
          out.byte(RDB_OPCODE_SELECTDB);
          out.byte(db);
        }
        encodePair(arena, record, out);
        keys++;
        if (out.length >= sizeBytes) end();
      }
    }
    end();
  }
  return chunks;
}

/** All chunks of a file. */
export function readChunks(disk: Disk, path: string): SnapshotChunk[] {
  const reader = new SnapshotFileReader(disk, path);
  const chunks: SnapshotChunk[] = [];
  try {
    for (let chunk = reader.next(); chunk !== undefined; chunk = reader.next()) chunks.push(chunk);
  } finally {
    reader.close();
  }
  return chunks;
}

export async function drain(source: ChunkSource): Promise<SnapshotChunk[]> {
  const chunks: SnapshotChunk[] = [];
  for (let chunk = await source.next(); chunk !== undefined; chunk = await source.next()) chunks.push(chunk);
  return chunks;
}

export function sameChunks(a: readonly SnapshotChunk[], b: readonly SnapshotChunk[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ bytes, keys }, i) => keys === b[i].keys && Buffer.compare(bytes, b[i].bytes) === 0)
  );
}
