/**
 * Snapshots of a node: begun when a client asks for one, when `save` says that one is due, or when the log has grown; one
 * at a time, and what follows when it is durable or has failed. Main thread.
 *
 * They are of two kinds. A *native* one names the last entry of the log that it contains, so that the log behind it can be
 * cut; an RDB file is for other servers. With a log every snapshot that cuts it is native, whatever `save-format` says.
 */
import { join } from 'node:path';
import { COUNTER_DIRTY, COUNTER_FLUSHES, COUNTER_USED_BYTES } from '../engine/arena.ts';
import { NUMBER_BYTES } from '../engine/log/link.ts';
import type { RdbFacts } from '../engine/rdb/write.ts';
import type { BackgroundPool } from '../engine/snapshot/pool.ts';
import { snapshotName } from '../engine/snapshot/retain.ts';
import type { SnapshotTarget, Summary } from '../engine/snapshot/write-file.ts';
import { REDIS_VERSION } from './commands/connection.ts';
import type { Config } from './config.ts';
import type { Dispatcher } from './dispatch.ts';
import type { Logger } from './log.ts';
import type { LogWriter } from './logwriter.ts';
import { type Covered, header, type SnapshotDone, type Snapshotter } from './snapshotter.ts';

/** After a snapshot that failed the next one that is due by itself waits. */
const RETRY_MS = 5000;

export const LOADING_TEXT = 'LOADING Redis is loading the dataset in memory';

/** How a kind of snapshot went, for INFO. */
export class SnapshotRecord {
  ok = true;
  count = 0;
  lastSeconds = -1;
  failuresInRow = 0;
}

export type SnapshotKind = 'save' | 'rewrite';

/** The state that was to be saved is being replaced: that is no failure. */
export class OvertakenError extends Error {}

/** A replica's part in snapshots (net/replica/snapshots.ts). */
export interface GroupSnapshots {
  /** Bytes that the log has grown by since it was last cut. */
  readonly logBytes: number;
  cover(): Covered;
  /** A native snapshot is durable. */
  published(path: string, covered: Covered): void;
}

export class Saving {
  /** Set on a replica. */
  group: GroupSnapshots | undefined = undefined;
  /** Called when a snapshot has succeeded or failed. */
  onOutcome: () => void = () => {};
  /** When the data set was last saved whole, or the node started; ms since 1970. */
  lastSaveMs = Date.now();
  readonly saves = new SnapshotRecord();
  readonly rewrites = new SnapshotRecord();
  /** What kind of snapshot is under way. */
  running: SnapshotKind | undefined = undefined;
  /** Which are to follow it, in this order. */
  private readonly scheduled = new Map<SnapshotKind, { isAwaited: boolean }>();
  readonly snapshotter: Snapshotter;
  /** The log's writer, while there is a log. */
  writer: LogWriter | undefined = undefined;
  /** Without a log: the index that the last snapshot had. */
  index = 0;
  /** Bytes of the log when it was last cut. */
  logBaseBytes = 0;
  /** The log is worth nothing until a snapshot of what was before it is there. */
  needsBase = false;
  private readonly config: Config;
  private readonly dispatcher: Dispatcher;
  private readonly pool: BackgroundPool;
  private readonly log: Logger;
  /** Whether the data set is loaded. */
  private isEnabled = false;
  /** COUNTER_DIRTY of all shards when the last snapshot that succeeded began. */
  private savedDirty = 0;
  /** How often everything had been flushed then. */
  private savedFlushes = 0;
  private triedMs = 0;
  /** Called when the next snapshot of a kind is over. */
  private waiters: { kind: SnapshotKind; resolve: (error: string) => void }[] = [];

  constructor(config: Config, dispatcher: Dispatcher, snapshotter: Snapshotter, pool: BackgroundPool, log: Logger) {
    this.config = config;
    this.dispatcher = dispatcher;
    this.snapshotter = snapshotter;
    this.pool = pool;
    this.log = log;
  }

  /** The data set is loaded, and counts as saved. */
  enable(): void {
    this.isEnabled = true;
    this.savedDirty = this.dirty;
    this.savedFlushes = this.flushes;
    this.lastSaveMs = Date.now();
  }

  private get directory(): string {
    return this.config.get('dir');
  }

  private get dirty(): number {
    let dirty = 0;
    for (const { f64 } of this.dispatcher.call.shards.arenas) dirty += f64[COUNTER_DIRTY];
    return dirty;
  }

  private get flushes(): number {
    return this.dispatcher.call.shards.arenas[0].f64[COUNTER_FLUSHES];
  }

  get changesSinceSave(): number {
    return this.dirty - this.savedDirty;
  }

  /**
   * Begins a snapshot. '' or why it does not. `schedule`: after the one under way, if there is one of the other kind. `isAwaited`: who
   * asked is told how it went, so that writes are not refused when it fails, as they are after one that nobody waits for.
   */
  begin(kind: SnapshotKind, schedule = false, isAwaited = false): string {
    if (!this.isEnabled) return LOADING_TEXT;
    if (this.running === kind) {
      return kind === 'save'
        ? 'ERR Background save already in progress'
        : 'ERR Background append only file rewriting already in progress';
    }
    if (this.running !== undefined) {
      if (!schedule) {
        return "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.";
      }
      this.schedule(kind, isAwaited);
      return '';
    }
    this.running = kind;
    void this.run(kind, isAwaited);
    return '';
  }

  /** One of this kind begins when what is under way, of whatever kind, is over; at once when nothing is. */
  beginBehind(kind: SnapshotKind): void {
    if (this.running === undefined) this.begin(kind);
    else this.schedule(kind, false);
  }

  /** For several who ask there is one; it is not awaited if anybody goes away. */
  private schedule(kind: SnapshotKind, isAwaited: boolean): void {
    const earlier = this.scheduled.get(kind);
    this.scheduled.set(kind, { isAwaited: isAwaited && earlier?.isAwaited !== false });
  }

  isScheduled(kind: SnapshotKind): boolean {
    return this.scheduled.has(kind);
  }

  /** Resolves with '' or an error when the snapshot of this kind that is under way, or scheduled, is over. */
  finished(kind: SnapshotKind): Promise<string> {
    return new Promise((resolve) => this.waiters.push({ kind, resolve }));
  }

  private async run(kind: SnapshotKind, isAwaited: boolean): Promise<void> {
    const record = kind === 'save' ? this.saves : this.rewrites;
    const startedAt = performance.now();
    let error = '';
    let isOvertaken = false;
    this.triedMs = Date.now();
    try {
      const done = await this.take(kind);
      await this.published(kind, done);
      record.count++;
      record.failuresInRow = 0;
      const { keys, fileBytes, path } = done.summary;
      const seconds = (performance.now() - startedAt) / 1000;
      this.log.write('notice', `Snapshot ${path}: ${keys} keys, ${fileBytes} bytes, ${seconds.toFixed(2)} s`);
    } catch (thrown) {
      error = (thrown as Error).message;
      isOvertaken = thrown instanceof OvertakenError;
      if (!isOvertaken) record.failuresInRow++;
      this.log.write(isOvertaken ? 'notice' : 'warning', `The snapshot ${isOvertaken ? 'ends' : 'failed'}: ${error}`);
    }
    if (error === '') record.ok = true;
    else if (!isOvertaken && !isAwaited) record.ok = false;
    record.lastSeconds = Math.floor((performance.now() - startedAt) / 1000);
    this.running = undefined;
    this.onOutcome();
    const concerned = this.waiters.filter((waiter) => waiter.kind === kind);
    this.waiters = this.waiters.filter((waiter) => waiter.kind !== kind);
    for (const { resolve } of concerned) resolve(error);
    for (const [next, { isAwaited: isNextAwaited }] of this.scheduled) {
      this.scheduled.delete(next);
      this.begin(next, false, isNextAwaited);
      break;
    }
  }

  private take(kind: SnapshotKind): Promise<SnapshotDone> {
    const { config, dispatcher } = this;
    let dirty = 0;
    let flushes = 0;
    const cover = (): Covered => {
      dirty = this.dirty;
      flushes = this.flushes;
      if (this.group !== undefined) return this.group.cover();
      const timeMs = dispatcher.settledMs;
      // While a log is about to begin: the index that was left free for this.
      if (dispatcher.log === undefined)
        return { index: this.writer === undefined ? ++this.index : this.index - 1, timeMs };
      dispatcher.log.seal();
      return { index: dispatcher.log.lastIndex, timeMs };
    };
    const isRdb = kind === 'save' && config.get('save-format') === 'rdb';
    return this.snapshotter
      .take(
        cover,
        (covered, id): SnapshotTarget =>
          isRdb
            ? { format: 'rdb', path: join(this.directory, config.get('dbfilename')), facts: this.facts(covered) }
            : {
                format: 'mrs',
                path: join(this.directory, snapshotName(header(covered, id).groups)),
                header: header(covered, id),
              },
      )
      .then((done) => {
        if (this.countsAsSave(kind)) {
          this.savedDirty = dirty;
          this.savedFlushes = flushes;
        }
        return done;
      });
  }

  /** A snapshot that cuts the log is the save that was wanted, unless an RDB file was. */
  private countsAsSave(kind: SnapshotKind): boolean {
    return kind === 'save' || this.config.get('save-format') === 'millrace';
  }

  /** Writes all there is as an RDB file, for other servers. */
  async exportRdb(path: string): Promise<Summary> {
    const cover = (): Covered => ({ index: this.index, timeMs: this.dispatcher.settledMs });
    const done = await this.snapshotter.take(cover, (covered) => ({ format: 'rdb', path, facts: this.facts(covered) }));
    return done.summary;
  }

  private facts(covered: Covered): RdbFacts {
    let usedBytes = 0;
    for (const { f64 } of this.dispatcher.call.shards.arenas) usedBytes += f64[COUNTER_USED_BYTES];
    const createdAtSeconds = Math.floor(covered.timeMs / 1000);
    return { redisVersion: REDIS_VERSION, createdAtSeconds, usedBytes, logIndex: covered.index };
  }

  private async published(kind: SnapshotKind, done: SnapshotDone): Promise<void> {
    if (this.countsAsSave(kind)) this.lastSaveMs = Date.now();
    if (kind === 'save' && this.config.get('save-format') === 'rdb') return;
    this.group?.published(done.summary.path, done);
    this.dropCovered(done);
    await this.removeOlder(done.index);
  }

  /** Snapshots that end before log index `index` go, since there is one now. What cannot be removed stays, and is told. */
  async removeOlder(index: number): Promise<void> {
    try {
      await this.pool.run('removeOlderSnapshots', { directory: this.directory, before: index }, []);
    } catch (error) {
      this.log.write('warning', `Older snapshots are left: ${(error as Error).message}`);
    }
  }

  /** The log lets go of what a snapshot has. */
  private dropCovered(done: SnapshotDone): void {
    if (this.dispatcher.log === undefined || this.writer === undefined) return;
    if (done.index >= this.writer.opened.lastIndex) this.needsBase = false;
    this.writer.drop(done.index);
    this.logBaseBytes = this.writer.numbers[NUMBER_BYTES];
  }

  /** Whether a snapshot is due: by a save point, or by the growth of the log. */
  look(): void {
    if (this.running !== undefined) return;
    const { config } = this;
    const nowMs = Date.now();
    if (!this.saves.ok && nowMs - this.triedMs < RETRY_MS) return;
    const changes = this.changesSinceSave;
    const sinceMs = nowMs - this.lastSaveMs;
    for (const point of config.get('save')) {
      if (changes < point.changes || changes === 0 || sinceMs <= point.seconds * 1000) continue;
      this.log.write('notice', `${point.changes} changes in ${point.seconds} seconds. Saving...`);
      this.begin('save');
      return;
    }
    // What was flushed is not to come back: FLUSHALL is saved at once where nothing but snapshots would tell of it.
    if (config.get('save').length > 0 && this.writer === undefined && this.group === undefined) {
      if (this.flushes !== this.savedFlushes) this.begin('save');
      return;
    }
    if (this.group !== undefined && this.group.logBytes >= config.get('auto-aof-rewrite-min-size')) {
      if (this.rewrites.ok || Date.now() - this.triedMs >= RETRY_MS) this.begin('rewrite');
      return;
    }
    if (this.writer !== undefined && this.rewriteIsDue(this.writer.numbers[NUMBER_BYTES])) this.begin('rewrite');
  }

  private rewriteIsDue(bytes: number): boolean {
    if (this.needsBase) return Date.now() - this.triedMs >= RETRY_MS;
    const percentage = this.config.get('auto-aof-rewrite-percentage');
    if (percentage === 0 || bytes < this.config.get('auto-aof-rewrite-min-size')) return false;
    if (!this.rewrites.ok && Date.now() - this.triedMs < RETRY_MS) return false;
    const base = Math.max(1, this.logBaseBytes);
    return ((bytes - base) * 100) / base >= percentage;
  }
}
