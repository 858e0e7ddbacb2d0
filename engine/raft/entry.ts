/**
 * What a Raft log is made of. Plain data, shared by reference between log, messages and writes: nobody changes an entry
 * once it is made, and nobody copies its bytes, so whoever proposes gives up bytes[start, start + length).
 */
import type { Configuration } from './config.ts';

/** Counts the entries of one group from 1; 0 is "before the first". Below 2^53. */
export type LogIndex = number;
export type Term = number;
/** From 1 to 2^32 - 1, never used again once removed; 0 is "none". */
export type ReplicaId = number;

/** Bytes for the state machine. */
export const ENTRY_COMMAND = 0;
/** What a leader begins its term with, but for a group's first: no bytes, nothing to apply. */
export const ENTRY_NOOP = 1;
/** A configuration (config.ts); nothing to apply. The kind is stored and sent with the entry. */
export const ENTRY_CONFIG = 2;

export const NO_BYTES = new Uint8Array(0);

export class Entry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly length: number;

  constructor(index: LogIndex, term: Term, kind: number, bytes: Uint8Array, start: number, length: number) {
    this.index = index;
    this.term = term;
    this.kind = kind;
    this.bytes = bytes;
    this.start = start;
    this.length = length;
  }
}

/** What a snapshot must say of itself besides the state: the entry it ends with, and who was in the group by then. */
export interface SnapshotMeta {
  readonly index: LogIndex;
  readonly term: Term;
  readonly config: Configuration;
  /** The entry that brought `config`; 0 when the group began with it. */
  readonly configIndex: LogIndex;
}

/** What must be durable before this replica answers anybody in this term. */
export interface HardState {
  readonly term: Term;
  readonly vote: ReplicaId;
}
