/**
 * Disks that fail under a real node: a file system of a few MiB that can be filled and emptied, and system calls that a
 * tracer makes fail or wait. Either may be forbidden where the tests run; they then skip with a message.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FILLER = 'filler';
const PIECE_BYTES = 64 * 1024;

/** A file system in memory; needs to be root. */
export class SmallDisk {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** undefined where it may not be mounted. */
  static mount(mebibytes: number): SmallDisk | undefined {
    const path = mkdtempSync(join(tmpdir(), 'millrace-disk-'));
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', path]);
    if (status === 0) return new SmallDisk(path);
    rmSync(path, { recursive: true });
    return undefined;
  }

  /** Leaves no room at all. */
  fill(): void {
    for (let bytes = PIECE_BYTES; bytes > 0; ) {
      try {
        writeFileSync(join(this.path, FILLER), Buffer.alloc(bytes), { flag: 'a' });
      } catch {
        bytes >>= 1;
      }
    }
  }

  /** Takes away what `fill` has put there. */
  free(): void {
    unlinkSync(join(this.path, FILLER));
  }

  remount(option: 'ro' | 'rw'): void {
    spawnSync('mount', ['-o', `remount,${option}`, this.path]);
  }

  unmount(): void {
    spawnSync('umount', ['-l', this.path]);
    rmSync(this.path, { recursive: true, force: true });
  }
}

export const diskAvailable = ((): boolean => {
  const disk = SmallDisk.mount(1);
  disk?.unmount();
  return disk !== undefined;
})();

/**
 * What stands before a program whose system calls the tracer changes: `inject` as strace reads it, which counts the calls
 * of each thread by itself. The process is then the program, not the tracer.
 */
export function tracer(call: string, inject: string): string[] {
  return ['strace', '-D', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:${inject}`];
}

/** Whether there is a strace that may do this. */
export const tracerAvailable = ((): boolean => {
  const [command, ...args] = [...tracer('fdatasync', 'error=EIO'), 'true'];
  return spawnSync(command, args).status === 0;
})();
