/**
 * What peers say to each other, as plain objects: what codec.ts makes frames of and finds in them. peer.fbs says what the fields mean. Terms,
 * indexes, ids and rounds are whole numbers below 2^53; groups and replicas below 2^32.
 *
 * Bytes in a message that was received lie in the frame, not in a copy: they last as long as the frame's memory does.
 */
import { Body } from './generated/peer/body.ts';

/** An older peer than this would misunderstand us, or we it. */
export const PROTOCOL_VERSION = 1;

export const NONCE_BYTES = 32;
export const PROOF_BYTES = 32;

/** SnapshotReply.status: go on from `offset`. */
export const SNAPSHOT_CONTINUE = 0;
/** It is installed. */
export const SNAPSHOT_DONE = 1;
/** Not wanted (any more): of an old term, older than what is there, or it turned out damaged. */
export const SNAPSHOT_REFUSED = 2;

/** ForwardReply.status: done, and these are the replies. */
export const FORWARD_DONE = 0;
/** Not the leader; nothing was done. `leader` is, as far as known; 0: not known. */
export const FORWARD_NOT_LEADER = 1;
/** Some of it may have been done, or may be later. */
export const FORWARD_UNKNOWN = 2;
/** A blocking command that has found nothing; the reply is how long it waits, in milliseconds. */
export const FORWARD_BLOCKED = 3;

/** JoinReply.status: it is a member. */
export const JOIN_DONE = 0;
/** Not the leader; nothing was done. */
export const JOIN_NOT_LEADER = 1;
/** Never, as asked: the text says why. */
export const JOIN_REFUSED = 2;
/** Not now, or it is not known what came of it: to be asked again. */
export const JOIN_LATER = 3;

export const HANDSHAKE = Body.Handshake;
export const APPEND = Body.Append;
export const APPEND_REPLY = Body.AppendReply;
export const VOTE = Body.Vote;
export const VOTE_REPLY = Body.VoteReply;
export const HEARTBEAT = Body.Heartbeat;
export const HEARTBEAT_REPLY = Body.HeartbeatReply;
export const SNAPSHOT_CHUNK = Body.SnapshotChunk;
export const SNAPSHOT_REPLY = Body.SnapshotReply;
export const TIMEOUT_NOW = Body.TimeoutNow;
export const FORWARD = Body.Forward;
export const FORWARD_REPLY = Body.ForwardReply;
export const READ_INDEX = Body.ReadIndex;
export const READ_INDEX_REPLY = Body.ReadIndexReply;
export const PING = Body.Ping;
export const JOIN = Body.Join;
export const JOIN_REPLY = Body.JoinReply;

export interface GroupReplica {
  readonly group: number;
  readonly replica: number;
}

export interface Handshake {
  readonly type: typeof HANDSHAKE;
  readonly version: number;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly nodeName: string;
  readonly replicas: readonly GroupReplica[];
  /** NONCE_BYTES of them. */
  readonly nonce: Uint8Array;
  /** PROOF_BYTES of them, or none. */
  readonly proof: Uint8Array;
}

/** An entry of the log: its payload is bytes[start, start + length). */
export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly kind: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly length: number;
}

/** From one replica of a group to another, in the sender's term. */
interface GroupMessage {
  readonly group: number;
  readonly from: number;
  readonly to: number;
  readonly term: number;
}

export interface Append extends GroupMessage {
  readonly type: typeof APPEND;
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly commit: number;
  readonly round: number;
  /** Of the indexes from prevIndex + 1 on; `index` itself does not travel. */
  readonly entries: readonly Entry[];
}

export interface AppendReply extends GroupMessage {
  readonly type: typeof APPEND_REPLY;
  readonly accepted: boolean;
  readonly index: number;
  readonly conflictTerm: number;
  readonly conflictIndex: number;
  readonly round: number;
}

export interface Vote extends GroupMessage {
  readonly type: typeof VOTE;
  readonly pre: boolean;
  readonly force: boolean;
  readonly lastIndex: number;
  readonly lastTerm: number;
}

export interface VoteReply extends GroupMessage {
  readonly type: typeof VOTE_REPLY;
  readonly pre: boolean;
  readonly granted: boolean;
}

export interface Beat extends GroupMessage {
  readonly commit: number;
  readonly round: number;
}

export interface Heartbeat {
  readonly type: typeof HEARTBEAT;
  readonly beats: readonly Beat[];
}

export interface BeatReply extends GroupMessage {
  readonly round: number;
}

export interface HeartbeatReply {
  readonly type: typeof HEARTBEAT_REPLY;
  readonly beats: readonly BeatReply[];
}

export interface SnapshotChunk extends GroupMessage {
  readonly type: typeof SNAPSHOT_CHUNK;
  readonly snapshot: number;
  readonly index: number;
  readonly lastTerm: number;
  readonly offset: number;
  readonly last: boolean;
  /** Of `data`. Whoever writes it to a file compares it with what reached the file. */
  readonly crc: number;
  readonly configurationIndex: number;
  readonly configuration: Uint8Array;
  readonly data: Uint8Array;
  readonly round: number;
}

export interface SnapshotReply extends GroupMessage {
  readonly type: typeof SNAPSHOT_REPLY;
  readonly snapshot: number;
  readonly status: number;
  readonly offset: number;
  readonly window: number;
  readonly round: number;
}

export interface TimeoutNow extends GroupMessage {
  readonly type: typeof TIMEOUT_NOW;
}

export interface Forward {
  readonly type: typeof FORWARD;
  readonly group: number;
  readonly id: number;
  readonly database: number;
  /** The RESP version that the client speaks, 2 or 3. */
  readonly resp: number;
  readonly request: Uint8Array;
}

export interface ForwardReply {
  readonly type: typeof FORWARD_REPLY;
  readonly group: number;
  readonly id: number;
  readonly status: number;
  readonly leader: number;
  readonly term: number;
  readonly index: number;
  readonly reply: Uint8Array;
}

export interface ReadIndex extends GroupMessage {
  readonly type: typeof READ_INDEX;
  readonly id: number;
  readonly incarnation: number;
}

export interface ReadIndexReply extends GroupMessage {
  readonly type: typeof READ_INDEX_REPLY;
  readonly id: number;
  readonly incarnation: number;
  readonly accepted: boolean;
  readonly index: number;
}

export interface Ping {
  readonly type: typeof PING;
  readonly id: number;
  readonly answer: boolean;
}

export interface Join {
  readonly type: typeof JOIN;
  readonly nodeId: string;
  readonly nodeName: string;
  readonly peerAddress: string;
  readonly clientAddress: string;
}

/** A member, and where it is. */
export interface Member {
  readonly replica: number;
  readonly nodeId: string;
  readonly nodeName: string;
  readonly peerAddress: string;
  readonly clientAddress: string;
}

export interface JoinReply {
  readonly type: typeof JOIN_REPLY;
  readonly status: number;
  readonly replica: number;
  readonly text: string;
  readonly clusterId: string;
  /** The leader's peer address; '' where it is not known. */
  readonly leader: string;
  readonly members: readonly Member[];
}

export type PeerMessage =
  | Handshake
  | Append
  | AppendReply
  | Vote
  | VoteReply
  | Heartbeat
  | HeartbeatReply
  | SnapshotChunk
  | SnapshotReply
  | TimeoutNow
  | Forward
  | ForwardReply
  | ReadIndex
  | ReadIndexReply
  | Ping
  | Join
  | JoinReply;
