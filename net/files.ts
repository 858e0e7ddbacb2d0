/** Files as the server itself keeps them: replaced whole, and what the system says when a call on one fails. Main thread, rare. */
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** The system's own words for a failed call on a file, as Redis prints them: `No such file or directory`. */
export function systemMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const plain = /^[A-Z0-9]+: (.*?)(, [a-z]+( '.*)?)?$/s.exec(text)?.[1] ?? text;
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}

/**
 * Replaces a file so that after a crash either the old or the new one is there, whole: written beside it, flushed,
 * renamed over it, and the directory flushed. Follows a symbolic link and keeps the file's permissions.
 */
export function replaceFile(path: string, text: string): void {
  const target = realpathSync(path);
  const beside = `${target}.${process.pid}.tmp`;
  const fd = openSync(beside, 'wx', 0o600);
  try {
    fchmodSync(fd, statSync(target).mode & 0o777);
    writeFileSync(fd, text, 'latin1');
    fsyncSync(fd);
    renameSync(beside, target);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  const directory = openSync(dirname(target), 'r');
  fsyncSync(directory);
  closeSync(directory);
}
