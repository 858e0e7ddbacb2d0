/**
 * Streams snapshot files to replicas that are too far behind for the log. Main thread; files are read by Node's own pool, so the
 * main thread pays for checksums, the frame and the write: about 0.6 ms per piece.
 *
 * ```
 * sender                                         receiver
 * a piece without bytes: "what do you have?"  ->
 *                                             <- go on from `offset`, at most `window` ahead
 * pieces, while they fit                      ->
 *                                             <- the same after each, when it is in the file
 * the last piece                              ->
 *                                             <- the same again and again while the file is verified, then: done
 * ```
 *
 * A new connection begins with the question again, so nothing is sent twice that has arrived.
 *
 * A snapshot is in no hurry, and everything else on the connection is: how much is under way is halved when pieces take long to be
 * acknowledged, which is how much later a heartbeat behind them arrives; and the main thread gives it a quarter of its time.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { crc32c } from '../../engine/log/crc32c.ts';
import { encodeConfig } from '../../engine/raft/config.ts';
import type { ReplicaId, SnapshotMeta, Term } from '../../engine/raft/entry.ts';
import * as wire from '../../proto/messages.ts';
import type { Log, PeerHandlers, TransferProgress } from './api.ts';
import { TICK_MS } from './link.ts';

const PIECE_BYTES = 256 * 1024;
/** Under way at the beginning, and at least. */
const FIRST_UNDERWAY_BYTES = 128 * 1024;
const LEAST_UNDERWAY_BYTES = 64 * 1024;
/**
 * Pieces acknowledged within this time: more may be under way. Where both nodes are busy, so that it takes long whatever is sent, a
 * shorter one would make the transfer endless.
 */
const SWIFT_MS = 75;
/** Later than this: less. A heartbeat that is so much later still comes before anybody campaigns. */
const SLOW_MS = 150;
/** After the work for a piece the main thread does other things for so many times as long. */
const REST_FACTOR = 3;
/** Without a word from the receiver, or without a connection to it, for so long, a transfer has failed. */
const PATIENCE_TICKS = 10_000 / TICK_MS;
const NO_DATA = new Uint8Array(0);

export type Send = (to: ReplicaId, message: wire.PeerMessage) => boolean;

class Transfer {
  readonly to: ReplicaId;
  readonly term: Term;
  readonly meta: SnapshotMeta;
  readonly path: string;
  readonly config: Uint8Array;
  readonly buffer = new Uint8Array(PIECE_BYTES);
  readonly log: { end: number; sentAtMs: number }[] = [];
  file: FileHandle | undefined = undefined;
  /** Names the file's contents, for the receiver: 0 while it is not open. */
  number = 0;
  sizeBytes = 0;
  /** The receiver has so much, and wants at most `window` on top. */
  acknowledged = 0;
  window = 0;
  sent = 0;
  /** At most so much is under way, as the connection goes. */
  underway = FIRST_UNDERWAY_BYTES;
  /** The receiver has not said yet from where on it wants the file, the `round`th time that it was asked. */
  isAsking = true;
  round = 0;
  isReading = false;
  isOver = false;
  restUntilMs = 0;
  silentTicks = 0;

  constructor(to: ReplicaId, term: Term, meta: SnapshotMeta, path: string) {
    this.to = to;
    this.term = term;
    this.meta = meta;
    this.path = path;
    this.config = encodeConfig(meta.config);
  }
}

/** What was sent to a replica last, so that the same file goes on where it was. */
interface Known {
  readonly key: string;
  readonly number: number;
}

export class SnapshotSender {
  private readonly group: number;
  private readonly replica: ReplicaId;
  private readonly send: Send;
  private readonly handlers: Pick<PeerHandlers, 'onSnapshotSent' | 'onSnapshotFailed'>;
  private readonly log: Log;
  private readonly transfers = new Map<ReplicaId, Transfer>();
  private readonly known = new Map<ReplicaId, Known>();

  constructor(
    group: number,
    replica: ReplicaId,
    send: Send,
    handlers: Pick<PeerHandlers, 'onSnapshotSent' | 'onSnapshotFailed'>,
    log: Log,
  ) {
    this.group = group;
    this.replica = replica;
    this.send = send;
    this.handlers = handlers;
    this.log = log;
  }

  begin(to: ReplicaId, term: Term, meta: SnapshotMeta, path: string): void {
    this.cancel(to);
    const transfer = new Transfer(to, term, meta, path);
    this.transfers.set(to, transfer);
    this.open(transfer).catch((error: Error) => this.fail(transfer, error.message));
  }

  private async open(t: Transfer): Promise<void> {
    const file = await open(t.path, 'r');
    const { size, ino, mtimeMs } = await file.stat();
    if (t.isOver) {
      await file.close();
      return;
    }
    t.file = file;
    t.sizeBytes = size;
    const key = `${t.path} ${t.meta.index} ${size} ${ino} ${mtimeMs}`;
    let known = this.known.get(t.to);
    if (known?.key !== key) {
      known = { key, number: 1 + Math.floor(Math.random() * (2 ** 52 - 1)) };
      this.known.set(t.to, known);
    }
    t.number = known.number;
    this.log.write('notice', `Sending the snapshot of index ${t.meta.index}, ${size} bytes, to replica ${t.to}`);
    this.ask(t);
  }

  /** There is a new connection to this replica, or room on the old one. */
  resume(to: ReplicaId): void {
    const t = this.transfers.get(to);
    if (t !== undefined && t.number !== 0) this.ask(t);
  }

  /** The replica has answered. */
  take(m: wire.SnapshotReply): void {
    const t = this.transfers.get(m.from);
    if (t === undefined || t.number !== m.snapshot || t.term !== m.term || t.round !== m.round) return;
    t.silentTicks = 0;
    if (m.status === wire.SNAPSHOT_DONE) {
      this.end(t);
      // Should it be wanted once more, then it was lost there.
      this.known.delete(t.to);
      this.handlers.onSnapshotSent(t.to, t.meta.index);
    } else if (m.status === wire.SNAPSHOT_CONTINUE && m.offset <= t.sizeBytes) {
      if (t.isAsking || m.offset < t.acknowledged || m.offset > t.sent) {
        t.sent = m.offset;
        t.log.length = 0;
      }
      t.isAsking = false;
      t.acknowledged = m.offset;
      t.window = m.window;
      this.adapt(t);
      this.pump(t);
    } else {
      this.fail(t, 'it does not want it');
    }
  }

  private adapt(t: Transfer): void {
    let slowestMs = -1;
    while (t.log.length > 0 && t.log[0].end <= t.acknowledged) {
      slowestMs = Math.max(slowestMs, performance.now() - t.log.shift()!.sentAtMs);
    }
    if (slowestMs < 0) return;
    if (slowestMs > SLOW_MS) t.underway = Math.max(LEAST_UNDERWAY_BYTES, t.underway / 2);
    else if (slowestMs < SWIFT_MS) t.underway = Math.min(t.window, 2 * t.underway);
  }

  private pump(t: Transfer): void {
    if (t.isOver || t.isAsking || t.isReading || t.sent >= t.sizeBytes) return;
    const limit = Math.max(Math.min(t.window, t.underway), 1);
    const length = Math.min(PIECE_BYTES, Math.ceil(limit / 2), t.sizeBytes - t.sent);
    if (t.sent > t.acknowledged && t.sent + length - t.acknowledged > limit) return;
    const restMs = t.restUntilMs - performance.now();
    t.isReading = true;
    if (restMs > 0) setTimeout(() => this.read(t, length), restMs);
    else this.read(t, length);
  }

  private read(t: Transfer, length: number): void {
    const { sent } = t;
    if (t.isOver || t.isAsking || sent >= t.sizeBytes) {
      t.isReading = false;
      return;
    }
    t.file!.read(t.buffer, 0, length, sent).then(
      ({ bytesRead }) => {
        t.isReading = false;
        if (t.isOver) return;
        if (bytesRead === 0) this.fail(t, 'the file has become shorter');
        // Otherwise there is a new connection, on which something else is wanted.
        else if (!t.isAsking && t.sent === sent) this.piece(t, t.buffer.subarray(0, bytesRead));
        this.pump(t);
      },
      (error: Error) => {
        t.isReading = false;
        this.fail(t, error.message);
      },
    );
  }

  private piece(t: Transfer, data: Uint8Array): void {
    const now = performance.now();
    const end = t.sent + data.length;
    if (!this.sendPiece(t, data)) {
      // Whoever connects again is asked again; one that does not listen now may do so later.
      t.isAsking = true;
      return;
    }
    t.sent = end;
    const doneMs = performance.now();
    t.log.push({ end, sentAtMs: doneMs });
    t.restUntilMs = doneMs + REST_FACTOR * (doneMs - now);
  }

  private ask(t: Transfer): void {
    t.isAsking = true;
    t.round++;
    this.sendPiece(t, NO_DATA);
  }

  private sendPiece(t: Transfer, data: Uint8Array): boolean {
    const offset = t.isAsking ? t.acknowledged : t.sent;
    return this.send(t.to, {
      type: wire.SNAPSHOT_CHUNK,
      group: this.group,
      from: this.replica,
      to: t.to,
      term: t.term,
      snapshot: t.number,
      index: t.meta.index,
      lastTerm: t.meta.term,
      offset,
      last: !t.isAsking && offset + data.length === t.sizeBytes,
      crc: crc32c(data, 0, data.length),
      configurationIndex: t.meta.configIndex,
      configuration: t.config,
      data,
      round: t.round,
    });
  }

  /** Time passes. */
  tick(): void {
    for (const t of this.transfers.values()) {
      if (++t.silentTicks > PATIENCE_TICKS) this.fail(t, 'nothing heard of it for too long');
    }
  }

  progress(to: ReplicaId): TransferProgress | undefined {
    const t = this.transfers.get(to);
    return t && { index: t.meta.index, sizeBytes: t.sizeBytes, doneBytes: t.acknowledged };
  }

  private fail(t: Transfer, text: string): void {
    if (t.isOver) return;
    this.end(t);
    this.log.write('warning', `Sending the snapshot of index ${t.meta.index} to replica ${t.to} failed: ${text}`);
    this.handlers.onSnapshotFailed(t.to);
  }

  private end(t: Transfer): void {
    t.isOver = true;
    if (this.transfers.get(t.to) === t) this.transfers.delete(t.to);
    t.file?.close().catch(() => {});
  }

  cancel(to: ReplicaId): void {
    const t = this.transfers.get(to);
    if (t !== undefined) this.end(t);
  }

  stop(): void {
    for (const t of [...this.transfers.values()]) this.end(t);
  }
}
