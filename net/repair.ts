/**
 * `millrace --repair`: looks through a data directory that no server holds, says what is damaged and what would be lost by
 * doing without it, and does it only when told. Blocks, and reads everything.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { lockDirectory } from '../engine/log/dirlock.ts';
import { LogError } from '../engine/log/errors.ts';
import { findMissing } from '../engine/log/opening.ts';
import { realDisk } from '../engine/log/realdisk.ts';
import { applyRepair, planRepair } from '../engine/log/repair.ts';
import { giveUpLog } from '../engine/raft/storestate.ts';
import { SnapshotError } from '../engine/snapshot/file-errors.ts';
import { SnapshotFileReader } from '../engine/snapshot/read-file.ts';
import { listSnapshots } from '../engine/snapshot/retain.ts';
import type { Config } from './config.ts';
import { logIndexOf } from './recovery.ts';
import { isReplicaDirectory } from './replica/conditions.ts';

/** The exit code: 0 when all is whole, or is now; 1 when something is damaged or missing, or cannot be looked at. */
export function repairDirectory(config: Config, does: boolean, print: (text: string) => void): number {
  const directory = config.get('dir');
  if (!existsSync(directory)) {
    print(`There is no directory ${directory}.\n`);
    return 1;
  }
  try {
    const lock = lockDirectory(directory);
    try {
      return repair(config, does, print);
    } finally {
      lock.release();
    }
  } catch (error) {
    if (!(error instanceof LogError) && !(error instanceof SnapshotError)) throw error;
    print(`${error.message}\n`);
    return 1;
  }
}

function repair(config: Config, does: boolean, print: (text: string) => void): number {
  const directory = config.get('dir');
  const logDirectory = join(directory, config.get('appenddirname'));
  const { covered, newest, damaged } = checkSnapshots(directory, print);
  if (damaged > 0)
    print('A damaged snapshot cannot be repaired: restore it from a copy, or move it out of the directory.\n');
  const code = damaged > 0 ? 1 : 0;
  if (!existsSync(logDirectory)) {
    print(`There is no log in ${logDirectory}.\n`);
    return code;
  }
  const isReplica = isReplicaDirectory(logDirectory);
  const rdb = join(directory, config.get('dbfilename'));
  const afterIndex = isReplica || !existsSync(rdb) ? newest : Math.max(newest, logIndexOf(rdb));
  const plan = planRepair(realDisk, logDirectory, new Map([[0, covered]]));
  if (plan.damage === undefined) {
    const missing = findMissing(realDisk, logDirectory, afterIndex, isReplica);
    print(missing === undefined ? plan.text : `${missing.message}\n`);
    return missing === undefined ? code : 1;
  }
  print(plan.text);
  // It may have answered for what is lost, or missing.
  const givesUp = isReplica && !plan.isCovered;
  if (givesUp) print('The replica gives its log up with that: it joins its group again, under a new id.\n');
  if (!does) {
    print('Nothing was changed. To do it: --repair yes\n');
    return 1;
  }
  if (givesUp) giveUpLog(realDisk, logDirectory);
  applyRepair(realDisk, plan);
  print('It is done.\n');
  // A log that was given up is not read again.
  const missing = givesUp ? undefined : findMissing(realDisk, logDirectory, afterIndex, isReplica);
  if (missing === undefined) return code;
  print(`A start would still be refused: ${missing.message}\n`);
  return 1;
}

interface Snapshots {
  /** The entry that the newest whole one reaches. */
  covered: number;
  /** The same of the newest of all. */
  newest: number;
  /** How many are damaged. */
  damaged: number;
}

/** Reads every snapshot whole. */
function checkSnapshots(directory: string, print: (text: string) => void): Snapshots {
  let covered = 0;
  let newest = 0;
  let damaged = 0;
  for (const { path, index, error } of listSnapshots(realDisk, directory)) {
    newest = Math.max(newest, index);
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
  return { covered, newest, damaged };
}
