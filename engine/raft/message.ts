/**
 * What replicas of a group say to each other. One class for all types, so that every place that handles messages sees
 * one shape; fields that a type does not use are zero. The network may lose, repeat, delay and reorder messages.
 *
 * ```
 * type              index            logTerm        commit   hint         round     others
 * PREVOTE, VOTE     last entry       its term                                       force
 * ..._REPLY                                                                         reject
 * APPEND            entry before     its term       commit                          entries
 * APPEND_REPLY      last held |      - |                     - |                    reject
 *                   refused one      term at hint            try from here
 * HEARTBEAT                                         commit                round
 * HEARTBEAT_REPLY                                                         round
 * SNAPSHOT                                                                          snapshot
 * TIMEOUT_NOW
 * READ_INDEX                                                              request   incarnation
 * READ_INDEX_REPLY  index to apply                                        request   incarnation
 * ```
 */
import type { Entry, LogIndex, ReplicaId, SnapshotMeta, Term } from './entry.ts';

export const PREVOTE = 1;
export const PREVOTE_REPLY = 2;
export const VOTE = 3;
export const VOTE_REPLY = 4;
export const APPEND = 5;
export const APPEND_REPLY = 6;
export const HEARTBEAT = 7;
export const HEARTBEAT_REPLY = 8;
/** Stepped into the receiver by whoever received the snapshot's bytes, once it has them all. */
export const SNAPSHOT = 9;
export const TIMEOUT_NOW = 10;
export const READ_INDEX = 11;
export const READ_INDEX_REPLY = 12;

export const NO_ENTRIES: readonly Entry[] = [];

export class Message {
  readonly type: number;
  readonly group: number;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly term: Term;
  index: LogIndex = 0;
  logTerm: Term = 0;
  commit: LogIndex = 0;
  hint: LogIndex = 0;
  round = 0;
  incarnation = 0;
  reject = false;
  /** The leader itself asked for this election: voters who hear of a leader answer all the same. */
  force = false;
  entries: readonly Entry[] = NO_ENTRIES;
  snapshot: SnapshotMeta | null = null;

  constructor(type: number, group: number, from: ReplicaId, to: ReplicaId, term: Term) {
    this.type = type;
    this.group = group;
    this.from = from;
    this.to = to;
    this.term = term;
  }
}
