/**
 * A node put together: configuration, shards, workers, dispatcher, clients, listening sockets. Main thread. Everything
 * that a server command may ask about hangs on it.
 */

import { randomBytes } from 'node:crypto';
import { Call } from '../engine/call.ts';
import { type CommandRow, CommandTable } from '../engine/command.ts';
import { engineRows } from '../engine/commands/index.ts';
import { makeEvictor } from '../engine/eviction.ts';
import { Shards } from '../engine/shards.ts';
import { Clients, PAUSE_ALL } from './clients.ts';
import { connectionRows } from './commands/connection.ts';
import { serverRows } from './commands/server.ts';
import type { Config } from './config.ts';
import { Dispatcher } from './dispatch.ts';
import { MAIN_THREAD } from './dispatch-shards.ts';
import { LatencyMonitor } from './latency.ts';
import { LONGEST_REQUEST, ServerLimits } from './limits.ts';
import type { Logger } from './log.ts';
import { Metrics } from './metrics.ts';
import { Persistence } from './persistence.ts';
import { isReplicated } from './replica/conditions.ts';
import { isMaster } from './replica/status.ts';
import { Server } from './server.ts';
import { SlowLog } from './slowlog.ts';
import { CommandStats } from './stats.ts';
import { CommandWatch } from './watch.ts';
import { WorkerPool } from './workers.ts';

export class Node {
  readonly config: Config;
  readonly log: Logger;
  readonly shards: Shards;
  readonly call: Call;
  readonly table: CommandTable;
  readonly stats: CommandStats;
  readonly slowLog = new SlowLog();
  readonly latency = new LatencyMonitor();
  readonly watch = new CommandWatch(this.slowLog, this.latency);
  readonly workers: WorkerPool;
  readonly dispatcher: Dispatcher;
  readonly limits = new ServerLimits();
  readonly clients: Clients;
  readonly server: Server;
  readonly startedMs = Date.now();
  readonly runId = randomBytes(20).toString('hex');
  readonly replicationId = randomBytes(20).toString('hex');
  readonly metrics: Metrics;
  readonly persistence: Persistence;
  /** It was told to stop, and has begun to. */
  isStopping = false;
  private readonly exit: () => void;

  /** `die` is called when the node cannot go on, `exit` when it was told to stop and has stopped. */
  constructor(config: Config, log: Logger, die: (message: string) => void, exit: () => void = () => process.exit(0)) {
    this.config = config;
    this.log = log;
    this.exit = exit;
    const seed = new Uint32Array(randomBytes(8).buffer.slice(0, 8));
    this.shards = Shards.create(config.get('shards'), config.get('arena-size'), config.get('databases'), [
      seed[0],
      seed[1],
    ]);
    this.call = new Call(this.shards, config.settings);
    this.call.isReplica = isReplicated(config);
    this.call.random.reseed(randomBytes(4).readInt32LE());
    const ofConnections = connectionRows(() => isMaster(this.persistence.group));
    const rows: CommandRow[] = [...engineRows, ...ofConnections, ...serverRows(this)];
    this.table = new CommandTable(rows);
    this.stats = new CommandStats(this.table);
    this.workers = new WorkerPool(config.get('workers'), this.shards, config.settings, die, this.call.isReplica);
    const evictor = makeEvictor(this.shards, config.settings, MAIN_THREAD);
    this.dispatcher = new Dispatcher(
      this.call,
      this.table,
      this.stats,
      this.workers,
      evictor,
      this.watch,
      config.get('dispatch'),
    );
    this.clients = new Clients(this.dispatcher, this.limits, (level, text) => log.write(level, text));
    this.dispatcher.serve(this.clients);
    this.server = new Server(this.clients);
    this.persistence = new Persistence(config, this.dispatcher, this.workers, log, die);
    this.metrics = new Metrics(this.shards, this.latency, () => ({
      commands: this.stats.totalCommands,
      inputBytes: this.clients.netInputBytes,
      outputBytes: this.clients.netOutputBytes,
    }));
    this.followConfig();
  }

  /** Puts the configuration into the fields that the hot code reads, now and after each CONFIG SET. */
  private followConfig(): void {
    const { config, limits, slowLog, stats, log, watch } = this;
    const apply = (): void => {
      limits.maxClients = config.get('maxclients');
      limits.idleTimeoutSec = config.get('timeout');
      limits.keepAliveSec = config.get('tcp-keepalive');
      limits.maxBulkBytes = config.get('proto-max-bulk-len');
      limits.queryBufferBytes = Math.min(config.get('client-query-buffer-limit'), LONGEST_REQUEST);
      const output = config.get('client-output-buffer-limit').normal;
      limits.outputHardBytes = output.hardBytes;
      limits.outputSoftBytes = output.softBytes;
      limits.outputSoftSec = output.softSeconds;
      slowLog.maxLength = config.get('slowlog-max-len');
      stats.tracking = config.get('latency-tracking');
      watch.setThresholds(config.get('slowlog-log-slower-than'), config.get('latency-monitor-threshold'));
      stats.exact = watch.needsExactTimes;
      stats.longRunUs = watch.thresholdUs;
      log.level = config.get('loglevel');
    };
    apply();
    limits.requirePass = config.get('requirepass');
    const followed = [
      'maxclients',
      'timeout',
      'tcp-keepalive',
      'proto-max-bulk-len',
      'client-query-buffer-limit',
      'client-output-buffer-limit',
      'slowlog-log-slower-than',
      'slowlog-max-len',
      'latency-tracking',
      'latency-monitor-threshold',
      'loglevel',
    ] as const;
    for (const name of followed) {
      config.onChange(name, () => {
        apply();
        return undefined;
      });
    }
    // Clients see by it at once how keys are aged: the clock brings it to the commands.
    config.onChange('maxmemory-policy', () => {
      this.call.setClock(this.call.nowMs);
      return undefined;
    });
    config.onChange('requirepass', (password) => {
      limits.requirePass = password;
      this.clients.passwordChanged();
      return undefined;
    });
  }

  /** Opens the listening sockets. Rejects when an address cannot be had. */
  async listen(): Promise<void> {
    const { config } = this;
    if (config.get('port') === 0) return;
    await this.server.listen(config.get('bind'), config.get('port'), config.get('tcp-backlog'));
  }

  /** CONFIG RESETSTAT. */
  resetStats(): void {
    const { clients } = this;
    this.stats.reset();
    this.metrics.reset();
    this.dispatcher.replies.ranOnWorkers = 0;
    clients.connectionsReceived = 0;
    clients.connectionsRejected = 0;
    clients.netInputBytes = 0;
    clients.netOutputBytes = 0;
    clients.reads = 0;
    clients.writes = 0;
    clients.outputLimitDisconnections = 0;
  }

  /**
   * Stops, for the given reason, and lets the process end; `save`: whether a snapshot comes first, undefined: as `save` is
   * configured. When that snapshot fails the node goes on, unless `force` is set, and '' becomes the error.
   */
  async shutdown(reason: string, save?: boolean, force = false): Promise<string> {
    const { clients, log, persistence } = this;
    if (this.isStopping) return '';
    this.isStopping = true;
    log.write('warning', `${reason}: shutting down`);
    await persistence.handOver();
    // Nothing may be acknowledged that the snapshot does not have.
    clients.pause(PAUSE_ALL, Number.MAX_SAFE_INTEGER);
    const error = await persistence.finish(save);
    if (error !== '' && !force) {
      log.write('warning', `The last snapshot failed, so the server goes on: ${error}`);
      this.isStopping = false;
      clients.unpause();
      return error;
    }
    await this.close();
    log.write('warning', 'Millrace is now ready to exit, bye');
    this.exit();
    return '';
  }

  /** Stops serving, makes durable what was accepted, and ends the threads. */
  async close(): Promise<void> {
    this.server.close();
    await this.persistence.close();
    this.clients.close();
    this.metrics.stop();
    this.workers.stop();
  }
}
