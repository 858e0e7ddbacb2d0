/**
 * What makes a node durable, put together: loads at start, keeps the log, takes snapshots when they are asked for or due,
 * and tells INFO about it. Main thread; one per node.
 */
import { join } from 'node:path';
import { isOfLog } from '../engine/log/base.ts';
import { type DirectoryLock, lockDirectory } from '../engine/log/dirlock.ts';
import { DiskError } from '../engine/log/disk.ts';
import { LogError } from '../engine/log/errors.ts';
import type { LogFront } from '../engine/log/front.ts';
import { NUMBER_BYTES } from '../engine/log/link.ts';
import { realDisk } from '../engine/log/realdisk.ts';
import { BackgroundPool } from '../engine/snapshot/pool.ts';
import type { Config } from './config.ts';
import type { Dispatcher } from './dispatch.ts';
import type { Logger } from './log.ts';
import { LogWriter } from './logwriter.ts';
import { type Loaded, type Loading, Recovery } from './recovery.ts';
import { refuseRedisLog } from './redis-log.ts';
import { isReplicaDirectory, isReplicated, SAME_EVERYWHERE } from './replica/conditions.ts';
import { Group } from './replica/group.ts';
import { LOADING_TEXT, Saving } from './saving.ts';
import { Snapshotter } from './snapshotter.ts';
import type { WorkerPool } from './workers.ts';

/** How often it is looked whether a snapshot is due. */
const CRON_MS = 100;
/** How often it is looked whether there is room for entries that wait, before the log is closed. */
const DRAIN_MS = 2;

const LOG_REFUSED_TEXT =
  "ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check server logs.";
const SNAPSHOT_FAILED_TEXT =
  "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. " +
  'Commands that may modify the data set are disabled, because this instance is configured to report errors during ' +
  'writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.';

const LOG_FAILED_TEXT = 'MISCONF Errors writing to the AOF file: ';

export class Persistence {
  /** Set while the node loads. */
  loading: Loading | undefined = undefined;
  loaded: Loaded = { index: 0, lastMs: 0, keys: 0, expiredKeys: 0, fromRdb: false };
  /** What the disk says while the log cannot be written; '' when it can. */
  logTrouble = '';
  readonly saving: Saving;
  /** Set on a replica: it keeps the log then. */
  readonly group: Group | undefined;
  private readonly config: Config;
  private readonly dispatcher: Dispatcher;
  private readonly workers: WorkerPool;
  private readonly log: Logger;
  private readonly die: (text: string) => void;
  private readonly pool = new BackgroundPool();
  private cron: NodeJS.Timeout | undefined = undefined;
  /** Keeps other processes out of the directory. */
  private lock: DirectoryLock | undefined = undefined;
  /** Changes of appendonly, one after the other: a log must have ended before the next one begins. */
  private switching: Promise<void> = Promise.resolve();
  /** Why the log that was asked for last did not begin; '' otherwise. */
  private logRefusal = '';

  constructor(config: Config, dispatcher: Dispatcher, workers: WorkerPool, log: Logger, die: (text: string) => void) {
    this.config = config;
    this.dispatcher = dispatcher;
    this.workers = workers;
    this.log = log;
    this.die = die;
    this.saving = new Saving(config, dispatcher, new Snapshotter(dispatcher, workers, this.pool), this.pool, log);
    this.saving.onOutcome = () => this.updateRefusal();
    if (isReplicated(config)) {
      const { pool, saving } = this;
      const troubled = (text: string): void => this.logTroubled(text);
      this.group = new Group({ config, dispatcher, workers, log, pool, saving, die, troubled });
    }
    this.followConfig();
  }

  private followConfig(): void {
    const { config } = this;
    config.onChange('appendfsync', (policy) => {
      this.writer?.setPolicy(policy);
      // Replies and writes that waited for the disk need not any more, or not so long.
      this.dispatcher.clients?.scheduler.releaseHeld();
      this.dispatcher.log?.advance();
      this.dispatcher.resumeStalled();
      return undefined;
    });
    for (const name of SAME_EVERYWHERE) {
      config.onChange(name, () =>
        this.group === undefined ? undefined : 'a replica keeps it, since what writes do depends on it',
      );
    }
    config.onChange('appendonly', () => {
      if (this.group !== undefined) return 'a replica keeps its log as it began';
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

  /** The log's writer, while there is a log. */
  get writer(): LogWriter | undefined {
    return this.saving.writer;
  }

  /** Undefined unless a log was asked for that has not begun; then whether it does: '' or an error. */
  get logBeginning(): Promise<string> | undefined {
    if (this.group !== undefined || !this.config.get('appendonly') || this.writer !== undefined) return undefined;
    return this.switching.then(() => this.logRefusal);
  }

  /** Whether a log that was asked for is worth nothing yet: what was there before it has still to be saved. */
  get isLogComing(): boolean {
    if (this.group !== undefined || this.loading !== undefined || !this.config.get('appendonly')) return false;
    return this.dispatcher.log === undefined || this.saving.needsBase;
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
    const recovery = new Recovery(dispatcher.call, dispatcher.table, this.pool, this.log, () =>
      dispatcher.shards.lockAll(),
    );
    this.loading = recovery.loading;
    dispatcher.beginLoading(LOADING_TEXT);
    const isReplicas = isReplicaDirectory(this.logDirectory);
    if (!isReplicas) refuseRedisLog(this.directory, this.logDirectory);
    if (this.group !== undefined) return this.openGroup(this.group, recovery);
    if (isReplicas) {
      throw new Error('the directory is that of a replica: start it with --initial-cluster or --join, as it was');
    }
    const replays = config.get('appendonly') || this.hasLog();
    this.loaded = await recovery.loadBase(this.directory, config.get('dbfilename'), replays);
    if (replays) {
      const writer = this.makeWriter(this.loaded.index, false);
      this.loaded = await recovery.replay(writer, this.loaded);
      this.saving.writer = writer;
      if (config.get('appendonly')) this.attachLog();
      else await this.stopLog();
    }
    this.saving.index = this.loaded.index;
    this.loadedAll();
    this.saving.needsBase = this.writer !== undefined && (this.loaded.fromRdb || this.writer.opened.hasGap);
    if (this.saving.needsBase) this.saving.begin('rewrite');
  }

  private loadedAll(): void {
    this.dispatcher.finishLoading(this.loaded.lastMs);
    this.loading = undefined;
    this.saving.enable();
    this.cron = setInterval(() => this.saving.look(), CRON_MS);
    this.cron.unref();
  }

  /** What is committed behind the newest snapshot the leader will say. */
  private async openGroup(group: Group, recovery: Recovery): Promise<void> {
    this.loaded = await group.open(recovery, this.directory, this.logDirectory);
    this.loadedAll();
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
      return realDisk.list(this.logDirectory).some((name) => isOfLog(name));
    } catch (error) {
      if (error instanceof DiskError && error.code === 'NOT_FOUND') return false;
      throw error;
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
    this.saving.logBaseBytes = writer.numbers[NUMBER_BYTES];
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
    this.saving.index += 2;
    const writer = this.makeWriter(this.saving.index, true);
    this.saving.writer = writer;
    this.logRefusal = '';
    try {
      await writer.next();
    } catch (error) {
      this.saving.writer = undefined;
      this.config.set('appendonly', false);
      this.log.write('warning', `The log cannot be opened: ${(error as Error).message}`);
      this.logRefusal = LOG_REFUSED_TEXT;
      return;
    }
    await this.dispatcher.exclusively(() => this.attachLog());
    this.log.write('notice', 'The log begins, and a snapshot of what was before it');
    this.saving.needsBase = true;
    this.saving.beginBehind('rewrite');
  }

  /** What was accepted so far is written first, and what waits for that is told then. */
  private async stopLog(): Promise<void> {
    const writer = this.writer as LogWriter;
    const front = await this.dispatcher.exclusively(() => {
      const { log } = this.dispatcher;
      log?.seal();
      this.saving.index = log?.lastIndex ?? writer.opened.lastIndex;
      this.saving.writer = undefined;
      this.dispatcher.writes.log = undefined;
      // Nobody's write needs it any more, also while its end cannot be written.
      this.logTroubled('');
      return log;
    });
    await this.drain(front);
    await writer.close();
    this.dispatcher.keepLog(undefined);
    this.logTroubled('');
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
    const { refusals } = this.dispatcher;
    const isSaving = config.get('save').length > 0 && config.get('stop-writes-on-bgsave-error');
    const text = logTrouble === '' ? '' : LOG_FAILED_TEXT + systemText(logTrouble);
    // A replica that does not lead passes writes on, whatever its own log is like.
    this.group?.refuseWrites(text);
    if (isSaving && !this.saving.saves.ok) refusals.setWrites(SNAPSHOT_FAILED_TEXT);
    else refusals.setWrites(this.group === undefined ? text : '');
  }

  // ---------------------------------------------------------------- end

  /**
   * Before the process ends: takes a last snapshot if `save` says so, or, when it says nothing, if nothing else keeps what
   * was written. Resolves with '' or why it could not be taken.
   */
  async finish(save: boolean | undefined): Promise<string> {
    clearInterval(this.cron);
    // A replica has its log, or the others.
    const isWanted =
      save ??
      (this.config.get('save').length > 0 &&
        this.writer === undefined &&
        this.group === undefined &&
        this.saving.changesSinceSave > 0);
    if (!isWanted || this.loading !== undefined) return '';
    while (this.saving.running !== undefined) await this.saving.finished(this.saving.running);
    const refused = this.saving.begin('save', false, true);
    return refused !== '' ? refused : this.saving.finished('save');
  }

  /** Before clients are told to wait: somebody else is to lead. */
  async handOver(): Promise<void> {
    await this.group?.handOver();
  }

  /** Writes and syncs what the log still has; ends the threads. */
  async close(): Promise<void> {
    clearInterval(this.cron);
    await this.switching;
    await this.group?.close();
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
