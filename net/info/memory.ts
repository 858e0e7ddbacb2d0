/** Where the memory is: the figures behind INFO memory, MEMORY STATS and MEMORY DOCTOR. Main thread, reads no lock. */
import { totalmem } from 'node:os';
import { arenaBytes, touchedBytes } from '../../engine/alloc.ts';
import { COUNTER_BURIED, COUNTER_LAZY_FREED } from '../../engine/arena.ts';
import { addDatabase, type DatabaseFigures } from '../../engine/inspect.ts';
import type { Node } from '../node.ts';
import { humanBytes, percent, ratio } from './format.ts';

/** What a session costs beside its buffers; an estimate. */
const SESSION_BYTES = 2048;

export interface MemoryFigures {
  /** Bytes of blocks in use in the arenas, which maxmemory limits; and the highest they were, and were at the start. */
  used: number;
  peak: number;
  startup: number;
  /** What of them is not keys and values: the empty shards' own, and the tables. */
  overhead: number;
  dataset: number;
  keys: number;
  databases: DatabaseFigures[];
  /** Bytes of the pages that the blocks in use lie in; what of the arenas was ever touched; what the system counts. */
  active: number;
  resident: number;
  rss: number;
  /** Values that are gone and wait to be freed. */
  buried: number;
  clients: number;
}

export function measureMemory(node: Node): MemoryFigures {
  const { arenas } = node.shards;
  const databases: DatabaseFigures[] = [];
  for (let db = 0; db < node.config.get('databases'); db++) {
    const figures = { keys: 0, expires: 0, tableBytes: 0 };
    for (const arena of arenas) addDatabase(arena, db, figures);
    databases.push(figures);
  }
  const used = node.metrics.usedBytes();
  const startup = node.metrics.startupBytes;
  const overhead = Math.min(used, startup + databases.reduce((sum, each) => sum + each.tableBytes, 0));
  let [active, resident, buried] = [0, 0, 0];
  for (const arena of arenas) {
    buried += arena.f64[COUNTER_BURIED];
    active += arenaBytes(arena);
    resident += touchedBytes(arena);
  }
  return {
    used,
    peak: node.metrics.peakUsedBytes,
    startup,
    overhead,
    dataset: used - overhead,
    keys: databases.reduce((sum, each) => sum + each.keys, 0),
    databases,
    active,
    resident,
    buried,
    rss: process.memoryUsage.rss(),
    clients: clientBytes(node),
  };
}

/** Buffers of the connections, on the main thread's heap: not part of used_memory. */
function clientBytes(node: Node): number {
  let sum = 0;
  for (const session of node.clients.sessions.values()) {
    sum += SESSION_BYTES + session.inputCapacity + session.replyBytes + session.transport.pendingBytes;
  }
  return sum;
}

function sized(name: string, bytes: number): string[] {
  return [`${name}:${bytes}`, `${name}_human:${humanBytes(bytes)}`];
}

export function memorySection(node: Node): string[] {
  const m = measureMemory(node);
  const { config } = node;
  return [
    ...sized('used_memory', m.used),
    ...sized('used_memory_rss', m.rss),
    ...sized('used_memory_peak', m.peak),
    `used_memory_peak_perc:${percent(m.used, m.peak)}`,
    `used_memory_overhead:${m.overhead}`,
    `used_memory_startup:${m.startup}`,
    `used_memory_dataset:${m.dataset}`,
    `used_memory_dataset_perc:${percent(m.dataset, m.used - m.startup)}`,
    `allocator_allocated:${m.used}`,
    `allocator_active:${m.active}`,
    `allocator_resident:${m.resident}`,
    ...sized('total_system_memory', totalmem()),
    // No scripts and no functions yet.
    ...sized('used_memory_lua', 0),
    'used_memory_vm_eval:0',
    'used_memory_scripts_eval:0',
    'number_of_cached_scripts:0',
    'number_of_functions:0',
    'number_of_libraries:0',
    'used_memory_vm_functions:0',
    ...sized('used_memory_vm_total', 0),
    'used_memory_functions:0',
    ...sized('used_memory_scripts', 0),
    ...sized('maxmemory', config.get('maxmemory')),
    `maxmemory_policy:${config.get('maxmemory-policy')}`,
    `allocator_frag_ratio:${ratio(m.active, m.used).toFixed(2)}`,
    `allocator_frag_bytes:${m.active - m.used}`,
    `allocator_rss_ratio:${ratio(m.resident, m.active).toFixed(2)}`,
    `allocator_rss_bytes:${m.resident - m.active}`,
    `rss_overhead_ratio:${ratio(m.rss, m.resident).toFixed(2)}`,
    `rss_overhead_bytes:${m.rss - m.resident}`,
    `mem_fragmentation_ratio:${ratio(m.rss, m.used).toFixed(2)}`,
    `mem_fragmentation_bytes:${m.rss - m.used}`,
    'mem_not_counted_for_evict:0',
    'mem_replication_backlog:0',
    'mem_total_replication_buffers:0',
    'mem_clients_slaves:0',
    `mem_clients_normal:${m.clients}`,
    'mem_cluster_links:0',
    'mem_aof_buffer:0',
    'mem_allocator:millrace-arena',
    'active_defrag_running:0',
    `lazyfree_pending_objects:${m.buried}`,
    `lazyfreed_objects:${node.metrics.sinceReset(COUNTER_LAZY_FREED)}`,
  ];
}
