/** MEMORY: how much a key takes, and where the server's memory is. Main thread, cold; USAGE under its shard's lock. */
import { arenaBytes, liveBytes, touchedBytes, usableSize } from '../../engine/alloc.ts';
import { COUNTER_USED_BYTES } from '../../engine/arena.ts';
import { BUCKET_BYTES } from '../../engine/bucket.ts';
import type { Call } from '../../engine/call.ts';
import { type CommandRow, READONLY, SCOPE_NONE } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { ERR } from '../../engine/errors.ts';
import { tableBytesOf } from '../../engine/inspect.ts';
import { keyCount, lookupPeek, tableOf } from '../../engine/keyspace.ts';
import { valueBytes } from '../../engine/values.ts';
import { humanBytes, percent, ratio } from '../info/format.ts';
import { type MemoryFigures, measureMemory } from '../info/memory.ts';
import type { Node } from '../node.ts';
import { containerRow } from './subcommands.ts';

const MB = 1024 ** 2;
/** Below this much data, ratios say nothing. */
const SMALL_BYTES = 5 * MB;

const HELP = [
  'DOCTOR',
  '    What is remarkable about the memory use, in words.',
  'MALLOC-STATS',
  '    The state of every shard.',
  'PURGE',
  '    Does nothing: pages once used stay with the process, and compaction goes on by itself.',
  'STATS',
  '    Where the memory is.',
  'USAGE <key> [SAMPLES <count>]',
  '    Bytes that a key and its value take, and its part of the table. Values are measured',
  '    whole, whatever <count> is.',
];

function usage(call: Call): void {
  for (let i = 3; i < call.argc; i += 2) {
    if (!call.is(i, 'SAMPLES') || i + 1 >= call.argc) return call.reply.error(ERR.SYNTAX);
    if (!call.long(i + 1)) return call.reply.error(ERR.NOT_INTEGER);
    if (call.num < 0) return call.reply.error(ERR.SYNTAX);
  }
  const record = lookupPeek(call, 2);
  if (record === 0) return call.reply.nil();
  const a = call.arena;
  // In a table with few keys, most of it is there for those to come.
  const share = Math.min(BUCKET_BYTES, Math.round(tableBytesOf(a, tableOf(a, call.db)) / keyCount(a, call.db)));
  call.reply.int(usableSize(a, record) + valueBytes(a, record) + share);
}

/** In Redis's fields, as far as they have a meaning here. */
function stats(node: Node, call: Call): void {
  const m = measureMemory(node);
  const reply = call.reply;
  const int = (name: string, value: number): void => {
    reply.bulkString(name);
    reply.int(Math.round(value));
    fields++;
  };
  const double = (name: string, value: number): void => {
    reply.bulkString(name);
    reply.double(value);
    fields++;
  };
  const mark = reply.open();
  let fields = 0;
  int('peak.allocated', m.peak);
  int('total.allocated', m.used);
  int('startup.allocated', m.startup);
  int('replication.backlog', 0);
  int('clients.slaves', 0);
  int('clients.normal', m.clients);
  int('cluster.links', 0);
  int('aof.buffer', 0);
  int('lua.caches', 0);
  int('functions.caches', 0);
  m.databases.forEach((database, db) => {
    if (database.keys === 0) return;
    fields++;
    reply.bulkString(`db.${db}`);
    reply.mapHeader(3);
    reply.bulkString('overhead.hashtable.main');
    reply.int(Math.round(database.tableBytes));
    // The index of expiries is a part of the table.
    reply.bulkString('overhead.hashtable.expires');
    reply.int(0);
    reply.bulkString('overhead.hashtable.slot-to-keys');
    reply.int(0);
  });
  int('overhead.total', m.overhead);
  int('keys.count', m.keys);
  int('keys.bytes-per-key', ratio(m.used - m.startup, m.keys));
  int('dataset.bytes', m.dataset);
  double('dataset.percentage', ratio(m.dataset, m.used - m.startup) * 100);
  double('peak.percentage', ratio(m.used, m.peak) * 100);
  int('allocator.allocated', m.used);
  int('allocator.active', m.active);
  int('allocator.resident', m.resident);
  double('allocator-fragmentation.ratio', ratio(m.active, m.used));
  int('allocator-fragmentation.bytes', m.active - m.used);
  double('allocator-rss.ratio', ratio(m.resident, m.active));
  int('allocator-rss.bytes', m.resident - m.active);
  double('rss-overhead.ratio', ratio(m.rss, m.resident));
  int('rss-overhead.bytes', m.rss - m.resident);
  double('fragmentation', ratio(m.rss, m.used));
  int('fragmentation.bytes', m.rss - m.used);
  reply.closeMap(mark, fields);
}

function diagnosis(node: Node, m: MemoryFigures): string {
  if (m.used < SMALL_BYTES) return 'There is too little data here for anything to be remarkable.';
  const found: string[] = [];
  const limit = node.config.get('maxmemory');
  if (m.peak > m.used * 1.5) {
    found.push(
      `Memory use was ${humanBytes(m.peak)} at its highest and is ${humanBytes(m.used)} now. What the process took from ` +
        'the system for the peak it keeps for the next one.',
    );
  }
  if (m.active > m.used * 1.4) {
    found.push(
      `Fragmentation: the pages in use hold ${humanBytes(m.active)}, of which ${humanBytes(m.used)} are in use. ` +
        'Compaction moves blocks together as more memory is wanted.',
    );
  }
  if (limit > 0 && m.used > limit * 0.95) {
    found.push(`Memory use is at ${percent(m.used, limit)} of maxmemory (${humanBytes(limit)}).`);
  }
  const fullest = Math.max(
    ...node.shards.arenas.map((arena) => arena.f64[COUNTER_USED_BYTES] / arena.buffer.byteLength),
  );
  if (fullest > 0.8) {
    found.push(
      `A shard has used ${percent(fullest, 1)} of its arena. More shards, or a larger arena-size, leave more room.`,
    );
  }
  if (m.clients > m.used / 2) {
    found.push(
      `The buffers of ${node.clients.sessions.size} connections hold ${humanBytes(m.clients)}, beside used_memory. ` +
        'client-output-buffer-limit and maxclients bound them.',
    );
  }
  return found.length === 0 ? 'Nothing about the memory use is remarkable.' : found.join('\n\n');
}

function mallocStats(node: Node): string {
  const lines = ['shard          used        active       touched      reserved'];
  for (const arena of node.shards.arenas) {
    const figures = [liveBytes(arena), arenaBytes(arena), touchedBytes(arena), arena.buffer.byteLength];
    lines.push(String(arena.shard).padStart(5) + figures.map((bytes) => String(bytes).padStart(14)).join(''));
  }
  return `${lines.join('\n')}\n`;
}

/** There are no pages to give back to the system, and when blocks move is decided by the writes alone. */
function purge(call: Call): void {
  call.reply.ok();
}

export function memoryRow(node: Node): CommandRow {
  const row = rowMaker('server', [], SCOPE_NONE);
  const keyed = rowMaker('server');
  return containerRow('memory', '4.0.0', 'A container for memory diagnostics', '4.0.0', HELP, [
    row('memory|doctor', 2, 0, NO_KEYS, '4.0.0', 'O(1)', 'Explains the memory use', (call) =>
      call.reply.verbatim('txt', `${diagnosis(node, measureMemory(node))}\n`),
    ),
    row('memory|malloc-stats', 2, 0, NO_KEYS, '4.0.0', 'O(1)', 'Tells the state of every shard', (call) =>
      call.reply.verbatim('txt', mallocStats(node)),
    ),
    row('memory|purge', 2, 0, NO_KEYS, '4.0.0', 'O(1)', 'Does nothing, since there is nothing to purge', purge),
    row('memory|stats', 2, 0, NO_KEYS, '4.0.0', 'O(1)', 'Tells where the memory is', (call) => stats(node, call)),
    keyed(
      'memory|usage',
      -3,
      READONLY,
      [2, 2, 1],
      '4.0.0',
      'O(N) where N is the number of elements of the value',
      'Tells the bytes a key takes',
      usage,
    ),
  ]);
}
