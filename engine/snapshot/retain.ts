/**
 * Which snapshots a data directory has, which one to start from, and which to remove. Synchronous, over any `Disk`: at
 * start, and after each new snapshot in a thread that may block. Looking at a snapshot reads its header and footer, some
 * hundred bytes; chunks are verified when they are loaded.
 *
 * The newest snapshot being damaged is no reason to take an older one: what came between them is in the log only as far
 * as the log goes back, and not at all while there was none. That is for an operator to decide.
 */
import { join } from 'node:path';
import { type Disk, unlinkIfThere } from '../log/disk.ts';
import { type DecodedHeader, type GroupPosition, positionOf, type SnapshotFooter } from './file.ts';
import { onDisk, SnapshotError } from './file-errors.ts';
import { SnapshotFileReader } from './read-file.ts';
import { TEMPORARY_SUFFIX } from './write-temp.ts';

const NAME = /^snapshot-(\d{16})\.mrs$/;

/** A snapshot of the directory; whole as far as its header and footer tell, or with the error that they gave. */
export interface SnapshotEntry {
  path: string;
  /** The position in its name. */
  index: number;
  whole: { header: DecodedHeader; footer: SnapshotFooter } | undefined;
  error: SnapshotError | undefined;
}

export type WholeSnapshot = SnapshotEntry & { whole: NonNullable<SnapshotEntry['whole']> };

/** The name of a snapshot that covers the groups' logs so far. */
export function snapshotName(groups: readonly GroupPosition[]): string {
  return `snapshot-${String(positionOf(groups)).padStart(16, '0')}.mrs`;
}

/** All snapshots of a directory, newest first. */
export function listSnapshots(disk: Disk, directory: string): SnapshotEntry[] {
  const names = onDisk(() => disk.list(directory)).filter((name) => NAME.test(name));
  return names
    .sort()
    .reverse()
    .map((name) => look(disk, join(directory, name), Number(NAME.exec(name)![1])));
}

function look(disk: Disk, path: string, index: number): SnapshotEntry {
  try {
    const reader = new SnapshotFileReader(disk, path);
    reader.close();
    const { header, footer } = reader;
    if (positionOf(header.groups) !== index)
      throw new SnapshotError(
        'DAMAGED',
        `snapshot ${path} covers the log up to ${positionOf(header.groups)}: it was renamed`,
        path,
      );
    return { path, index, whole: { header, footer }, error: undefined };
  } catch (error) {
    if (!(error instanceof SnapshotError)) throw error;
    return { path, index, whole: undefined, error };
  }
}

/** The snapshot to start from; undefined when there is none. When it is damaged, throws its error, with what an operator can do. */
export function newestWhole(disk: Disk, directory: string): WholeSnapshot | undefined {
  const entries = listSnapshots(disk, directory);
  if (entries.length === 0) return undefined;
  const [newest] = entries;
  const { whole } = newest;
  if (whole === undefined) throw unusable(newest.error!, entries);
  return { ...newest, whole };
}

/** What an operator can do about a file that cannot be loaded. */
export const ADVICE =
  'Nothing was changed. Restore the file from a copy or from another node; to start without it all the same, move it out of the directory first.';

/** The error of the newest snapshot, with what is left and what to do. */
function unusable(error: SnapshotError, entries: SnapshotEntry[]): SnapshotError {
  const older = entries.find((entry) => entry.whole !== undefined);
  const choice =
    older === undefined
      ? 'There is no older snapshot.'
      : `There is an older snapshot, ${older.path}: starting from it would lose the writes since then, but for what the log still has of them.`;
  return new SnapshotError(error.code, `${error.message}. ${choice} ${ADVICE}`, error.file, error.offset, error);
}

/**
 * Unlinks the snapshots that end before log index `index`; how many. Call it when one that ends there is durable: what is older,
 * whole or not, is of no use then, since the log behind it goes. Newer ones stay, whatever they are.
 */
export function removeOlder(disk: Disk, directory: string, index: number): number {
  const older = onDisk(() => disk.list(directory)).filter((name) => Number(NAME.exec(name)?.[1] ?? index) < index);
  for (const name of older) onDisk(() => unlinkIfThere(disk, join(directory, name)));
  if (older.length > 0) onDisk(() => disk.syncDirectory(directory));
  return older.length;
}

/**
 * Removes what attempts that never ended have left; at start, before anything is read or written. How many files. What has a
 * name then keeps it, also when something cannot be removed: a process that was killed while it published a snapshot may not
 * have come to sync the directory, and what the log gets behind a snapshot is worth nothing without it.
 */
export function removeTemporary(disk: Disk, directory: string): number {
  const names = onDisk(() => disk.list(directory)).filter((name) => name.endsWith(TEMPORARY_SUFFIX));
  onDisk(() => disk.syncDirectory(directory));
  for (const name of names) onDisk(() => disk.unlink(join(directory, name)));
  return names.length;
}
