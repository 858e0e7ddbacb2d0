/**
 * Whether the snapshot that a log begun anew needs has ever been there: an empty file beside the segments says so. Without it a
 * log that begins behind a gap is one whose snapshot never came to its end, and worth nothing; with it that snapshot has been lost
 * since, and nothing may be thrown away. The thread that owns the log calls it.
 *
 * The file is made, durably, when the snapshot is durable, and is gone, durably, before another log begins. A crash between the
 * snapshot and the file leaves what there was without the file: a log that goes by the snapshot it finds.
 */
import { type Disk, unlinkIfThere } from './disk.ts';
import { fromDisk } from './errors.ts';

const NAME = 'base-is-saved';

/** Whether a file of that name in the log's directory says that there is a log, or was. */
export function isOfLog(name: string): boolean {
  return name.endsWith('.log') || name === NAME;
}

/** Throws LogError. */
export function markBase(disk: Disk, directory: string): void {
  if (hasBase(disk, directory)) return;
  try {
    disk.create(`${directory}/${NAME}`).close();
    disk.syncDirectory(directory);
  } catch (error) {
    throw fromDisk(error);
  }
}

/** Throws LogError. */
export function unmarkBase(disk: Disk, directory: string): void {
  if (!hasBase(disk, directory)) return;
  try {
    unlinkIfThere(disk, `${directory}/${NAME}`);
    disk.syncDirectory(directory);
  } catch (error) {
    throw fromDisk(error);
  }
}

/** Throws LogError. */
export function hasBase(disk: Disk, directory: string): boolean {
  try {
    return disk.list(directory).includes(NAME);
  } catch (error) {
    throw fromDisk(error);
  }
}
