/**
 * Who asked for what with `ONCE client seq command`, and what the answer was, so that a command that is sent again is not
 * run again (Raft thesis 6.3). Part of the replicated state: the same calls in the same order, with the clock of the log,
 * give the same table on every replica. Owned by whoever applies the log; one thread.
 *
 * `check` costs a short-lived string and a lookup, and changes nothing, so that it may also be asked outside of the log.
 * `record` costs a copy of the reply, and what it drops. Only `record` counts as a sign of life.
 *
 * A client goes when it has not been heard of for an hour, or when there are too many; the oldest first. When the replies
 * are too many bytes, the oldest of them go, but their clients stay: that a command was run is then still known, though not
 * what it answered. Whoever asks for seq 1 again after it was dropped is a new client, and is served twice.
 *
 * ```
 * as bytes, little-endian, not aligned
 * table:  +0 version u8 = 1 | +1 zeros | +4 clients u32 | +8 the clients, those not heard of for longest first
 * client: +0 id bytes u32 | +4 reply bytes u32, 2^32 - 1 when it is not kept | +8 seq f64 | +16 used, ms f64
 *         | +24 protocol u8 | +25 id .. | reply ..
 * ```
 * Example, client `a` with seq 1 at 2 ms over RESP2 and the reply `+` as the only one:
 * `01 00 00 00 01 00 00 00 | 01 00 00 00 01 00 00 00 00 00 00 00 00 00 f0 3f 00 00 00 00 00 00 00 40 02 61 2b`
 */
import { Crc64 } from '../rdb/crc64.ts';
import { must } from './errors.ts';

/** To be run, and then recorded. A client that is known may leave numbers out. */
export const ONCE_NEW = 0;
/** Was run: the answer is in `reply`. */
export const ONCE_DONE = 1;
/** Was run, or was left out: the client has gone on, or the answer was too long to keep. */
export const ONCE_STALE = 2;
/** Of a client that is not known, and not its first command: nobody can say whether it was run. */
export const ONCE_EXPIRED = 3;

/** A client is forgotten when it has recorded nothing for so long. */
export const SESSION_MS = 3_600_000;
export const CLIENTS = 100_000;
/** Of replies and ids together. */
export const REPLY_BYTES = 64 * 1024 * 1024;

const VERSION = 1;
const HEADER_BYTES = 8;
const CLIENT_HEADER_BYTES = 25;
const NOT_KEPT = 2 ** 32 - 1;

/** Bytes that should be a table and are not. */
export class OnceBytesError extends Error {
  readonly code = 'RAFT_BAD_ONCE';
}

class Session {
  /** The client's id, a character for each byte. */
  readonly id: string;
  seq = 0;
  usedMs = 0;
  protocol = 2;
  reply: Uint8Array | null = null;
  /** In the ring of all sessions by last use. */
  before: Session = this;
  after: Session = this;

  constructor(id: string) {
    this.id = id;
  }
}

export class OnceTable {
  /** After a `check` that said ONCE_DONE: the reply, which nobody changes, and the version of RESP that it is written in. */
  reply: Uint8Array = new Uint8Array(0);
  replyProtocol = 2;
  /** Of replies and ids. */
  bytes = 0;
  private readonly sessions = new Map<string, Session>();
  /** `ends.after` is the session not used for longest, `ends.before` the newest. */
  private readonly ends = new Session('');
  /** No session before this one has a reply. */
  private replies = this.ends;

  get clients(): number {
    return this.sessions.size;
  }

  /** What is to be done with command `seq` of the client whose id is `length` bytes at `start`. */
  check(client: Uint8Array, start: number, length: number, seq: number): number {
    const session = this.sessions.get(idOf(client, start, length));
    if (session === undefined) return seq === 1 ? ONCE_NEW : ONCE_EXPIRED;
    if (seq > session.seq) return ONCE_NEW;
    if (seq < session.seq || session.reply === null) return ONCE_STALE;
    this.reply = session.reply;
    this.replyProtocol = session.protocol;
    return ONCE_DONE;
  }

  /** Keeps what a command that was new has answered, reply[from, to), and makes room for it. */
  record(
    client: Uint8Array,
    start: number,
    length: number,
    seq: number,
    reply: Uint8Array,
    from: number,
    to: number,
    protocol: 2 | 3,
    nowMs: number,
  ): void {
    const id = idOf(client, start, length);
    let session = this.sessions.get(id);
    must(session === undefined ? seq === 1 : seq > session.seq, 'a command is recorded once, and begins with 1');
    if (session === undefined) session = this.add(id);
    else this.unlink(session);
    this.link(session);
    session.seq = seq;
    session.usedMs = Math.max(nowMs, session.before.usedMs);
    session.protocol = protocol;
    this.forgetReply(session);
    // One that would take the place of all others is not worth it.
    if (to - from <= REPLY_BYTES) this.keepReply(session, copyOf(reply, from, to));
    this.age(nowMs);
  }

  /** Drops the clients whose time is over by `nowMs`, and what is beyond the limits. O(dropped). */
  age(nowMs: number): void {
    let oldest = this.ends.after;
    while (oldest !== this.ends && (oldest.usedMs + SESSION_MS <= nowMs || this.clients > CLIENTS)) {
      this.drop(oldest);
      oldest = this.ends.after;
    }
    while (this.bytes > REPLY_BYTES) {
      if (this.replies === this.ends) {
        this.drop(this.ends.after);
      } else {
        this.forgetReply(this.replies);
        this.replies = this.replies.after;
      }
    }
  }

  private add(id: string): Session {
    const session = new Session(id);
    this.sessions.set(id, session);
    this.bytes += id.length;
    return session;
  }

  private drop(session: Session): void {
    this.unlink(session);
    this.forgetReply(session);
    this.sessions.delete(session.id);
    this.bytes -= session.id.length;
  }

  /** Makes a session the newest. */
  private link(session: Session): void {
    session.before = this.ends.before;
    session.after = this.ends;
    session.before.after = session;
    this.ends.before = session;
    if (this.replies === this.ends) this.replies = session;
  }

  private unlink(session: Session): void {
    if (this.replies === session) this.replies = session.after;
    session.before.after = session.after;
    session.after.before = session.before;
  }

  private keepReply(session: Session, reply: Uint8Array): void {
    session.reply = reply;
    this.bytes += reply.length;
  }

  private forgetReply(session: Session): void {
    if (session.reply !== null) this.bytes -= session.reply.length;
    session.reply = null;
  }

  /** All of the contents, O(bytes): equal tables give equal bytes. */
  encode(): Uint8Array {
    const out = Buffer.alloc(HEADER_BYTES + this.clients * CLIENT_HEADER_BYTES + this.bytes);
    out[0] = VERSION;
    out.writeUInt32LE(this.clients, 4);
    let at = HEADER_BYTES;
    for (let session = this.ends.after; session !== this.ends; session = session.after) {
      out.writeUInt32LE(session.id.length, at);
      out.writeUInt32LE(session.reply === null ? NOT_KEPT : session.reply.length, at + 4);
      out.writeDoubleLE(session.seq, at + 8);
      out.writeDoubleLE(session.usedMs, at + 16);
      out[at + 24] = session.protocol;
      at += CLIENT_HEADER_BYTES;
      at += out.write(session.id, at, 'latin1');
      if (session.reply === null) continue;
      out.set(session.reply, at);
      at += session.reply.length;
    }
    return out;
  }

  /** The table that these bytes are of; keeps none of them. */
  static decode(bytes: Uint8Array): OnceTable {
    const buf = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (buf.length < HEADER_BYTES || buf[0] !== VERSION) throw new OnceBytesError('not a table of clients');
    const table = new OnceTable();
    let at = HEADER_BYTES;
    for (let left = buf.readUInt32LE(4); left > 0; left--) at = table.decodeClient(buf, at);
    if (at !== buf.length) throw new OnceBytesError('more bytes than a table of clients has');
    return table;
  }

  /** Adds the client at `at`; returns where the next one begins. */
  private decodeClient(buf: Buffer, at: number): number {
    const idAt = at + CLIENT_HEADER_BYTES;
    if (idAt > buf.length) throw new OnceBytesError('a table of clients cut short');
    const replyAt = idAt + buf.readUInt32LE(at);
    const replyBytes = buf.readUInt32LE(at + 4);
    const end = replyBytes === NOT_KEPT ? replyAt : replyAt + replyBytes;
    if (end > buf.length) throw new OnceBytesError('a table of clients cut short');
    const id = idOf(buf, idAt, replyAt - idAt);
    const seq = buf.readDoubleLE(at + 8);
    const usedMs = buf.readDoubleLE(at + 16);
    const protocol = buf[at + 24];
    const isTime = Number.isFinite(usedMs) && usedMs >= this.ends.before.usedMs;
    if (!Number.isSafeInteger(seq) || seq < 1 || !isTime || (protocol !== 2 && protocol !== 3) || this.sessions.has(id))
      throw new OnceBytesError('an impossible client');
    const session = this.add(id);
    session.seq = seq;
    session.usedMs = usedMs;
    session.protocol = protocol;
    this.link(session);
    if (replyBytes !== NOT_KEPT) this.keepReply(session, copyOf(buf, replyAt, end));
    return end;
  }

  /** 16 hexadecimal digits of the contents, to compare replicas by. As dear as `encode`. */
  hash(): string {
    const bytes = this.encode();
    const crc = new Crc64();
    crc.update(bytes, 0, bytes.length);
    return digits(crc.high) + digits(crc.low);
  }
}

function idOf(bytes: Uint8Array, start: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('latin1');
}

/** Bytes of their own, not a part of some larger buffer that would stay with them. */
function copyOf(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const copy = new Uint8Array(to - from);
  copy.set(bytes.subarray(from, to));
  return copy;
}

function digits(half: number): string {
  return (half >>> 0).toString(16).padStart(8, '0');
}
