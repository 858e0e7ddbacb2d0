/**
 * What makes a node durable, put together: loads at start, keeps the log, takes snapshots when they are asked for or due,
 * and tells INFO about it. Main thread; one per node.
 *
 * Snapshots are of two kinds. A *native* one names the last entry of the log that it contains, so that the log behind it can
 * be cut; an RDB file is for other servers. With a log every snapshot that cuts it is native, whatever `save-format` says.
 */
import { join } from 'node:path';
import { COUNTER_DIRTY, COUNTER_USED_BYTES } from '../engine/arena.ts';
import { type DirectoryLock, lockDirectory } from '../engine/log/dirlock.ts';
import { LogError } from '../engine/log/errors.ts';
import type { LogFront } from '../engine/log/front.ts';
import { NUMBER_BYTES } from '../engine/log/link.ts';
import { realDisk } from '../engine/log/realdisk.ts';
import type { RdbFacts } from '../engine/rdb/write.ts';
import { BackgroundPool } from '../engine/snapshot/pool.ts';
import { retain, snapshotName } from '../engine/snapshot/retain.ts';
import type { SnapshotTarget, Summary } from '../engine/snapshot/write-file.ts';
import { REDIS_VERSION } from './commands/connection.ts';
import type { Config } from './config.ts';
import type { Dispatcher } from './dispatch.ts';
import type { Logger } from './log.ts';
import { LogWriter } from './logwriter.ts';
import { type Loaded, type Loading, Recovery } from './recovery.ts';
import { type Covered, header, type SnapshotDone, Snapshotter } from './snapshotter.ts';
import type { WorkerPool } from './workers.ts';

/** How often it is looked whether a snapshot is due. */
const CRON_MS = 100;
/** After a snapshot that failed the next one that is due by itself waits. */
const RETRY_MS = 5000;
const KEPT_SNAPSHOTS = 1;
/** How often it is looked whether there is room for entries that wait, before the log is closed. */
const DRAIN_MS = 2;

export const LOADING_TEXT = 'LOADING Redis is loading the dataset in memory';
const SNAPSHOT_FAILED_TEXT =
  "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. " +
  'Commands that may modify the data set are disabled, because this instance is configured to report errors during ' +
  'writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.';

const LOG_FAILED_TEXT = 'MISCONF Errors writing to the AOF file: ';

/** How a kind of snapshot went, for INFO. */
export class SnapshotRecord {
  ok = true;
  count = 0;
  lastSeconds = -1;
  failuresInRow = 0;
}

export type SnapshotKind = 'save' | 'rewrite';

export class Persistence {
  /** Set while the node loads. */
  loading: Loading | undefined = undefined;
  loaded: Loaded = { index: 0, lastMs: 0, keys: 0, expiredKeys: 0, fromRdb: false };
  /** When the data set was last saved whole, or the node started; ms since 1970. */
  lastSaveMs = Date.now();
  readonly saves = new SnapshotRecord();
  readonly rewrites = new SnapshotRecord();
  /** What kind of snapshot is under way, and which is to follow it. */
  running: SnapshotKind | undefined = undefined;
  scheduled: SnapshotKind | undefined = undefined;
  /** What the disk says while the log cannot be written; '' when it can. */
  logTrouble = '';
  /** Bytes of the log when it was last cut. */
  logBaseBytes = 0;
  readonly snapshotter: Snapshotter;
  writer: LogWriter | undefined = undefined;
  private readonly config: Config;
  private readonly dispatcher: Dispatcher;
  private readonly workers: WorkerPool;
  private readonly log: Logger;
  private readonly die: (text: string) => void;
  private readonly pool = new BackgroundPool();
  private cron: NodeJS.Timeout | undefined = undefined;
  /** COUNTER_DIRTY of all shards when the last snapshot that succeeded began. */
  private savedDirty = 0;
  /** Keeps other processes out of the directory. */
  private lock: DirectoryLock | undefined = undefined;
  /** Changes of appendonly, one after the other: a log must have ended before the next one begins. */
  private switching: Promise<void> = Promise.resolve();
  private triedMs = 0;
  /** Without a log: the index that the last snapshot had. */
  private index = 0;
  /** Called when the next snapshot of a kind is over. */
  private waiters: { kind: SnapshotKind; resolve: (error: string) => void }[] = [];

  constructor(config: Config, dispatcher: Dispatcher, workers: WorkerPool, log: Logger, die: (text: string) => void) {
    this.config = config;
    this.dispatcher = dispatcher;
    this.workers = workers;
    this.log = log;
    this.die = die;
    this.snapshotter = new Snapshotter(dispatcher, workers, this.pool);
    this.followConfig();
  }

  private followConfig(): void {
    const { config } = this;
    config.onChange('appendfsync', (policy) => {
      this.writer?.setPolicy(policy);
      return undefined;
    });
    config.onChange('appendonly', () => {
      if (this.loading !== undefined) return 'the data set is being loaded';
      this.switching = this.switching.then(() => this.followAppendOnly());
      return undefined;
    });
    config.onChange('stop-writes-on-bgsave-error', () => {
      this.updateRefusal();
      return undefined;
    });
    config.onChange('save', () => {
      this.updateRefusal();
      return undefined;
    });
  }

  private get directory(): string {
    return this.config.get('dir');
  }

  private get logDirectory(): string {
    return join(this.directory, this.config.get('appenddirname'));
  }

  // ---------------------------------------------------------------- start

  /** Loads what the directory has, and opens the log. Clients get -LOADING till it resolves. Rejects with what to tell the operator. */
  async open(): Promise<void> {
    const { config, dispatcher } = this;
    this.lock = this.lockDirectory();
    const recovery = new Recovery(dispatcher.call, dispatcher.table, this.pool, this.log, () => dispatcher.lockAll());
    this.loading = recovery.loading;
    dispatcher.beginLoading(LOADING_TEXT);
    const replays = config.get('appendonly') || this.hasLog();
    this.loaded = await recovery.loadBase(this.directory, config.get('dbfilename'), replays);
    if (replays) {
      const writer = this.makeWriter(this.loaded.index, false);
      this.loaded = await recovery.replay(writer, this.loaded);
      this.writer = writer;
      if (config.get('appendonly')) this.attachLog();
      else await this.stopLog();
    }
    this.index = this.loaded.index;
    dispatcher.finishLoading(this.loaded.lastMs);
    this.savedDirty = this.dirty;
    this.loading = undefined;
    this.lastSaveMs = Date.now();
    this.cron = setInterval(() => this.look(), CRON_MS);
    this.cron.unref();
    const needsBase = this.writer !== undefined && (this.loaded.fromRdb || this.writer.opened.hasGap);
    if (needsBase) this.begin('rewrite');
  }

  /** Before anything in the directory is touched. Where nothing can be written and nothing has to be, there is no lock. */
  private lockDirectory(): DirectoryLock | undefined {
    try {
      return lockDirectory(this.directory);
    } catch (error) {
      const isReadOnly = error instanceof LogError && (error.code === 'READ_ONLY' || error.code === 'DENIED');
      if (!isReadOnly || this.config.get('appendonly')) throw error;
      this.log.write('warning', `Nothing can be saved here: ${error.message}`);
      return undefined;
    }
  }

  private hasLog(): boolean {
    try {
      return realDisk.list(this.logDirectory).some((name) => name.endsWith('.log'));
    } catch {
      return false;
    }
  }

  private makeWriter(afterIndex: number, restarts: boolean): LogWriter {
    const { config, workers } = this;
    const writer = new LogWriter(
      this.logDirectory,
      afterIndex,
      restarts,
      config.get('appendfsync'),
      workers.mainBell,
      this.die,
    );
    writer.onTrouble = (text) => this.logTroubled(text);
    return writer;
  }

  /** From now on writes are logged. */
  private attachLog(): void {
    const writer = this.writer as LogWriter;
    this.logBaseBytes = writer.numbers[NUMBER_BYTES];
    this.dispatcher.keepLog(writer.front());
  }

  private async followAppendOnly(): Promise<void> {
    const isWanted = this.config.get('appendonly');
    if (isWanted && this.writer === undefined) await this.startLog();
    if (!isWanted && this.writer !== undefined) await this.stopLog();
  }

  /** CONFIG SET appendonly yes: the log begins now, and a snapshot of what was before it follows. */
  private async startLog(): Promise<void> {
    // One more is for snapshots that begin before the log does.
    this.index += 2;
    const writer = this.makeWriter(this.index, true);
    this.writer = writer;
    try {
      await writer.next();
    } catch (error) {
      this.writer = undefined;
      this.config.set('appendonly', false);
      this.log.write('warning', `The log cannot be opened: ${(error as Error).message}`);
      return;
    }
    await this.exclusively(() => this.attachLog());
    this.log.write('notice', 'The log begins, and a snapshot of what was before it');
    if (this.running === undefined) this.begin('rewrite');
    else this.scheduled = 'rewrite';
  }

  /** What was accepted so far is written first, and what waits for that is told then. */
  private async stopLog(): Promise<void> {
    const writer = this.writer as LogWriter;
    const front = await this.exclusively(() => {
      const { log } = this.dispatcher;
      log?.seal();
      this.index = log?.lastIndex ?? writer.opened.lastIndex;
      this.writer = undefined;
      this.dispatcher.writes.log = undefined;
      return log;
    });
    await this.drain(front);
    await writer.close();
    this.dispatcher.keepLog(undefined);
    this.logTroubled('');
  }

  private exclusively<T>(act: () => T): Promise<T> {
    return new Promise((resolve) => this.dispatcher.exclusively(() => resolve(act())));
  }

  /** Until the writer's thread has all entries; one that cannot write is not waited for. */
  private async drain(front: LogFront | undefined): Promise<void> {
    while (front !== undefined && !front.isOpen && front.isHealthy) {
      front.advance();
      await new Promise((resolve) => setTimeout(resolve, DRAIN_MS));
    }
  }

  // ---------------------------------------------------------------- trouble

  private logTroubled(text: string): void {
    if (text !== '') this.log.write('warning', `The log cannot be written, so writes are refused: ${text}`);
    else if (this.logTrouble !== '') this.log.write('notice', 'The log can be written again');
    this.logTrouble = text;
    this.updateRefusal();
  }

  private updateRefusal(): void {
    const { config, logTrouble } = this;
    const isSaving = config.get('save').length > 0 && config.get('stop-writes-on-bgsave-error');
    if (isSaving && !this.saves.ok) this.dispatcher.refusals.setWrites(SNAPSHOT_FAILED_TEXT);
    else this.dispatcher.refusals.setWrites(logTrouble === '' ? '' : LOG_FAILED_TEXT + systemText(logTrouble));
  }

  // ---------------------------------------------------------------- snapshots

  private get dirty(): number {
    let dirty = 0;
    for (const { f64 } of this.dispatcher.call.shards.arenas) dirty += f64[COUNTER_DIRTY];
    return dirty;
  }

  get changesSinceSave(): number {
    return this.dirty - this.savedDirty;
  }

  /** Begins a snapshot. '' or why it does not. `schedule`: after the one under way, if there is one of the other kind. */
  begin(kind: SnapshotKind, schedule = false): string {
    if (this.loading !== undefined) return LOADING_TEXT;
    if (this.running === kind) {
      return kind === 'save'
        ? 'ERR Background save already in progress'
        : 'ERR Background append only file rewriting already in progress';
    }
    if (this.running !== undefined) {
      if (!schedule) {
        return "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.";
      }
      this.scheduled = kind;
      return '';
    }
    this.running = kind;
    void this.run(kind);
    return '';
  }

  /** Resolves with '' or an error when the snapshot of this kind that is under way, or scheduled, is over. */
  finished(kind: SnapshotKind): Promise<string> {
    return new Promise((resolve) => this.waiters.push({ kind, resolve }));
  }

  private async run(kind: SnapshotKind): Promise<void> {
    const record = kind === 'save' ? this.saves : this.rewrites;
    const startedAt = performance.now();
    let error = '';
    this.triedMs = Date.now();
    try {
      const done = await this.take(kind);
      this.published(kind, done);
      record.count++;
      record.failuresInRow = 0;
      const { keys, fileBytes, path } = done.summary;
      const seconds = (performance.now() - startedAt) / 1000;
      this.log.write('notice', `Snapshot ${path}: ${keys} keys, ${fileBytes} bytes, ${seconds.toFixed(2)} s`);
    } catch (thrown) {
      error = (thrown as Error).message;
      record.failuresInRow++;
      this.log.write('warning', `The snapshot failed: ${error}`);
    }
    record.ok = error === '';
    record.lastSeconds = Math.floor((performance.now() - startedAt) / 1000);
    this.running = undefined;
    this.updateRefusal();
    const concerned = this.waiters.filter((waiter) => waiter.kind === kind);
    this.waiters = this.waiters.filter((waiter) => waiter.kind !== kind);
    for (const { resolve } of concerned) resolve(error);
    const next = this.scheduled;
    this.scheduled = undefined;
    if (next !== undefined) this.begin(next);
  }

  private take(kind: SnapshotKind): Promise<SnapshotDone> {
    const { config, dispatcher } = this;
    let dirty = 0;
    const cover = (): Covered => {
      dirty = this.dirty;
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
        this.savedDirty = dirty;
        return done;
      });
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

  private published(kind: SnapshotKind, done: SnapshotDone): void {
    this.lastSaveMs = Date.now();
    if (kind === 'save' && this.config.get('save-format') === 'rdb') return;
    retain(realDisk, this.directory, KEPT_SNAPSHOTS);
    if (this.writer === undefined) return;
    this.writer.drop(done.index);
    this.logBaseBytes = this.writer.numbers[NUMBER_BYTES];
  }

  /** Whether a snapshot is due: by a save point, or by the growth of the log. */
  private look(): void {
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
    if (this.writer !== undefined && this.rewriteIsDue(this.writer.numbers[NUMBER_BYTES])) this.begin('rewrite');
  }

  private rewriteIsDue(bytes: number): boolean {
    const percentage = this.config.get('auto-aof-rewrite-percentage');
    if (percentage === 0 || bytes < this.config.get('auto-aof-rewrite-min-size')) return false;
    if (!this.rewrites.ok && Date.now() - this.triedMs < RETRY_MS) return false;
    const base = Math.max(1, this.logBaseBytes);
    return ((bytes - base) * 100) / base >= percentage;
  }

  // ---------------------------------------------------------------- end

  /**
   * Before the process ends: takes a last snapshot if `save` says so, or, when it says nothing, if nothing else keeps what
   * was written. Resolves with '' or why it could not be taken.
   */
  async finish(save: boolean | undefined): Promise<string> {
    clearInterval(this.cron);
    const isWanted =
      save ?? (this.config.get('save').length > 0 && this.writer === undefined && this.changesSinceSave > 0);
    if (!isWanted || this.loading !== undefined) return '';
    while (this.running !== undefined) await this.finished(this.running);
    const refused = this.begin('save');
    return refused !== '' ? refused : this.finished('save');
  }

  /** Writes and syncs what the log still has; ends the threads. */
  async close(): Promise<void> {
    clearInterval(this.cron);
    await this.switching;
    const { log } = this.dispatcher;
    log?.seal();
    await this.drain(log);
    if (this.writer !== undefined) await this.writer.close();
    if (log?.isHealthy === false)
      this.log.write('warning', `The end of the log could not be written: ${this.logTrouble}`);
    this.dispatcher.keepLog(undefined);
    await this.pool.destroy();
    this.lock?.release();
  }
}

/** What the system said, as `No space left on device`. */
function systemText(message: string): string {
  const text = /: [A-Z0-9]+: (.*)$/.exec(message)?.[1] ?? message;
  return text.charAt(0).toUpperCase() + text.slice(1);
}
