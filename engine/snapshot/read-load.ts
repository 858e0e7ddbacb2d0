/**
 * Loads a snapshot into the shards at start, by several threads at once: each reads the whole file and makes the keys of its
 * own shards, while the caller holds everything. What they do twice, decompressing and parsing, is about a third of the
 * work.
 */
import { ArenaFullError } from '../alloc.ts';
import type { Call } from '../call.ts';
import { ItemLoader } from '../rdb/decode.ts';
import { NO_ROOM_TEXT, RdbError } from '../rdb/errors.ts';
import { RdbInput } from '../rdb/input.ts';
import { damaged, SnapshotError } from './file-errors.ts';
import type { ChunkSource, SnapshotChunk } from './read.ts';

const SLICE_MS = 10;
/** Items between two looks at the clock. */
const STEP_ITEMS = 256;

/**
 * Loads all keys of the shards [from, to), and closes the source; how many keys. `onSlice` is called before the keys of a
 * slice, with how far it has come; between slices the event loop gets a turn. A SnapshotError leaves the shards half filled: the caller empties them or gives up.
 */
export async function loadSnapshot(
  source: ChunkSource,
  call: Call,
  onSlice: (bytesDone: number, bytesAll: number) => void,
  from = 0,
  to = call.shards.arenas.length,
): Promise<number> {
  const loader = new ItemLoader({ mostKeys: source.footer.keys, from, to });
  const { report } = loader;
  const { nowMs } = call;
  let sliceEnd = performance.now() + SLICE_MS;
  const begin = (db: number): void => {
    // The call may have been used for something else, and a chunk names its database only where that changes.
    call.db = db;
    call.setClock(nowMs);
    onSlice(source.bytesDone, source.bytesAll);
  };
  try {
    for (let chunk = await source.next(); chunk !== undefined; chunk = await source.next()) {
      const before = report.keys + report.elsewhere;
      const input = new RdbInput(chunk.bytes, 0, chunk.bytes.length);
      begin(call.db);
      for (let isMore = true; isMore; ) {
        isMore = loadSome(source, loader, call, input);
        if (performance.now() < sliceEnd) continue;
        const { db } = call;
        await new Promise(setImmediate);
        begin(db);
        sliceEnd = performance.now() + SLICE_MS;
      }
      verifyKeys(source, chunk, report.keys + report.elsewhere - before);
    }
  } finally {
    await source.close();
  }
  // The footer's count was compared with those of the chunks at the end, and theirs with what was made of them.
  onSlice(source.bytesAll, source.bytesAll);
  return report.keys;
}

/** Loads the next items of a chunk; whether there are more. */
function loadSome(source: ChunkSource, loader: ItemLoader, call: Call, input: RdbInput): boolean {
  try {
    for (let i = 0; i < STEP_ITEMS && input.at < input.end; i++) loader.load(call, input);
  } catch (error) {
    // The bytes are what was written, so whoever encoded them is another program, or has made a mistake.
    if (error instanceof ArenaFullError) throw new SnapshotError('IO', `${source.file}: ${NO_ROOM_TEXT}`, source.file);
    if (!(error instanceof RdbError)) throw error;
    if (error.code === 'BAD_DATABASE') throw new SnapshotError('IO', `${source.file}: ${error.message}`, source.file);
    throw damaged(source.file, source.bytesDone, `a chunk is no RDB: ${error.message}`);
  }
  return input.at < input.end;
}

function verifyKeys(source: ChunkSource, chunk: SnapshotChunk, made: number): void {
  if (made !== chunk.keys)
    throw damaged(source.file, source.bytesDone, `a chunk said to have ${chunk.keys} keys has ${made}`);
}
