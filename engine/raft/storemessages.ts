/**
 * What the main thread and the thread of a replica's storage tell each other by message: questions and answers, trouble, the end.
 * Batches and their progress go another way (storelink.ts).
 */
import type { MessagePort } from 'node:worker_threads';
import { LogError, type LogErrorCode } from '../log/errors.ts';
import type { LogMemory } from '../log/link.ts';
import { Entry, type LogIndex, type Term } from './entry.ts';
import type { Identity } from './storage.ts';
import type { OpenedLog } from './storeopened.ts';

export interface StoreThreadData {
  memory: LogMemory;
  /** Word 0 is rung when there is progress. */
  mainBell: SharedArrayBuffer;
  directory: string;
  /** For messages: StoreMessage one way, StoreRequest the other. */
  port: MessagePort;
  /** For entries too large for the ring. */
  entryPort: MessagePort;
}

/** What it is asked; `id` comes back with the answer. */
export type StoreRequest =
  | { kind: 'begin'; id: number; identity: Identity }
  | { kind: 'open'; id: number; snapshotIndex: LogIndex; snapshotTerm: Term }
  | { kind: 'fetch'; id: number; from: LogIndex; to: LogIndex; maxBytes: number }
  | { kind: 'compact'; through: LogIndex };

/** A LogError on its way to another thread. */
export interface StoreFailure {
  code: LogErrorCode;
  text: string;
  file: string;
  offset: number;
}

/** What it tells. The first is `life` or `fatal`. */
export type StoreMessage =
  | { kind: 'life'; identity: Identity | undefined; incarnation: number }
  | { kind: 'begun'; id: number }
  | { kind: 'opened'; id: number; opened: OpenedLog; notes: string[] }
  /** As `packEntries` says. */
  | { kind: 'fetched'; id: number; bytes: Uint8Array<ArrayBuffer> }
  | { kind: 'refused'; id: number; failure: StoreFailure }
  /** The disk does not take what is written; '' when it does again. */
  | { kind: 'trouble'; text: string }
  | { kind: 'fatal'; failure: StoreFailure };

const HEADER_BYTES = 24;

/** Each entry: u32 payload bytes, u32 kind, f64 index, f64 term, payload, zeros up to a multiple of 8. */
export function packEntries(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const { length } of entries) size += HEADER_BYTES + ((length + 7) & ~7);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { index, term, kind, bytes: payload, start, length } of entries) {
    view.setUint32(at, length, true);
    view.setUint32(at + 4, kind, true);
    view.setFloat64(at + 8, index, true);
    view.setFloat64(at + 16, term, true);
    bytes.set(payload.subarray(start, start + length), at + HEADER_BYTES);
    at += HEADER_BYTES + ((length + 7) & ~7);
  }
  return bytes;
}

/** The entries lie in `bytes`. */
export function unpackEntries(bytes: Uint8Array<ArrayBuffer>): Entry[] {
  const entries: Entry[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at, true);
    const kind = view.getUint32(at + 4, true);
    const index = view.getFloat64(at + 8, true);
    const term = view.getFloat64(at + 16, true);
    entries.push(new Entry(index, term, kind, bytes, at + HEADER_BYTES, length));
    at += HEADER_BYTES + ((length + 7) & ~7);
  }
  return entries;
}

export function failureOf({ code, message, file, offset }: LogError): StoreFailure {
  return { code, text: message, file, offset };
}

export function errorOf({ code, text, file, offset }: StoreFailure): LogError {
  return new LogError(code, text, file, offset);
}
