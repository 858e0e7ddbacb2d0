/**
 * What threads of the background pool do: the entry that Piscina loads, one function a kind of task. Both long-running ones
 * here take messages from a port until they are told to end; between messages the thread sleeps. Disk calls are
 * synchronous: the thread has nothing else to do.
 */
import { realDisk } from '../log/realdisk.ts';
import { releaseChunk } from './chunk.ts';
import { SnapshotError } from './file-errors.ts';
import { stepBack } from './priority.ts';
import type { ReadMessage, ReadReply, ReadTask } from './read.ts';
import { SnapshotFileReader } from './read-file.ts';
import { type WriteMessage, type WriteOutcome, WriteState, type WriteTask } from './write.ts';
import { openTarget, type Summary, type TargetFile } from './write-file.ts';

/**
 * Writes one file from the chunks that come by the port, until 'finish'. After trouble it goes on taking chunks, and
 * throws them away, so that the producers' count of pending bytes stays right.
 */
export function writeSnapshot(task: WriteTask): Promise<WriteOutcome> {
  const { target, port, pending } = task;
  stepBack();
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

/**
 * Reads one file: sends what it says of itself, then as many chunks as there is room for, verified and decompressed, and
 * its end or the first error. Ends when it is told to close.
 */
export function readSnapshot(task: ReadTask): Promise<void> {
  const { path, port } = task;
  let room = task.ahead;
  let reader: SnapshotFileReader | undefined;
  /** Whether the end or an error has been sent. */
  let over = false;

  const send = (reply: ReadReply, moved: ArrayBuffer[] = []): void => port.postMessage(reply, moved);
  const guarded = (work: () => void): void => {
    try {
      work();
    } catch (thrown) {
      if (!(thrown instanceof SnapshotError)) throw thrown;
      over = true;
      send({ kind: 'error', error: thrown.plain() });
    }
  };
  const readAhead = (source: SnapshotFileReader): void => {
    while (room > 0 && !over) {
      const chunk = source.next();
      if (chunk === undefined) {
        over = true;
        send({ kind: 'end' });
        return;
      }
      room--;
      send({ kind: 'chunk', ...chunk, bytesDone: source.bytesDone }, [chunk.bytes.buffer as ArrayBuffer]);
    }
  };

  guarded(() => {
    reader = new SnapshotFileReader(realDisk, path);
    const { header, footer, bytesAll } = reader;
    send({ kind: 'open', header, footer, bytesAll });
    readAhead(reader);
  });
  return new Promise((resolve) => {
    port.on('message', (message: ReadMessage) => {
      if (message === 'close') {
        reader?.close();
        port.close();
        resolve();
        return;
      }
      room++;
      guarded(() => readAhead(reader!));
    });
  });
}
