/**
 * Redis's own append-only files, which are not read here: a directory that has some and nothing of ours is not taken for an empty one, nor
 * is a dump.rdb beside them, which is older than they are. At start, main thread.
 */
import { join } from 'node:path';
import { DiskError } from '../engine/log/disk.ts';
import { realDisk } from '../engine/log/realdisk.ts';

/** From version 7 on, in `appenddirname`. */
const MANIFEST = /\.manifest$/;
/** Before it. */
const SINGLE_FILE = 'appendonly.aof';

/** Throws what an operator should read. */
export function refuseRedisLog(directory: string, logDirectory: string): void {
  const [beside, logs] = [namesIn(directory), namesIn(logDirectory)];
  const isOurs = beside.some((name) => name.endsWith('.mrs')) || logs.some((name) => name.endsWith('.log'));
  if (isOurs) return;
  const manifest = logs.find((name) => MANIFEST.test(name));
  const found = manifest === undefined ? beside.find((name) => name === SINGLE_FILE) : join(logDirectory, manifest);
  if (found === undefined) return;
  throw new Error(
    `${found} is an append-only file of Redis, which cannot be read here. Let redis-server load it and SAVE, then move it away: dump.rdb is loaded`,
  );
}

function namesIn(directory: string): string[] {
  try {
    return realDisk.list(directory);
  } catch (error) {
    if (error instanceof DiskError && error.code === 'NOT_FOUND') return [];
    throw error;
  }
}
