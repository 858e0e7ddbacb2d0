/**
 * The disk as the log and the snapshots see it: a handful of synchronous calls, so that a simulated disk can tear, lose
 * and fail at any of them (test/sim/simdisk.ts) and the real one (engine/log/realdisk.ts) adds nothing. Any thread that may
 * block; each call costs what the system call costs.
 *
 * What is durable when: bytes of a file after its `sync`, names after `syncDirectory` of their directory, and nothing
 * before. A call that fails throws a DiskError; `write` alone may also do less than it was asked, as pwrite may.
 */

/** What an error of the disk means to a caller; `systemCode` has the system's own word. */
export type DiskErrorCode =
  /** The disk or a quota is full. */
  | 'NO_SPACE'
  /** The file system is mounted read-only. */
  | 'READ_ONLY'
  /** The process may not do this here. */
  | 'DENIED'
  | 'NOT_FOUND'
  | 'EXISTS'
  /** Anything else. */
  | 'IO';

export class DiskError extends Error {
  override readonly name = 'DiskError';
  readonly code: DiskErrorCode;
  /** ENOSPC and the like; '' when the system said nothing. */
  readonly systemCode: string;
  readonly file: string;
  /** Where in the file, in bytes; -1 when the trouble has no place. */
  readonly offset: number;

  /** `what` was tried with `file`, and the system said `systemCode`: `text`. */
  constructor(what: string, file: string, offset: number, systemCode: string, text: string) {
    const place = offset < 0 ? file : `${file} at offset ${offset}`;
    super(`cannot ${what} ${place}: ${text}`);
    this.code = codeOf(systemCode);
    this.systemCode = systemCode;
    this.file = file;
    this.offset = offset;
  }
}

function codeOf(systemCode: string): DiskErrorCode {
  switch (systemCode) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'NO_SPACE';
    case 'EROFS':
      return 'READ_ONLY';
    case 'EACCES':
    case 'EPERM':
      return 'DENIED';
    case 'ENOENT':
      return 'NOT_FOUND';
    case 'EEXIST':
      return 'EXISTS';
    default:
      return 'IO';
  }
}

export interface DiskFile {
  /** For messages: whoever renames the file while it is open sets it. */
  path: string;
  /** Bytes from `offset` on into bytes[start, start + length); how many there were: fewer only at the end of the file. */
  read(bytes: Uint8Array, start: number, length: number, offset: number): number;
  /** Writes bytes[start, start + length) at `offset`; how many were taken, perhaps fewer (see `writeAll`). */
  write(bytes: Uint8Array, start: number, length: number, offset: number): number;
  /** fdatasync: all that was written, and the size of the file, is durable on return. */
  sync(): void;
  truncate(sizeBytes: number): void;
  size(): number;
  /** Never throws: there is nothing that a caller could do about it. */
  close(): void;
}

export interface Disk {
  /** An existing file; `write` for reading and writing. */
  open(path: string, mode: 'read' | 'write'): DiskFile;
  /** A new file for reading and writing; an error when the name is taken. */
  create(path: string): DiskFile;
  /** Makes a directory and those above it, durably. No error when it exists. */
  makeDirectory(path: string): void;
  /** Replaces what had the name `to`. */
  rename(from: string, to: string): void;
  unlink(path: string): void;
  /** The names in a directory, sorted. */
  list(directory: string): string[];
  syncDirectory(directory: string): void;
}

/** `write` until everything is written; a write that takes nothing counts as an error. */
export function writeAll(file: DiskFile, bytes: Uint8Array, start: number, length: number, offset: number): void {
  let done = 0;
  while (done < length) {
    const taken = file.write(bytes, start + done, length - done, offset + done);
    if (taken <= 0) throw new DiskError('write', file.path, offset + done, 'EIO', 'the system took no bytes');
    done += taken;
  }
}

/** Unlinks a file that may not exist. */
export function unlinkIfThere(disk: Disk, path: string): void {
  try {
    disk.unlink(path);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'NOT_FOUND') throw error;
  }
}
