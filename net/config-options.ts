/**
 * Every configuration option, one row each: its kind, its default, what it does, and what is special about it. Names,
 * ranges and defaults are those of Redis 7.0 where Redis has the option; the exceptions say why. An option that does
 * nothing here is not in the table, so that nobody relies on it.
 */
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { MAX_ARENA_BYTES, MAX_DATABASES } from '../engine/arena.ts';
import { SLOT_COUNT } from '../engine/hash.ts';
import {
  bool,
  INT_MAX,
  INT_MIN,
  INT64_MAX,
  int,
  type Kind,
  memory,
  type OutputLimits,
  oneOf,
  outputLimits,
  percentiles,
  type SavePoint,
  savePoints,
  string,
  UINT_MAX,
  UINT64_MAX,
  words,
} from './config-kinds.ts';
import { parseCluster } from './replica/addresses.ts';

export interface Traits<V> {
  /** An older name that means the same option. */
  alias?: string;
  /** CONFIG SET refuses it, in these words: `immutable` needs a restart, `protected` is unsafe to give to clients. */
  fixed?: 'immutable' | 'protected';
  /** Never shown in the slow log or the server's log. */
  sensitive?: boolean;
  /** Why a value that the kind admits is refused all the same; undefined when it is not. */
  check?: (value: V) => string | undefined;
  /** The value that is really used, for options that quietly correct what they are given. */
  adjust?: (value: V) => V;
}

export interface Option<V> extends Traits<V> {
  readonly kind: Kind<V>;
  readonly default: V;
  readonly help: string;
}

function row<V>(kind: Kind<V>, value: NoInfer<V>, help: string, traits: Traits<NoInfer<V>> = {}): Option<V> {
  return { kind, default: value, help, ...traits };
}

const MB = 1024 ** 2;
const cores = availableParallelism();

const OUTPUT_LIMITS: OutputLimits = {
  normal: { hardBytes: 0, softBytes: 0, softSeconds: 0 },
  slave: { hardBytes: 256 * MB, softBytes: 64 * MB, softSeconds: 60 },
  pubsub: { hardBytes: 32 * MB, softBytes: 8 * MB, softSeconds: 60 },
};

/** The order in which Redis lists the policies; engine/settings.ts has the order of their numbers. */
const POLICIES = [
  'volatile-lru',
  'volatile-lfu',
  'volatile-random',
  'volatile-ttl',
  'allkeys-lru',
  'allkeys-lfu',
  'allkeys-random',
  'noeviction',
] as const;

/** A missing directory is created at start, so only something else of that name is refused. */
function noCluster(text: string): string | undefined {
  try {
    parseCluster(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function notADirectory(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined || found.isDirectory() ? undefined : 'there is a file of this name, not a directory';
}

/** Files of the node lie in its directory. */
function notAPath(name: string): string | undefined {
  return name === '' || name.includes('/') ? `can't be a path, just a name` : undefined;
}

const SAVE_POINTS: readonly SavePoint[] = [
  { seconds: 3600, changes: 1 },
  { seconds: 300, changes: 100 },
  { seconds: 60, changes: 10000 },
];

export const OPTIONS = {
  port: row(int(0, 65535), 6379, 'TCP port; 0 listens nowhere', { fixed: 'immutable' }),
  // Redis listens on every address and refuses strangers by protected-mode; we begin with the local ones.
  bind: row(
    words(
      'addresses; - before one means it may be missing, * is every IPv4 address and ::* every IPv6 one',
      16,
      'Too many bind addresses specified.',
    ),
    ['127.0.0.1', '-::1'],
    'addresses to listen on',
    { fixed: 'immutable' },
  ),
  'tcp-backlog': row(int(0, INT_MAX), 511, 'connections that may wait to be accepted', { fixed: 'immutable' }),
  'tcp-keepalive': row(int(0, INT_MAX), 300, 'seconds between TCP keepalive probes; 0 sends none'),
  timeout: row(int(0, INT_MAX), 0, 'seconds after which an idle client is dropped; 0 is never'),
  maxclients: row(int(1, UINT_MAX), 10000, 'connections at the same time'),
  requirepass: row(string('a password; empty asks for none'), '', 'the password that AUTH has to give', {
    sensitive: true,
  }),
  dir: row(string('a directory; created when it is missing'), '.', 'working directory', {
    fixed: 'protected',
    adjust: (path) => resolve(path),
    check: notADirectory,
  }),
  'enable-debug-command': row(oneOf(['no', 'yes', 'local']), 'no', 'whether clients may use DEBUG', {
    fixed: 'immutable',
  }),
  loglevel: row(oneOf(['debug', 'verbose', 'notice', 'warning']), 'notice', 'how much is logged'),
  logfile: row(string('a file; empty is standard output'), '', 'where the log goes', { fixed: 'immutable' }),

  workers: row(int(1, 256), Math.max(1, cores - 1), 'worker threads', { fixed: 'immutable' }),
  shards: row(int(1, SLOT_COUNT), Math.max(16, 2 ** Math.ceil(Math.log2(cores))), 'parts the data is split into', {
    fixed: 'immutable',
  }),
  dispatch: row(
    oneOf(['auto', 'inline', 'ring']),
    'auto',
    'where commands run: on the main thread, on the workers, or by what is cheaper',
    { fixed: 'immutable' },
  ),
  'arena-size': row(memory(MB, MAX_ARENA_BYTES), MAX_ARENA_BYTES, 'address space reserved for one shard', {
    fixed: 'immutable',
  }),
  databases: row(int(1, MAX_DATABASES), 16, 'databases to SELECT from', { fixed: 'immutable' }),
  hz: row(int(0, INT_MAX), 10, 'how often a second housekeeping runs', {
    adjust: (hz) => Math.min(500, Math.max(1, hz)),
  }),

  maxmemory: row(memory(0, UINT64_MAX), 0, 'bytes of data to hold at most; 0 is no limit'),
  'maxmemory-policy': row(oneOf(POLICIES), 'noeviction', 'what is evicted at maxmemory'),
  'maxmemory-samples': row(int(1, INT_MAX), 5, 'keys looked at to choose one to evict'),
  'lfu-log-factor': row(int(0, INT_MAX), 10, 'how slowly the access counter of LFU grows'),
  'lfu-decay-time': row(int(0, INT_MAX), 1, 'minutes after which the access counter of LFU shrinks by one'),

  'proto-max-bulk-len': row(memory(MB, INT64_MAX), 512 * MB, 'longest argument of a command'),
  'client-query-buffer-limit': row(
    memory(MB, INT64_MAX),
    1024 * MB,
    'bytes of unfinished requests of one client, 1gb at the most',
  ),
  'client-output-buffer-limit': row(outputLimits(), OUTPUT_LIMITS, 'bytes that may wait to be sent to one client'),

  'slowlog-log-slower-than': row(
    int(-1, INT64_MAX),
    10000,
    'microseconds from which a command is slow; -1 logs none, 0 all',
  ),
  'slowlog-max-len': row(int(0, INT64_MAX), 128, 'slow commands remembered'),
  'latency-monitor-threshold': row(
    int(0, INT64_MAX),
    0,
    'milliseconds from which LATENCY remembers an event; 0 is off',
  ),
  'latency-tracking': row(bool(), true, 'whether the time of every command is counted'),
  'latency-tracking-info-percentiles': row(percentiles(), [50, 99, 99.9], 'percentiles that INFO latencystats shows'),

  'hash-max-listpack-entries': row(int(0, INT64_MAX), 512, 'fields up to which a hash is compact', {
    alias: 'hash-max-ziplist-entries',
  }),
  'hash-max-listpack-value': row(memory(0, INT64_MAX), 64, 'longest field or value of a compact hash', {
    alias: 'hash-max-ziplist-value',
  }),
  'set-max-intset-entries': row(int(0, INT64_MAX), 512, 'members up to which a set of integers is compact'),
  'zset-max-listpack-entries': row(int(0, INT64_MAX), 128, 'members up to which a sorted set is compact', {
    alias: 'zset-max-ziplist-entries',
  }),
  'zset-max-listpack-value': row(memory(0, INT64_MAX), 64, 'longest member of a compact sorted set', {
    alias: 'zset-max-ziplist-value',
  }),
  'list-max-listpack-size': row(int(INT_MIN, INT_MAX), -2, 'entries of a list node; -1 to -5: 4, 8, 16, 32, 64 KiB', {
    alias: 'list-max-ziplist-size',
  }),
  'stream-node-max-bytes': row(memory(0, INT64_MAX), 4096, 'bytes of a stream node; 0 is no limit'),
  'stream-node-max-entries': row(int(0, INT64_MAX), 100, 'entries of a stream node; 0 is no limit'),

  save: row(savePoints(), SAVE_POINTS, 'when to write a snapshot by itself'),
  dbfilename: row(
    string('a file name in dir'),
    'dump.rdb',
    'the RDB file that is read, and written as save-format says',
    {
      fixed: 'protected',
      check: notAPath,
    },
  ),
  'save-format': row(
    oneOf(['millrace', 'rdb']),
    'millrace',
    'what snapshots are written as: compressed, or as dbfilename',
  ),
  'stop-writes-on-bgsave-error': row(bool(), true, 'whether writes are refused after a snapshot has failed'),
  appendonly: row(bool(), false, 'whether writes are logged to disk'),
  appendfsync: row(
    oneOf(['everysec', 'always', 'no']),
    'everysec',
    'when the log is synced: before each reply, each second, or when the system likes',
  ),
  appenddirname: row(string('a directory name in dir'), 'appendonlydir', 'where the log lies', {
    fixed: 'immutable',
    check: notAPath,
  }),
  name: row(string('a name; empty makes it from host and port'), '', 'what the node is called in its group', {
    fixed: 'immutable',
  }),
  'initial-cluster': row(
    string("name=host:port,… with the peers' ports"),
    '',
    'the nodes that a group begins with, the same list for all of them; makes this node one of its replicas',
    { fixed: 'immutable', check: noCluster },
  ),
  join: row(
    string('host:port,… of clients or peers'),
    '',
    'nodes of a group that this node is to become a member of, as a learner first',
    { fixed: 'immutable' },
  ),
  'peer-port': row(int(0, 65535), 0, 'the port for peers; 0 is port + 10000', { fixed: 'immutable' }),
  'peer-bind': row(
    string('an address'),
    '',
    'the address to listen on for peers; empty is that of the initial-cluster',
    {
      fixed: 'immutable',
    },
  ),
  'peer-secret': row(string('a secret, the same on all nodes'), '', 'what peers prove to each other that they know', {
    fixed: 'immutable',
    sensitive: true,
  }),
  'peer-tls-cert': row(string('a file'), '', 'the certificate that this node shows its peers; turns TLS on', {
    fixed: 'immutable',
  }),
  'peer-tls-key': row(string('a file'), '', 'its private key', { fixed: 'immutable' }),
  'peer-tls-ca': row(string('a file'), '', 'whose signature the certificates of peers must have', {
    fixed: 'immutable',
  }),
  'election-timeout': row(
    int(100, 60_000),
    300,
    'milliseconds without a leader after which a replica seeks election, up to twice that; the same on all nodes',
    { fixed: 'immutable' },
  ),
  'leader-lease': row(
    bool(),
    false,
    "whether the leader reads without asking while its lease lasts; safe while no node's clock runs a quarter faster than its",
    { fixed: 'immutable' },
  ),
  'auto-aof-rewrite-percentage': row(
    int(0, INT_MAX),
    100,
    'growth of the log since the last snapshot after which one is made and the log cut; 0 is never',
  ),
  'auto-aof-rewrite-min-size': row(memory(0, INT64_MAX), 64 * MB, 'size below which the log is not cut by itself'),
};

export type OptionName = keyof typeof OPTIONS;
export type OptionValue<N extends OptionName> = (typeof OPTIONS)[N] extends Option<infer V> ? V : never;

export const OPTION_NAMES = Object.keys(OPTIONS) as OptionName[];

/** The option of a name or an alias, both in lower case. */
const byName = new Map<string, OptionName>();
for (const name of OPTION_NAMES) {
  byName.set(name, name);
  const { alias } = OPTIONS[name] as Traits<never>;
  if (alias !== undefined) byName.set(alias, name);
}

/** All names by which an option can be asked for, aliases included, with the option each means. */
export const NAMES: ReadonlyMap<string, OptionName> = byName;

const MOST_TYPOS = 2;

/** The known name that a mistyped one is most like; undefined when none is near. */
export function nearestName(typed: string): string | undefined {
  let best: string | undefined;
  let bestDistance = MOST_TYPOS + 1;
  for (const name of NAMES.keys()) {
    const distance = editDistance(typed.toLowerCase(), name);
    if (distance < bestDistance && distance < name.length - 1) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** How many letters have to be put in, taken out or replaced to make one word the other (Levenshtein 1965). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[j] + 1, current[j - 1] + 1));
    }
    previous = current;
  }
  return previous[b.length];
}
