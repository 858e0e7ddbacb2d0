/** What has to be so for a node to be a replica: its configuration and its directory. Main thread, at start. */
import { existsSync, readdirSync } from 'node:fs';
import { statePath } from '../../engine/raft/storestate.ts';
import { Settings } from '../../engine/settings.ts';
import type { Config, OptionName } from '../config.ts';

const USUAL = new Settings();
/** Settings that writes depend on: a sorted set in a listpack has no -0, as in Redis, one in a tree does. */
export const SAME_EVERYWHERE = [
  'databases',
  'proto-max-bulk-len',
  'stream-node-max-bytes',
  'stream-node-max-entries',
  'zset-max-listpack-entries',
  'zset-max-listpack-value',
] as const;

/** Options that mean nothing to a node by itself. */
const REPLICAS_ONLY: readonly OptionName[] = [
  'peer-port',
  'peer-bind',
  'peer-secret',
  'peer-tls-cert',
  'peer-tls-key',
  'peer-tls-ca',
  'election-timeout',
  'leader-lease',
];

/** What is set for a replica on a node that is none; '' for nothing. */
export function idleOptions(config: Config): string {
  const set = REPLICAS_ONLY.filter((name) => !config.isDefault(name));
  if (set.length === 0 || isReplicated(config)) return '';
  return `${set.join(' and ')}: only for a node of a group, so give initial-cluster or join too`;
}

export function isReplicated(config: Config): boolean {
  return config.get('initial-cluster') !== '' || config.get('join') !== '';
}

/** Whether a replica has begun in it. */
export function isReplicaDirectory(logDirectory: string): boolean {
  return existsSync(statePath(logDirectory));
}

/** Throws what an operator should read, where a replica cannot be. */
export function checkConditions(config: Config, directory: string, logDirectory: string): void {
  for (const name of SAME_EVERYWHERE) {
    if (config.settings.get(name) !== USUAL.get(name))
      throw new Error(`${name} cannot be changed on a replica: what writes do depends on it`);
  }
  if (!isReplicaDirectory(logDirectory)) refuseForeign(directory, logDirectory, config.get('dbfilename'));
}

/** A replica begins with nothing: what a node by itself has left would be hidden, or lost. */
function refuseForeign(directory: string, logDirectory: string, rdbFile: string): void {
  const isLog = existsSync(logDirectory) && readdirSync(logDirectory).some((name) => name.endsWith('.log'));
  const found = readdirSync(directory).find((name) => name === rdbFile || name.endsWith('.mrs'));
  if (!isLog && found === undefined) return;
  throw new Error(
    `the directory has data of a node that was no replica (${found ?? logDirectory}); start a replica in an empty one, and copy the data into the group by its clients`,
  );
}
