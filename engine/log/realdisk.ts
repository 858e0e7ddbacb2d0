/**
 * The real disk: node:fs, synchronously. Any thread that may block, which the main thread of a server may not.
 */
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { type Disk, DiskError, type DiskFile } from './disk.ts';

/** The largest piece for one system call: Linux takes at most 2^31 - 4096 bytes, and Node no more than 2^31 - 1. */
const PIECE_BYTES = 1024 * 1024 * 1024;

class RealFile implements DiskFile {
  path: string;
  private readonly fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.fd = fd;
  }

  read(bytes: Uint8Array, start: number, length: number, offset: number): number {
    let done = 0;
    try {
      while (done < length) {
        const piece = Math.min(length - done, PIECE_BYTES);
        const count = readSync(this.fd, bytes, start + done, piece, offset + done);
        if (count === 0) break;
        done += count;
      }
    } catch (error) {
      throw translated('read', this.path, offset + done, error);
    }
    return done;
  }

  write(bytes: Uint8Array, start: number, length: number, offset: number): number {
    try {
      return writeSync(this.fd, bytes, start, Math.min(length, PIECE_BYTES), offset);
    } catch (error) {
      throw translated(`write ${length} bytes to`, this.path, offset, error);
    }
  }

  sync(): void {
    attempt('sync', this.path, () => fdatasyncSync(this.fd));
  }

  truncate(sizeBytes: number): void {
    attempt(`set the size to ${sizeBytes} of`, this.path, () => ftruncateSync(this.fd, sizeBytes));
  }

  size(): number {
    return attempt('look at', this.path, () => fstatSync(this.fd).size);
  }

  close(): void {
    try {
      closeSync(this.fd);
    } catch {
      // What matters was synced before; the descriptor is gone in any case.
    }
  }
}

export const realDisk: Disk = {
  open(path, mode) {
    return new RealFile(
      path,
      attempt('open', path, () => openSync(path, mode === 'read' ? 'r' : 'r+')),
    );
  },

  create(path) {
    return new RealFile(
      path,
      attempt('create', path, () => openSync(path, 'wx+', 0o644)),
    );
  },

  makeDirectory(path) {
    const first = attempt('make the directory', path, () => mkdirSync(path, { recursive: true }));
    if (first === undefined) return;
    // Each new directory is an entry of the one above it.
    for (let made = path; ; made = dirname(made)) {
      realDisk.syncDirectory(dirname(made));
      if (made === first || made === dirname(made)) break;
    }
  },

  rename(from, to) {
    attempt(`rename to ${to}`, from, () => renameSync(from, to));
  },

  unlink(path) {
    attempt('unlink', path, () => unlinkSync(path));
  },

  list(directory) {
    return attempt('list', directory, () => readdirSync(directory).sort());
  },

  syncDirectory(directory) {
    const fd = attempt('open', directory, () => openSync(directory, 'r'));
    try {
      attempt('sync', directory, () => fsyncSync(fd));
    } finally {
      closeSync(fd);
    }
  },
};

function attempt<T>(what: string, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw translated(what, path, -1, error);
  }
}

function translated(what: string, path: string, offset: number, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return error;
  // Node's text is "ENOSPC: no space left on device, write".
  return new DiskError(what, path, offset, code, message.split(',')[0]);
}
