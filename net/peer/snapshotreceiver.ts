/**
 * Takes the pieces of a snapshot that the leader sends (snapshotsender.ts) and puts them in a file, `receiving-<leader>-<index>.tmp`, which
 * is handed over as `received-<number>.tmp`. One at a time: another snapshot, or a later term, takes the place of what is there. Main thread; files are written by Node's own
 * pool, the whole is verified and synced by the node's.
 *
 * A piece is acknowledged when it is in the file, so what is in memory is what the sender has under way: a window. After a
 * restart of this process the transfer begins anew, and what is left of the old one is removed.
 */
import { readdirSync, rmSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '../../engine/log/crc32c.ts';
import { decodeConfig } from '../../engine/raft/config.ts';
import type { ReplicaId, SnapshotMeta } from '../../engine/raft/entry.ts';
import { RaftBytesError } from '../../engine/raft/errors.ts';
import { Message, SNAPSHOT } from '../../engine/raft/message.ts';
import type { BackgroundPool } from '../../engine/snapshot/pool.ts';
import * as wire from '../../proto/messages.ts';
import type { Log, PeerHandlers } from './api.ts';
import type { Send } from './snapshotsender.ts';

export const WINDOW_BYTES = 1024 * 1024;
/** A sender that does not keep to the window is not listened to beyond this. */
const UNWRITTEN_LIMIT = 4 * WINDOW_BYTES;
/** How often the sender is told that the file is still being verified. */
const PATIENCE_MS = 1000;
const LEFT_OVER = /^(receiving-\d+-\d+|received-\d+)\.tmp$/;

class Incoming {
  readonly from: ReplicaId;
  readonly snapshot: number;
  readonly meta: SnapshotMeta;
  path: string;
  /** The sender's, of its last piece. */
  term: number;
  round: number;
  /** It has been asked what there is, and that will be answered when everything received before is written. */
  isAsked = false;
  file: FileHandle | undefined = undefined;
  /** Bytes received, and of those in the file. */
  received = 0;
  written = 0;
  /** There is nothing after `received`. */
  hasAll = false;
  isOver = false;
  /** Writes, one after the other. */
  writes: Promise<unknown> = Promise.resolve();

  constructor(m: wire.SnapshotChunk, meta: SnapshotMeta, path: string) {
    this.from = m.from;
    this.snapshot = m.snapshot;
    this.term = m.term;
    this.round = m.round;
    this.meta = meta;
    this.path = path;
  }

  isOf(m: wire.SnapshotChunk): boolean {
    return m.from === this.from && m.snapshot === this.snapshot && m.index === this.meta.index;
  }
}

/** What an answer takes from the piece that it answers. */
interface Asker {
  readonly from: ReplicaId;
  readonly term: number;
  readonly snapshot: number;
  readonly round: number;
}

export class SnapshotReceiver {
  private readonly group: number;
  private readonly replica: ReplicaId;
  private readonly directory: string;
  private readonly pool: BackgroundPool;
  private readonly send: Send;
  private readonly handlers: Pick<PeerHandlers, 'onSnapshotReceived'>;
  private readonly log: Log;
  private incoming: Incoming | undefined = undefined;
  /** What was received last and handed over: its sender may not have heard so. */
  private done: Incoming | undefined = undefined;
  private received = 0;
  /** Ends when files that were given up are removed: a new one may get the name of one of them. */
  private removed: Promise<unknown> = Promise.resolve();

  constructor(
    group: number,
    replica: ReplicaId,
    directory: string,
    pool: BackgroundPool,
    send: Send,
    handlers: Pick<PeerHandlers, 'onSnapshotReceived'>,
    log: Log,
  ) {
    this.group = group;
    this.replica = replica;
    this.directory = directory;
    this.pool = pool;
    this.send = send;
    this.handlers = handlers;
    this.log = log;
    for (const name of readdirSync(directory)) {
      if (LEFT_OVER.test(name)) rmSync(join(directory, name));
    }
  }

  take(m: wire.SnapshotChunk): void {
    const { incoming, done } = this;
    if (done?.isOf(m)) {
      this.reply(m, wire.SNAPSHOT_DONE, done.received);
    } else if (incoming === undefined) {
      this.begin(m);
    } else if (m.term < incoming.term) {
      this.reply(m, wire.SNAPSHOT_REFUSED, 0);
    } else if (incoming.isOf(m)) {
      incoming.term = m.term;
      incoming.round = m.round;
      this.piece(incoming, m);
    } else {
      this.discard(incoming);
      this.begin(m);
    }
  }

  private begin(m: wire.SnapshotChunk): void {
    let meta: SnapshotMeta;
    try {
      const config = decodeConfig(m.configuration, 0, m.configuration.length);
      meta = { index: m.index, term: m.lastTerm, config, configIndex: m.configurationIndex };
    } catch (error) {
      if (!(error instanceof RaftBytesError)) throw error;
      this.refuse(m, `Receiving a snapshot from replica ${m.from}: ${error.message}`);
      return;
    }
    const incoming = new Incoming(m, meta, join(this.directory, `receiving-${m.from}-${m.index}.tmp`));
    this.incoming = incoming;
    this.log.write('notice', `Receiving the snapshot of index ${m.index} from replica ${m.from}`);
    const opened = this.removed.then(() => open(incoming.path, 'w'));
    this.after(incoming, opened, (file) => {
      incoming.file = file;
      this.acknowledge(incoming);
    });
  }

  /** Goes on when a step is done, behind those begun before; what goes wrong ends the transfer. */
  private after<T>(incoming: Incoming, step: Promise<T>, next: (value: T) => void): void {
    incoming.writes = step.then(
      (value) => next(value),
      (error: Error) => this.fail(incoming, error.message),
    );
  }

  private piece(incoming: Incoming, m: wire.SnapshotChunk): void {
    const { data } = m;
    // Not open yet: that will be said when it is.
    if (incoming.file === undefined) return;
    if (data.length === 0) {
      this.answer(incoming);
      return;
    }
    const unwritten = incoming.received - incoming.written;
    if (m.offset !== incoming.received || incoming.hasAll || unwritten > UNWRITTEN_LIMIT) {
      this.acknowledge(incoming);
      return;
    }
    if (crc32c(data, 0, data.length) !== m.crc) {
      this.fail(incoming, `the piece at offset ${m.offset} has another checksum than it says`);
      return;
    }
    incoming.received += data.length;
    incoming.hasAll = m.last;
    const { file } = incoming;
    const write = incoming.writes.then(() => (incoming.isOver ? undefined : writeAll(file, data, m.offset)));
    this.after(incoming, write, () => {
      incoming.written += data.length;
      if (incoming.isOver) return;
      this.acknowledge(incoming);
      if (incoming.hasAll && incoming.written === incoming.received) this.verify(incoming, file);
    });
  }

  /** Says what there is when everything that came on an earlier connection is in the file. */
  private answer(incoming: Incoming): void {
    incoming.isAsked = true;
    this.after(incoming, incoming.writes, () => {
      incoming.isAsked = false;
      this.acknowledge(incoming);
    });
  }

  private verify(incoming: Incoming, file: FileHandle): void {
    const { path, meta } = incoming;
    const final = join(this.directory, `received-${++this.received}.tmp`);
    const timer = setInterval(() => this.acknowledge(incoming), PATIENCE_MS);
    const verified = file.close().then(async () => {
      incoming.file = undefined;
      const outcome = await this.pool.run('verifySnapshot', path, []);
      if ('error' in outcome) return outcome;
      await rename(path, final);
      incoming.path = final;
      return outcome;
    });
    this.after(
      incoming,
      verified.finally(() => clearInterval(timer)),
      (outcome) => {
        if (incoming.isOver) return;
        if ('error' in outcome) {
          this.fail(incoming, outcome.error.message);
          return;
        }
        const at = outcome.groups.find(({ group }) => group === this.group);
        if (at === undefined || at.index !== meta.index || at.term !== meta.term) {
          this.fail(incoming, 'the file is of another position than its pieces said');
          return;
        }
        this.handOver(incoming);
      },
    );
  }

  private handOver(incoming: Incoming): void {
    const { from, term, meta, path } = incoming;
    incoming.isOver = true;
    this.incoming = undefined;
    this.done = incoming;
    const message = new Message(SNAPSHOT, this.group, from, this.replica, term);
    message.snapshot = meta;
    this.reply(incoming, wire.SNAPSHOT_DONE, incoming.received);
    this.handlers.onSnapshotReceived(message, path);
  }

  private acknowledge(incoming: Incoming): void {
    if (!incoming.isOver && !incoming.isAsked) this.reply(incoming, wire.SNAPSHOT_CONTINUE, incoming.written);
  }

  private reply({ from, term, snapshot, round }: Asker, status: number, offset: number): void {
    this.send(from, {
      type: wire.SNAPSHOT_REPLY,
      group: this.group,
      from: this.replica,
      to: from,
      term,
      snapshot,
      status,
      offset,
      window: WINDOW_BYTES,
      round,
    });
  }

  private refuse(m: Asker, text: string): void {
    this.log.write('warning', text);
    this.reply(m, wire.SNAPSHOT_REFUSED, 0);
  }

  private fail(incoming: Incoming, text: string): void {
    if (incoming.isOver) return;
    this.discard(incoming);
    const { from, meta } = incoming;
    this.refuse(incoming, `Receiving the snapshot of index ${meta.index} from replica ${from} failed: ${text}`);
  }

  /** Ends a transfer, and removes its file when nothing writes to it any more. */
  private discard(incoming: Incoming): void {
    if (incoming.isOver) return;
    incoming.isOver = true;
    if (this.incoming === incoming) this.incoming = undefined;
    this.removed = incoming.writes
      .then(() => incoming.file?.close())
      .then(() => rm(incoming.path, { force: true }))
      .catch((error: Error) => this.log.write('warning', `Removing ${incoming.path}: ${error.message}`));
  }

  close(): void {
    if (this.incoming !== undefined) this.discard(this.incoming);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
    done += bytesWritten;
  }
}
