/**
 * `millrace --repair`: looks through a data directory that no server holds, says what is damaged and what would be lost by
 * doing without it, and does it only when told. Blocks, and reads everything.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { lockDirectory } from '../engine/log/dirlock.ts';
import { LogError } from '../engine/log/errors.ts';
import { realDisk } from '../engine/log/realdisk.ts';
import { applyRepair, planRepair } from '../engine/log/repair.ts';
import { giveUpLog } from '../engine/raft/storestate.ts';
import { SnapshotError } from '../engine/snapshot/file-errors.ts';
import { SnapshotFileReader } from '../engine/snapshot/read-file.ts';
import { listSnapshots } from '../engine/snapshot/retain.ts';
import type { Config } from './config.ts';

/** The exit code: 0 when all is whole, or is now; 1 when something is damaged, or cannot be looked at. */
export function repairDirectory(config: Config, does: boolean, print: (text: string) => void): number {
  const directory = config.get('dir');
  if (!existsSync(directory)) {
    print(`There is no directory ${directory}.\n`);
    return 1;
  }
  try {
    const lock = lockDirectory(directory);
    try {
      return repair(directory, join(directory, config.get('appenddirname')), does, print);
    } finally {
      lock.release();
    }
  } catch (error) {
    if (!(error instanceof LogError) && !(error instanceof SnapshotError)) throw error;
    print(`${error.message}\n`);
    return 1;
  }
}

function repair(directory: string, logDirectory: string, does: boolean, print: (text: string) => void): number {
  const { covered, damaged } = checkSnapshots(directory, print);
  if (damaged > 0)
    print('A damaged snapshot cannot be repaired: restore it from a copy, or move it out of the directory.\n');
  if (!existsSync(logDirectory)) {
    print(`There is no log in ${logDirectory}.\n`);
    return damaged > 0 ? 1 : 0;
  }
  const plan = planRepair(realDisk, logDirectory, new Map([[0, covered]]));
  print(plan.text);
  if (plan.damage === undefined) return damaged > 0 ? 1 : 0;
  if (!does) {
    print('Nothing was changed. To do it: --repair yes\n');
    return 1;
  }
  // A replica may have answered for what is lost: it takes part again only under a new id.
  if (plan.lostBytes > 0) giveUpLog(realDisk, logDirectory);
  applyRepair(realDisk, plan);
  print('It is done.\n');
  return damaged > 0 ? 1 : 0;
}

/** Reads every snapshot whole. Which entry the newest good one reaches, and how many are damaged. */
function checkSnapshots(directory: string, print: (text: string) => void): { covered: number; damaged: number } {
  let covered = 0;
  let damaged = 0;
  for (const { path, index, error } of listSnapshots(realDisk, directory)) {
    try {
      if (error !== undefined) throw error;
      const reader = new SnapshotFileReader(realDisk, path);
      try {
        while (reader.next() !== undefined);
      } finally {
        reader.close();
      }
      print(`The snapshot ${path} is whole.\n`);
      covered = Math.max(covered, index);
    } catch (thrown) {
      if (!(thrown instanceof SnapshotError)) throw thrown;
      print(`${thrown.message}\n`);
      damaged++;
    }
  }
  return { covered, damaged };
}
