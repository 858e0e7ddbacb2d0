/**
 * How long the machine takes to make a small write durable: what a server with `appendfsync always` waits for. In the
 * directory where the servers' directories are, both at the end of a file that grows (the file system writes its own
 * journal too) and over bytes that were written before.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from './report.ts';

const WRITE_BYTES = 4096;
const FILE_SYSTEMS = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs (in memory: syncing costs nothing)'],
  [0x794c7630, 'overlayfs'],
]);

export interface SyncTimes {
  medianMs: number;
  longestMs: number;
}

export interface DiskTimes {
  fileSystem: string;
  growing: SyncTimes;
  overwriting: SyncTimes;
}

export function measureDisk(writes: number): DiskTimes {
  const dir = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const fd = openSync(join(dir, 'sync'), 'w');
    const growing = syncTimes(fd, writes);
    const overwriting = syncTimes(fd, writes);
    closeSync(fd);
    const type = statfsSync(dir).type;
    return { fileSystem: FILE_SYSTEMS.get(type) ?? `file system 0x${type.toString(16)}`, growing, overwriting };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Writes from the start of the file, one block after the other. */
function syncTimes(fd: number, writes: number): SyncTimes {
  const block = Buffer.alloc(WRITE_BYTES, 'x');
  const times: number[] = [];
  for (let i = 0; i < writes; i++) {
    const from = performance.now();
    writeSync(fd, block, 0, WRITE_BYTES, i * WRITE_BYTES);
    fdatasyncSync(fd);
    times.push(performance.now() - from);
  }
  return { medianMs: median(times), longestMs: Math.max(...times) };
}
