/**
 * Loads a snapshot into the shards, on the main thread, at start: the caller holds everything, and clients get -LOADING.
 * Works in slices and gives the event loop a turn between them; a slice is longer than `SLICE_MS` only by its last
 * chunk, which takes some 10 ms (a chunk of one large value: as long as the value takes).
 */
import type { Call } from '../call.ts';
import { loadPairs } from '../rdb/decode.ts';
import { RdbError } from '../rdb/errors.ts';
import { RdbInput } from '../rdb/input.ts';
import { damaged } from './file-errors.ts';
import type { ChunkSource } from './read.ts';

const SLICE_MS = 10;

/**
 * Loads everything, and closes the source; how many keys. `onProgress` is called after each slice. A SnapshotError leaves
 * the shards half filled: the caller empties them or gives up.
 */
export async function loadSnapshot(
  source: ChunkSource,
  call: Call,
  onProgress: (bytesDone: number, bytesAll: number) => void,
): Promise<number> {
  let keys = 0;
  let sliceEnd = performance.now() + SLICE_MS;
  try {
    for (let chunk = await source.next(); chunk !== undefined; chunk = await source.next()) {
      const made = loadChunk(source, call, chunk.bytes);
      if (made !== chunk.keys)
        throw damaged(source.file, source.bytesDone, `a chunk said to have ${chunk.keys} keys has ${made}`);
      keys += made;
      if (performance.now() < sliceEnd) continue;
      onProgress(source.bytesDone, source.bytesAll);
      await new Promise(setImmediate);
      sliceEnd = performance.now() + SLICE_MS;
    }
  } finally {
    await source.close();
  }
  if (keys !== source.footer.keys)
    throw damaged(source.file, source.footer.offset, `${source.footer.keys} keys expected, ${keys} loaded`);
  onProgress(source.bytesAll, source.bytesAll);
  return keys;
}

function loadChunk(source: ChunkSource, call: Call, bytes: Uint8Array): number {
  try {
    return loadPairs(call, new RdbInput(bytes, 0, bytes.length));
  } catch (error) {
    // The bytes are what was written: whoever encoded them, or an older program, made what this one cannot read.
    if (error instanceof RdbError)
      throw damaged(source.file, source.bytesDone, `its chunk is no RDB: ${error.message}`);
    throw error;
  }
}
