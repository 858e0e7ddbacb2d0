/**
 * What threads of the background pool do: the entry that Piscina loads, one function a kind of task. The one that writes
 * takes messages from a port until it is told to end; between messages the thread sleeps. Disk calls are synchronous: the
 * thread has nothing else to do.
 */
import './background.ts';
import { Call } from '../call.ts';
import { realDisk } from '../log/realdisk.ts';
import { Settings } from '../settings.ts';
import { Shards } from '../shards.ts';
import { releaseChunk } from './chunk.ts';
import type { GroupPosition } from './file.ts';
import { onDisk, type PlainSnapshotError, SnapshotError } from './file-errors.ts';
import { SnapshotFileReader } from './read-file.ts';
import { loadSnapshot } from './read-load.ts';
import { removeOlder } from './retain.ts';
import { type WriteMessage, type WriteOutcome, WriteState, type WriteTask } from './write.ts';
import { openTarget, type Summary, type TargetFile } from './write-file.ts';

/** After each chunk. A thread that compresses without end keeps its processor for 4 to 5 ms at a time, whoever wants it. */
const REST_MS = 0.05;
const never = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes one file from the chunks that come by the port, until 'finish'. After trouble it goes on taking chunks, and
 * throws them away, so that the producers' count of pending bytes stays right.
 */
export function writeSnapshot(task: WriteTask): Promise<WriteOutcome> {
  const { target, port, pending } = task;
  const state = new WriteState(task.state);
  let file: TargetFile | undefined;
  let error: SnapshotError | undefined;

  const guarded = (work: () => void): void => {
    if (error !== undefined) return;
    try {
      work();
    } catch (thrown) {
      if (!(thrown instanceof SnapshotError)) throw thrown;
      error = thrown;
      file?.discard();
      if (error.code !== 'ABORTED') port.postMessage(error.plain());
    }
  };
  guarded(() => {
    file = openTarget(realDisk, target, () => state.stopped);
  });
  return new Promise((resolve) => {
    port.on('message', (message: WriteMessage) => {
      if (message !== 'finish') {
        const { chunk, keys } = message;
        guarded(() => file!.chunk(chunk, keys));
        state.takenBytes += chunk.length;
        if (file !== undefined) state.writtenBytes = file.bytesWritten;
        releaseChunk(chunk, pending);
        Atomics.wait(never, 0, 0, REST_MS);
        return;
      }
      let summary: Summary | undefined;
      guarded(() => {
        summary = file!.publish();
      });
      port.close();
      resolve(summary !== undefined ? { summary } : { error: error!.plain() });
    });
  });
}

/** What a thread loads of a snapshot: the keys of the shards [from, to). The caller holds their locks. */
export interface LoadTask {
  path: string;
  arenas: SharedArrayBuffer[];
  settings: SharedArrayBuffer;
  from: number;
  to: number;
  /** What `setClock` gets: the access clocks of the keys begin there. */
  nowMs: number;
  /** f64, one per thread: bytes of the file this one is done with. At `slot`. */
  progress: SharedArrayBuffer;
  slot: number;
}

export type LoadOutcome = { keys: number } | { error: PlainSnapshotError };

export async function loadSnapshotShare(task: LoadTask): Promise<LoadOutcome> {
  const done = new Float64Array(task.progress);
  const call = new Call(new Shards(task.arenas), new Settings(task.settings));
  call.setClock(task.nowMs);
  try {
    const reader = new SnapshotFileReader(realDisk, task.path);
    const keys = await loadSnapshot(
      reader,
      call,
      (bytes) => {
        done[task.slot] = bytes;
      },
      task.from,
      task.to,
    );
    return { keys };
  } catch (thrown) {
    if (!(thrown instanceof SnapshotError)) throw thrown;
    return { error: thrown.plain() };
  }
}

export type VerifyOutcome = { groups: readonly GroupPosition[] } | { error: PlainSnapshotError };

/** Reads a snapshot that came from elsewhere to its end, so that it is known to be whole, and syncs it; the positions it stands at. */
export function verifySnapshot(path: string): VerifyOutcome {
  try {
    const reader = new SnapshotFileReader(realDisk, path);
    try {
      while (reader.next() !== undefined);
    } finally {
      reader.close();
    }
    onDisk(() => {
      const file = realDisk.open(path, 'write');
      try {
        file.sync();
      } finally {
        file.close();
      }
    });
    return { groups: reader.header.groups };
  } catch (thrown) {
    if (!(thrown instanceof SnapshotError)) throw thrown;
    return { error: thrown.plain() };
  }
}

/**
 * Unlinks the snapshots that end before log index `before`; how many. Not on the main thread: to give back the blocks of a
 * gigabyte takes the file system tens of milliseconds.
 */
export function removeOlderSnapshots({ directory, before }: { directory: string; before: number }): number {
  return removeOlder(realDisk, directory, before);
}
