/**
 * Segments that are no longer of the log, and whose space is given back a little at a time. The thread that owns the log.
 *
 * To unlink a segment of 64 MiB costs the system 12 ms, and after a snapshot there are many of them: an entry that waits for
 * its sync would wait for them all. So the segment gets another name first, which takes it out of the log (segmentlog.ts), and is cut
 * from its end in steps, 0.2 ms each. A crash leaves files of that name behind; the next life of the log goes on with them.
 */
import { type Disk, DiskError, unlinkIfThere } from './disk.ts';
import { segmentPath } from './segment.ts';

const SUFFIX = '.dropped';
const STEP_BYTES = 1024 * 1024;

export class DroppedSegments {
  private readonly disk: Disk;
  private readonly directory: string;
  private readonly paths: string[];
  /** What the first of `paths` still has; -1 when it has not been asked. */
  private sizeBytes = -1;

  /** Throws the error of the disk when it cannot list what an earlier life has left. */
  constructor(disk: Disk, directory: string) {
    this.disk = disk;
    this.directory = directory;
    const left = disk.list(directory).filter((name) => name.endsWith(SUFFIX));
    this.paths = left.map((name) => `${directory}/${name}`);
  }

  /** Takes the segment out of the log; throws the error of the disk. Durable with the next sync of the directory: no `step` before. */
  add(segment: number): void {
    const path = segmentPath(this.directory, segment);
    try {
      this.disk.rename(path, path + SUFFIX);
      this.paths.push(path + SUFFIX);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      // A full disk may have no room for another name.
      unlinkIfThere(this.disk, path);
    }
  }

  get isEmpty(): boolean {
    return this.paths.length === 0;
  }

  /** Gives back about a MiB. What the disk does not let go of is left for the next life. */
  step(): void {
    const [path] = this.paths;
    try {
      if (this.shorten(path)) return;
      unlinkIfThere(this.disk, path);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
    this.paths.shift();
    this.sizeBytes = -1;
  }

  /** False when there is too little for a step. */
  private shorten(path: string): boolean {
    const file = this.disk.open(path, 'write');
    try {
      if (this.sizeBytes < 0) this.sizeBytes = file.size();
      if (this.sizeBytes <= STEP_BYTES) return false;
      this.sizeBytes -= STEP_BYTES;
      file.truncate(this.sizeBytes);
      return true;
    } finally {
      file.close();
    }
  }
}
