/** The section of INFO that is our own: shards, workers, the event loop, the JavaScript heap. */
import { arenaBytes, liveBytes } from '../../engine/alloc.ts';
import { COUNTER_EXPIRING_KEYS, COUNTER_KEYS } from '../../engine/arena.ts';
import type { Node } from '../node.ts';
import { ratio } from './format.ts';

export function millraceSection(node: Node): string[] {
  const { config, dispatcher, metrics, shards, stats, workers } = node;
  const heap = process.memoryUsage();
  const lines = [
    `shards:${shards.arenas.length}`,
    `workers:${workers.count}`,
    `dispatch:${config.get('dispatch')}`,
    `commands_on_main:${Math.max(0, stats.totalCommands - dispatcher.replies.ranOnWorkers)}`,
    `commands_on_workers:${dispatcher.replies.ranOnWorkers}`,
    `eventloop_utilization:${metrics.loopUtilization.toFixed(4)}`,
    `eventloop_delay_p50_ms:${metrics.loopDelayMs(50).toFixed(3)}`,
    `eventloop_delay_p99_ms:${metrics.loopDelayMs(99).toFixed(3)}`,
    `eventloop_delay_max_ms:${metrics.loopDelayMs(100).toFixed(3)}`,
    `js_heap_used:${heap.heapUsed}`,
    `js_heap_total:${heap.heapTotal}`,
    `js_external:${heap.external}`,
  ];
  for (let worker = 0; worker < workers.count; worker++) {
    const owned = shards.arenas.filter(({ shard }) => workers.ofShard(shard) === worker);
    let keys = 0;
    let queued = 0;
    for (const arena of owned) {
      keys += arena.f64[COUNTER_KEYS];
      queued += dispatcher.shards.queued[arena.shard];
    }
    lines.push(`worker${worker}:first_shard=${owned[0].shard},shards=${owned.length},keys=${keys},queued=${queued}`);
  }
  for (const arena of shards.arenas) {
    const used = liveBytes(arena);
    const active = arenaBytes(arena);
    lines.push(
      `shard${arena.shard}:keys=${arena.f64[COUNTER_KEYS]},expires=${arena.f64[COUNTER_EXPIRING_KEYS]},` +
        `used_bytes=${used},active_bytes=${active},fragmentation=${ratio(active, used).toFixed(2)},` +
        `queued=${dispatcher.shards.queued[arena.shard]}`,
    );
  }
  return lines;
}
