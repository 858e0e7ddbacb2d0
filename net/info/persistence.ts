/** The section Persistence of INFO: loading, snapshots, the log. */
import { COUNTER_KEYS } from '../../engine/arena.ts';
import {
  NUMBER_BYTES,
  NUMBER_DURABLE,
  NUMBER_LONGEST_SYNC_MS,
  NUMBER_SEGMENTS,
  NUMBER_SYNCS,
} from '../../engine/log/link.ts';
import type { Node } from '../node.ts';
import type { Loading } from '../recovery.ts';

export function persistenceSection(node: Node): string[] {
  const { persistence } = node;
  const { saving } = persistence;
  const { snapshotter, running, saves, rewrites, writer } = saving;
  const runs = (kind: string): number => (running === kind ? 1 : 0);
  const seconds = Math.floor((Date.now() - snapshotter.startedMs) / 1000);
  const since = (kind: string): number => (running === kind ? seconds : -1);
  const status = (ok: boolean): string => (ok ? 'ok' : 'err');
  const total = node.metrics.total(COUNTER_KEYS);
  const keys = running === undefined ? 0 : snapshotter.keys;
  return [
    `loading:${persistence.loading === undefined ? 0 : 1}`,
    'async_loading:0',
    // Nothing is forked: what a snapshot takes on top is what is saved and not yet written.
    `current_cow_peak:${snapshotter.pendingPeakBytes}`,
    `current_cow_size:${running === undefined ? 0 : snapshotter.pendingBytes}`,
    `current_cow_size_age:${running === undefined ? 0 : seconds}`,
    `current_fork_perc:${(total === 0 ? 0 : Math.min(100, (keys * 100) / total)).toFixed(2)}`,
    `current_save_keys_processed:${keys}`,
    `current_save_keys_total:${running === undefined ? 0 : total}`,
    `rdb_changes_since_last_save:${saving.changesSinceSave}`,
    `rdb_bgsave_in_progress:${runs('save')}`,
    `rdb_last_save_time:${Math.floor(saving.lastSaveMs / 1000)}`,
    `rdb_last_bgsave_status:${status(saves.ok)}`,
    `rdb_last_bgsave_time_sec:${saves.lastSeconds}`,
    `rdb_current_bgsave_time_sec:${since('save')}`,
    `rdb_saves:${saves.count}`,
    `rdb_last_cow_size:${snapshotter.pendingPeakBytes}`,
    `rdb_last_load_keys_expired:${persistence.loaded.expiredKeys}`,
    `rdb_last_load_keys_loaded:${persistence.loaded.keys}`,
    `aof_enabled:${writer === undefined ? 0 : 1}`,
    `aof_rewrite_in_progress:${runs('rewrite')}`,
    // A log that begins needs one too: until then a script that waits for these two to be 0 must not think it is there.
    `aof_rewrite_scheduled:${saving.isScheduled('rewrite') || (running !== 'rewrite' && persistence.isLogComing) ? 1 : 0}`,
    `aof_last_rewrite_time_sec:${rewrites.lastSeconds}`,
    `aof_current_rewrite_time_sec:${since('rewrite')}`,
    `aof_last_bgrewrite_status:${status(rewrites.ok)}`,
    `aof_rewrites:${rewrites.count}`,
    `aof_rewrites_consecutive_failures:${rewrites.failuresInRow}`,
    `aof_last_write_status:${status(persistence.logTrouble === '')}`,
    `aof_last_cow_size:${snapshotter.pendingPeakBytes}`,
    'module_fork_in_progress:0',
    'module_fork_last_cow_size:0',
    ...(writer === undefined ? [] : logFields(node, writer.numbers)),
    ...(persistence.loading === undefined ? [] : loadingFields(persistence.loading)),
  ];
}

function logFields(node: Node, numbers: Float64Array): string[] {
  const last = node.dispatcher.log?.lastIndex ?? 0;
  return [
    `aof_current_size:${numbers[NUMBER_BYTES]}`,
    `aof_base_size:${node.persistence.saving.logBaseBytes}`,
    'aof_pending_rewrite:0',
    `log_last_index:${last}`,
    `log_durable_index:${numbers[NUMBER_DURABLE]}`,
    `log_segments:${numbers[NUMBER_SEGMENTS]}`,
    `log_syncs:${numbers[NUMBER_SYNCS]}`,
    `log_longest_sync_ms:${numbers[NUMBER_LONGEST_SYNC_MS].toFixed(3)}`,
  ];
}

function loadingFields(loading: Loading): string[] {
  const { startedMs, bytesDone, bytesAll } = loading;
  const part = bytesAll === 0 ? 0 : bytesDone / bytesAll;
  const elapsed = (Date.now() - startedMs) / 1000;
  return [
    `loading_start_time:${Math.floor(startedMs / 1000)}`,
    `loading_total_bytes:${bytesAll}`,
    `loading_rdb_used_mem:0`,
    `loading_loaded_bytes:${bytesDone}`,
    `loading_loaded_perc:${(part * 100).toFixed(2)}`,
    `loading_eta_seconds:${part === 0 ? 1 : Math.round((elapsed * (1 - part)) / part)}`,
  ];
}
