/**
 * What can go wrong with the log, as errors with a code: trouble of the disk, bytes that are not what was written, a
 * directory that another process holds. Every message names the file, and the offset where there is one.
 */
import { DiskError } from './disk.ts';

/** Codes a caller may act on. */
export type LogErrorCode =
  /** The disk or its quota is full. The same call may be tried again. */
  | 'NO_SPACE'
  /** The file system may not be written. The same call may be tried again. */
  | 'READ_ONLY'
  /** The process may not write (or read) here. The same call may be tried again. */
  | 'DENIED'
  /** Any other trouble of reading or writing. The same call may be tried again. */
  | 'IO'
  /** A sync failed: what was written may be gone, though the disk seems to work. Never tried again; the log is unusable. */
  | 'SYNC_FAILED'
  /** Bytes that were durable are missing or changed. */
  | 'CORRUPT'
  /** Written by a program with another format. */
  | 'VERSION'
  /** Another process holds the directory. */
  | 'LOCKED'
  /** The entries asked for were dropped: a snapshot covers them. */
  | 'COMPACTED'
  /** More is buffered than the log takes before it is written. */
  | 'BUFFER_FULL';

export class LogError extends Error {
  override readonly name = 'LogError';
  readonly code: LogErrorCode;
  readonly file: string;
  /** Where in the file, in bytes; -1 when the trouble has no place. */
  readonly offset: number;
  /** The system's own word, as ENOSPC; '' when the trouble is not the system's. */
  readonly systemCode: string;
  /** For CORRUPT: what is damaged, in a few words. */
  what = '';

  constructor(code: LogErrorCode, message: string, file: string, offset = -1, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.file = file;
    this.offset = offset;
    this.systemCode = cause instanceof DiskError ? cause.systemCode : '';
  }
}

/** Damage that only an operator can decide about. */
export function corrupt(file: string, offset: number, what: string): LogError {
  const text =
    `the log is damaged: ${what}, in ${file} at offset ${offset}. ` +
    'Nothing was changed. Run with --repair to see what can be kept and what would be lost; it does nothing that was not asked for.';
  const error = new LogError('CORRUPT', text, file, offset);
  error.what = what;
  return error;
}

/** Trouble of the disk in the log's terms; whatever else was thrown stays as it is. */
export function fromDisk(error: unknown): unknown {
  if (!(error instanceof DiskError)) return error;
  const { code } = error;
  const isKnown = code === 'NO_SPACE' || code === 'READ_ONLY' || code === 'DENIED';
  return new LogError(isKnown ? code : 'IO', `log: ${error.message}`, error.file, error.offset, error);
}

export function syncFailed(error: DiskError): LogError {
  const text =
    `log: ${error.message}. What was written since the last sync may be lost, and trying again would not bring it back: ` +
    'stop, and start again from what the disk has.';
  return new LogError('SYNC_FAILED', text, error.file, -1, error);
}
