/**
 * Writes of clients of a node that does not lead: their bytes go to the leader, the replies come back. Main thread.
 *
 * What may have reached the leader's log is never sent again: when the connection is lost, or the answer does not come in
 * time, the client reads `UNKNOWN`. Only a leader that says that it is none (and so has done nothing) makes this node ask
 * the next one. Writes of one session that follow each other in a turn travel as one message, and so do their replies.
 *
 * The leader stages forwarded writes like its own, in the order in which they came from each peer.
 */
import { randomInt } from 'node:crypto';
import type { CommandRow } from '../../engine/command.ts';
import type { LogIndex, ReplicaId } from '../../engine/raft/entry.ts';
import type { Request } from '../../engine/request.ts';
import {
  FORWARD,
  FORWARD_BLOCKED,
  FORWARD_DONE,
  FORWARD_NOT_LEADER,
  FORWARD_REPLY,
  FORWARD_UNKNOWN,
  type Forward,
  type ForwardReply,
  type PeerMessage,
} from '../../proto/messages.ts';
import type { Session } from '../session.ts';
import type { ReplyTarget } from './proposals.ts';

/** Writes of one message, unless a single one is longer. */
const SENT_BYTES = 256 * 1024;
/** The longest replies that go back in one message. */
const REPLY_BYTES = 60 * 1024 * 1024;
/** Added to the RESP version of a blocking command that has found nothing before. */
export const RETRIES = 128;
/** After so long without an answer a client is told that nobody knows. */
export const ANSWER_MS = 5000;
const FIRST_BYTES = 4096;
const NOTHING = new Uint8Array(0);
export const UNKNOWN_TEXT =
  'UNKNOWN The leader was lost before it answered. The write may have been done, or may be done yet';
export const NOT_APPLIED_TEXT = 'NOTAPPLIED The leader changed before the write was accepted; nothing was done';
export const LONG_REPLY_TEXT = 'UNKNOWN The write was done, but its reply is too long to come from another node';
export const NO_LEADER_TEXT = 'CLUSTERDOWN The group has no leader at the moment; nothing was done';

/** Writes of one session, or of one blocking attempt, on their way. */
interface Sent {
  readonly id: number;
  readonly target: ReplyTarget;
  readonly session: Session | undefined;
  readonly database: number;
  readonly resp: number;
  /** Whether CLIENT REPLY keeps all their replies back, else none. */
  readonly isMuted: boolean;
  readonly seqs: number[];
  bytes: Uint8Array;
  length: number;
  to: ReplicaId;
  sinceMs: number;
}

export interface ForwardHooks {
  leader(): ReplicaId;
  send(to: ReplicaId, message: PeerMessage): boolean;
  group: number;
  /** A blocking command, `request` in `database`, has found nothing in the state of `index`, and waits so long. */
  blocked(target: ReplyTarget, database: number, request: Uint8Array, waitMs: number, index: LogIndex): void;
}

/** What a follower has with the leader. */
export class Forwards {
  private readonly hooks: ForwardHooks;
  /** Not from 1 on: answers to what an earlier life of this node has asked may still come. */
  private nextId = randomInt(2 ** 46);
  private readonly sent = new Map<number, Sent>();
  /** The ones of this turn, and those that look for the next leader. */
  private outgoing: Sent[] = [];
  /** The node that has everything that is sent; 0 when it may be several. */
  private sentTo: ReplicaId = 0;

  constructor(hooks: ForwardHooks) {
    this.hooks = hooks;
  }

  get isEmpty(): boolean {
    return this.sent.size === 0 && this.outgoing.length === 0;
  }

  /** Takes the request; its reply goes to `target` as number `seq`. */
  add(
    request: Request,
    database: number,
    resp: number,
    target: ReplyTarget,
    session: Session | undefined,
    seq: number,
  ): void {
    const last = this.outgoing[this.outgoing.length - 1];
    let sent = last;
    const isMuted = session?.isMuted === true;
    if (
      last === undefined ||
      // What this node answers itself between two of them has a number, and its place among their replies.
      (last.seqs[last.seqs.length - 1] + 1) >>> 0 !== seq ||
      last.isMuted !== isMuted ||
      last.to !== 0 ||
      last.length >= SENT_BYTES ||
      last.target !== target ||
      last.database !== database ||
      last.resp !== resp
    ) {
      sent = {
        id: this.nextId++,
        target,
        session,
        database,
        resp,
        isMuted,
        seqs: [],
        bytes: new Uint8Array(FIRST_BYTES),
        length: 0,
        to: 0,
        sinceMs: performance.now(),
      };
      this.outgoing.push(sent);
    }
    sent.seqs.push(seq);
    writeRequest(sent, request);
  }

  /** At the end of a turn: sends what was added, if there is somebody to send it to. */
  flush(): void {
    if (this.outgoing.length === 0) return;
    const leader = this.hooks.leader();
    if (leader === 0) return;
    const kept: Sent[] = [];
    const elsewhere = this.waitingElsewhere(leader);
    const queue = this.outgoing;
    this.outgoing = kept;
    for (const sent of queue) {
      if (sent.target.isAbandoned === true) {
        this.fail(sent, NOT_APPLIED_TEXT);
        continue;
      }
      // Behind what it has at another node, which may still be done, and its earlier ones: those of one client stay in order.
      if (elsewhere.has(sent.target)) {
        kept.push(sent);
        continue;
      }
      const request = sent.bytes.subarray(0, sent.length);
      const { id, database, resp } = sent;
      this.sent.set(id, sent);
      if (this.hooks.send(leader, { type: FORWARD, group: this.hooks.group, id, database, resp, request })) {
        sent.to = leader;
      } else {
        this.sent.delete(id);
        elsewhere.add(sent.target);
        kept.push(sent);
      }
    }
  }

  /** Who waits for answers of other nodes than this one. */
  private waitingElsewhere(leader: ReplicaId): Set<ReplyTarget> {
    const targets = new Set<ReplyTarget>();
    if (this.sentTo === leader) return targets;
    for (const { to, target } of this.sent.values()) if (to !== leader) targets.add(target);
    if (targets.size === 0) this.sentTo = leader;
    return targets;
  }

  /** Whether the session waits for answers, or to be sent. */
  has(session: Session): boolean {
    for (const sent of this.outgoing) if (sent.session === session) return true;
    for (const sent of this.sent.values()) if (sent.session === session) return true;
    return false;
  }

  answered(m: ForwardReply): void {
    const sent = this.sent.get(m.id);
    if (sent === undefined) return;
    this.sent.delete(m.id);
    if (m.status === FORWARD_NOT_LEADER) {
      sent.to = -1;
      this.sendAgain(sent);
      return;
    }
    if (m.status === FORWARD_UNKNOWN) {
      this.fail(sent, UNKNOWN_TEXT);
      return;
    }
    if (sent.session !== undefined && m.index > sent.session.fence) sent.session.fence = m.index;
    if (m.status === FORWARD_BLOCKED) {
      const waitMs = Number(Buffer.from(m.reply).toString());
      this.hooks.blocked(sent.target, sent.database, sent.bytes.subarray(0, sent.length), waitMs, m.index);
      return;
    }
    sent.target.deliver(sent.seqs[0], m.reply, 0, m.reply.length);
    for (let i = 1; i < sent.seqs.length; i++) sent.target.deliver(sent.seqs[i], NOTHING, 0, 0);
  }

  /** In the order in which they came. */
  private sendAgain(sent: Sent): void {
    let at = this.outgoing.length;
    while (at > 0 && this.outgoing[at - 1].id > sent.id) at--;
    this.outgoing.splice(at, 0, sent);
  }

  /** The connection to a peer is gone: what it had may have been done. */
  lost(replica: ReplicaId): void {
    for (const [id, sent] of this.sent) {
      if (sent.to !== replica) continue;
      this.sent.delete(id);
      this.fail(sent, UNKNOWN_TEXT);
    }
  }

  /** Lets go of what takes too long; whether there was any. */
  expire(nowMs: number): boolean {
    const before = this.sent.size + this.outgoing.length;
    for (const [id, sent] of this.sent) {
      if (nowMs - sent.sinceMs < ANSWER_MS) break;
      this.sent.delete(id);
      this.fail(sent, UNKNOWN_TEXT);
    }
    while (this.outgoing.length > 0 && nowMs - this.outgoing[0].sinceMs >= ANSWER_MS) {
      this.fail(this.outgoing.shift() as Sent, NO_LEADER_TEXT);
    }
    return this.sent.size + this.outgoing.length < before;
  }

  private fail(sent: Sent, text: string): void {
    const bytes = errorBytes(text);
    for (const seq of sent.seqs) sent.target.deliver(seq, bytes, 0, bytes.length);
  }
}

export function errorBytes(text: string): Uint8Array {
  return Buffer.from(`-${text}\r\n`, 'latin1');
}

/** Appends the request as clients send them: `*2\r\n$3\r\nGET\r\n…`. */
function writeRequest(sent: Sent, request: Request): void {
  const { argc, buf, off, len } = request;
  let need = 16;
  for (let i = 0; i < argc; i++) need += 16 + len[i];
  if (sent.length + need > sent.bytes.length) {
    const grown = new Uint8Array(Math.max(sent.bytes.length * 2, sent.length + need));
    grown.set(sent.bytes.subarray(0, sent.length));
    sent.bytes = grown;
  }
  const out = Buffer.from(sent.bytes.buffer, sent.bytes.byteOffset, sent.bytes.length);
  let at = sent.length;
  at += out.write(`*${argc}\r\n`, at, 'latin1');
  for (let i = 0; i < argc; i++) {
    at += out.write(`$${len[i]}\r\n`, at, 'latin1');
    out.set(buf.subarray(off[i], off[i] + len[i]), at);
    at += len[i];
    out[at++] = 13;
    out[at++] = 10;
  }
  sent.length = at;
}

/** The leader's side of one Forward: gathers the replies, in order, and sends them when all are there. */
export class Forwarded implements ReplyTarget {
  readonly from: ReplicaId;
  readonly request: Forward;
  /** How far its requests are staged. */
  at = 0;
  private isClosed = false;
  /** The last entry with commands of it. */
  private index: LogIndex = 0;
  private readonly parts: Uint8Array[] = [];
  private missing = 0;
  /** Of the replies. */
  private bytes = 0;
  private readonly send: (to: ReplicaId, message: PeerMessage) => boolean;

  constructor(from: ReplicaId, request: Forward, send: (to: ReplicaId, message: PeerMessage) => boolean) {
    this.from = from;
    this.request = request;
    this.send = send;
  }

  get staged(): number {
    return this.parts.length;
  }

  /** The number of its next command, which is staged now. */
  next(): number {
    this.missing++;
    return this.parts.push(NOTHING) - 1;
  }

  settled(index: LogIndex): void {
    this.index = index;
  }

  deliver(seq: number, from: Uint8Array, start: number, length: number): void {
    this.bytes += length;
    this.parts[seq] = this.bytes > REPLY_BYTES ? errorBytes(LONG_REPLY_TEXT) : from.slice(start, start + length);
    this.missing--;
    this.sendWhenDone();
  }

  /** All its commands are staged. */
  close(): void {
    this.isClosed = true;
    this.sendWhenDone();
  }

  private sendWhenDone(): void {
    if (!this.isClosed || this.missing > 0) return;
    const reply = this.parts.length === 1 ? this.parts[0] : Buffer.concat(this.parts);
    this.answer(FORWARD_DONE, reply);
  }

  /** A blocking command travels alone. */
  block(_row: CommandRow, waitMs: number): void {
    this.answer(FORWARD_BLOCKED, Buffer.from(String(waitMs)));
  }

  /** It cannot be read to its end. */
  giveUp(): void {
    this.answer(FORWARD_UNKNOWN, NOTHING);
  }

  refuse(leader: ReplicaId): void {
    this.answer(FORWARD_NOT_LEADER, NOTHING, leader);
  }

  private answer(status: number, reply: Uint8Array, leader = 0): void {
    const { group, id } = this.request;
    this.send(this.from, { type: FORWARD_REPLY, group, id, status, leader, term: 0, index: this.index, reply });
  }
}
