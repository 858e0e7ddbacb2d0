/** The sections of INFO that count: Stats, Commandstats, Errorstats, Latencystats, Keyspace. */
import { COUNTER_EVICTED, COUNTER_EXPIRED, COUNTER_HITS, COUNTER_MISSES } from '../../engine/arena.ts';
import { addDatabase, TtlSample } from '../../engine/inspect.ts';
import { MAIN_THREAD } from '../dispatch-shards.ts';
import type { Node } from '../node.ts';

/** Keys of each shard whose time to live goes into a database's average. */
const TTL_SAMPLE = 8;

export function statsSection(node: Node): string[] {
  const { clients, metrics, stats } = node;
  return [
    `total_connections_received:${clients.connectionsReceived}`,
    `total_commands_processed:${stats.totalCommands}`,
    `instantaneous_ops_per_sec:${Math.round(metrics.operations.perSecond)}`,
    `total_net_input_bytes:${clients.netInputBytes}`,
    `total_net_output_bytes:${clients.netOutputBytes}`,
    'total_net_repl_input_bytes:0',
    'total_net_repl_output_bytes:0',
    `instantaneous_input_kbps:${(metrics.input.perSecond / 1024).toFixed(2)}`,
    `instantaneous_output_kbps:${(metrics.output.perSecond / 1024).toFixed(2)}`,
    'instantaneous_input_repl_kbps:0.00',
    'instantaneous_output_repl_kbps:0.00',
    `rejected_connections:${clients.connectionsRejected}`,
    'sync_full:0',
    'sync_partial_ok:0',
    'sync_partial_err:0',
    `expired_keys:${metrics.sinceReset(COUNTER_EXPIRED)}`,
    // Expired keys are found by an index, not by sampling within a time limit.
    'expired_stale_perc:0.00',
    'expired_time_cap_reached_count:0',
    'expire_cycle_cpu_milliseconds:0',
    `evicted_keys:${metrics.sinceReset(COUNTER_EVICTED)}`,
    'evicted_clients:0',
    'total_eviction_exceeded_time:0',
    'current_eviction_exceeded_time:0',
    `keyspace_hits:${metrics.sinceReset(COUNTER_HITS)}`,
    `keyspace_misses:${metrics.sinceReset(COUNTER_MISSES)}`,
    'pubsub_channels:0',
    'pubsub_patterns:0',
    'pubsubshard_channels:0',
    'latest_fork_usec:0',
    'total_forks:0',
    'migrate_cached_sockets:0',
    'slave_expires_tracked_keys:0',
    'active_defrag_hits:0',
    'active_defrag_misses:0',
    'active_defrag_key_hits:0',
    'active_defrag_key_misses:0',
    'total_active_defrag_time:0',
    'current_active_defrag_time:0',
    'tracking_total_keys:0',
    'tracking_total_items:0',
    'tracking_total_prefixes:0',
    'unexpected_error_replies:0',
    `total_error_replies:${stats.totalErrors}`,
    'dump_payload_sanitizations:0',
    `total_reads_processed:${clients.reads}`,
    `total_writes_processed:${clients.writes}`,
    'io_threaded_reads_processed:0',
    'io_threaded_writes_processed:0',
    'reply_buffer_shrinks:0',
    'reply_buffer_expands:0',
    `client_output_buffer_limit_disconnections:${clients.outputLimitDisconnections}`,
  ];
}

export function commandStatsSection({ stats }: Node): string[] {
  const lines: string[] = [];
  stats.rows.forEach((row, id) => {
    const [calls, rejected, failed] = [stats.calls[id], stats.rejected[id], stats.failed[id]];
    if (calls + rejected + failed === 0) return;
    const usec = Math.round(stats.totalUs[id]);
    const perCall = calls === 0 ? 0 : stats.totalUs[id] / calls;
    lines.push(
      `cmdstat_${row.name}:calls=${calls},usec=${usec},usec_per_call=${perCall.toFixed(2)},` +
        `rejected_calls=${rejected},failed_calls=${failed}`,
    );
  });
  return lines;
}

export function errorStatsSection({ stats }: Node): string[] {
  return [...stats.errors]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([code, count]) => `errorstat_${code}:count=${count}`);
}

export function latencyStatsSection({ config, stats }: Node): string[] {
  const percentiles = config.get('latency-tracking-info-percentiles');
  if (!config.get('latency-tracking')) return [];
  const lines: string[] = [];
  stats.rows.forEach((row, id) => {
    const histogram = stats.latency[id];
    if (histogram === undefined) return;
    const values = percentiles.map((p) => `p${p}=${(histogram.getValueAtPercentile(p) / 1000).toFixed(3)}`);
    lines.push(`latency_percentiles_usec_${row.name}:${values.join(',')}`);
  });
  return lines;
}

/** The average time to live is that of a few keys of each shard which no worker holds at this moment. */
export function keyspaceSection(node: Node): string[] {
  const databases = node.config.get('databases');
  const nowMs = Date.now();
  const figures = Array.from({ length: databases }, () => ({ keys: 0, expires: 0, tableBytes: 0 }));
  const ttls = Array.from({ length: databases }, () => new TtlSample());
  for (const arena of node.shards.arenas) {
    const isHeld = arena.lockedBy(MAIN_THREAD);
    const isTaken = !isHeld && arena.tryLock(MAIN_THREAD);
    for (let db = 0; db < databases; db++) {
      addDatabase(arena, db, figures[db]);
      if (isHeld || isTaken) ttls[db].add(arena, db, nowMs, node.call.random, TTL_SAMPLE);
    }
    if (isTaken) arena.unlock();
  }
  const lines: string[] = [];
  figures.forEach(({ keys, expires }, db) => {
    if (keys > 0) lines.push(`db${db}:keys=${keys},expires=${expires},avg_ttl=${ttls[db].averageMs}`);
  });
  return lines;
}
