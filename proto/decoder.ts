/**
 * FlatBuffers to messages. Any thread, one decoder each. The bytes are verified first (verifier.ts), so whatever they are, a message
 * comes out or a PeerError is thrown, and nothing outside of them is read. Costs about 1 us per message and 0.3 us per entry.
 */
import { ByteBuffer } from 'flatbuffers';
import { PeerError } from './errors.ts';
import { FrameLayout } from './generated/layouts.ts';
import * as wire from './generated/peer.ts';
import {
  APPEND,
  APPEND_REPLY,
  type Append,
  type Beat,
  type BeatReply,
  type Entry,
  FORWARD,
  FORWARD_REPLY,
  type GroupReplica,
  HANDSHAKE,
  type Handshake,
  HEARTBEAT,
  HEARTBEAT_REPLY,
  JOIN,
  JOIN_REPLY,
  type JoinReply,
  type Member,
  NONCE_BYTES,
  type PeerMessage,
  PING,
  PROOF_BYTES,
  READ_INDEX,
  READ_INDEX_REPLY,
  SNAPSHOT_CHUNK,
  SNAPSHOT_REPLY,
  TIMEOUT_NOW,
  VOTE,
  VOTE_REPLY,
} from './messages.ts';
import { Verifier } from './verifier.ts';

/** Of a name, an id or an address, in characters. */
const NAME_LIMIT = 255;
/** Of what is said to a person, in characters. */
const TEXT_LIMIT = 4096;

export class Decoder {
  private readonly verifier = new Verifier();
  /** Over the memory that the last frame was in; making one is dear, and frames that follow each other are mostly in the same. */
  private buffer = new ByteBuffer(new Uint8Array(0));
  private readonly frame = new wire.Frame();
  private readonly entry = new wire.Entry();
  /** Whether payloads stay where they are. */
  private isOwn = false;

  /** The message in bytes[start, start + length). `isOwn`: those bytes are its own, and stay; otherwise it gets a copy of its payloads. */
  decode(bytes: Uint8Array, start: number, length: number, isOwn = false): PeerMessage {
    this.isOwn = isOwn;
    this.verifier.verify(bytes, start, length, FrameLayout);
    if (this.buffer.bytes() !== bytes) this.buffer = new ByteBuffer(bytes);
    this.buffer.setPosition(start);
    wire.Frame.getRootAsFrame(this.buffer, this.frame);
    return this.body(this.frame);
  }

  private body(frame: wire.Frame): PeerMessage {
    const type = frame.bodyType();
    switch (type) {
      case HANDSHAKE:
        return this.handshake(into(frame, new wire.Handshake()));
      case APPEND:
        return this.append(into(frame, new wire.Append()));
      case APPEND_REPLY: {
        const m = into(frame, new wire.AppendReply());
        return {
          type,
          group: m.group(),
          from: m.from(),
          to: m.to(),
          term: m.term(),
          accepted: m.accepted(),
          index: m.index(),
          conflictTerm: m.conflictTerm(),
          conflictIndex: m.conflictIndex(),
          round: m.round(),
        };
      }
      case VOTE: {
        const m = into(frame, new wire.Vote());
        return {
          type,
          group: m.group(),
          from: m.from(),
          to: m.to(),
          term: m.term(),
          pre: m.pre(),
          force: m.force(),
          lastIndex: m.lastIndex(),
          lastTerm: m.lastTerm(),
        };
      }
      case VOTE_REPLY: {
        const m = into(frame, new wire.VoteReply());
        return {
          type,
          group: m.group(),
          from: m.from(),
          to: m.to(),
          term: m.term(),
          pre: m.pre(),
          granted: m.granted(),
        };
      }
      case HEARTBEAT:
        return { type, beats: beats(into(frame, new wire.Heartbeat())) };
      case HEARTBEAT_REPLY:
        return { type, beats: beatReplies(into(frame, new wire.HeartbeatReply())) };
      case SNAPSHOT_CHUNK: {
        const m = into(frame, new wire.SnapshotChunk());
        return {
          type,
          group: m.group(),
          from: m.from(),
          to: m.to(),
          term: m.term(),
          snapshot: m.snapshot(),
          index: m.index(),
          lastTerm: m.lastTerm(),
          offset: m.offset(),
          last: m.last(),
          crc: m.crc(),
          configurationIndex: m.configurationIndex(),
          configuration: this.own(m.configurationArray()),
          data: this.own(m.dataArray()),
          round: m.round(),
        };
      }
      case SNAPSHOT_REPLY: {
        const m = into(frame, new wire.SnapshotReply());
        return {
          type,
          group: m.group(),
          from: m.from(),
          to: m.to(),
          term: m.term(),
          snapshot: m.snapshot(),
          status: m.status(),
          offset: m.offset(),
          window: m.window(),
          round: m.round(),
        };
      }
      case TIMEOUT_NOW: {
        const m = into(frame, new wire.TimeoutNow());
        return { type, group: m.group(), from: m.from(), to: m.to(), term: m.term() };
      }
      case FORWARD: {
        const m = into(frame, new wire.Forward());
        return {
          type,
          group: m.group(),
          id: m.id(),
          database: m.database(),
          resp: m.resp(),
          request: this.own(m.requestArray()),
        };
      }
      case FORWARD_REPLY: {
        const m = into(frame, new wire.ForwardReply());
        return {
          type,
          group: m.group(),
          id: m.id(),
          status: m.status(),
          leader: m.leader(),
          term: m.term(),
          index: m.index(),
          reply: this.own(m.replyArray()),
        };
      }
      case READ_INDEX: {
        const m = into(frame, new wire.ReadIndex());
        return {
          type,
          group: m.group(),
          from: m.from(),
          to: m.to(),
          term: m.term(),
          id: m.id(),
          incarnation: m.incarnation(),
        };
      }
      case READ_INDEX_REPLY: {
        const m = into(frame, new wire.ReadIndexReply());
        return {
          type,
          group: m.group(),
          from: m.from(),
          to: m.to(),
          term: m.term(),
          id: m.id(),
          incarnation: m.incarnation(),
          accepted: m.accepted(),
          index: m.index(),
        };
      }
      case PING: {
        const m = into(frame, new wire.Ping());
        return { type, id: m.id(), answer: m.answer() };
      }
      case JOIN: {
        const m = into(frame, new wire.Join());
        return {
          type,
          nodeId: name(m.nodeId()),
          nodeName: name(m.nodeName()),
          peerAddress: name(m.peerAddress()),
          clientAddress: name(m.clientAddress()),
        };
      }
      case JOIN_REPLY:
        return joinReply(into(frame, new wire.JoinReply()));
      case 0:
        throw new Error('a frame without a body passed the verifier');
    }
  }

  private handshake(m: wire.Handshake): Handshake {
    const replicas: GroupReplica[] = [];
    const count = m.replicasLength();
    for (let i = 0; i < count; i++) {
      const each = m.replicas(i)!;
      replicas.push({ group: each.group(), replica: each.replica() });
    }
    const nonce = this.own(m.nonceArray());
    const proof = this.own(m.proofArray());
    if (nonce.length !== NONCE_BYTES) throw malformed('the length of the nonce');
    if (proof.length !== PROOF_BYTES && proof.length !== 0) throw malformed('the length of the proof');
    return {
      type: HANDSHAKE,
      version: m.version(),
      clusterId: name(m.clusterId()),
      nodeId: name(m.nodeId()),
      nodeName: name(m.nodeName()),
      replicas,
      nonce,
      proof,
    };
  }

  private own(payload: Uint8Array): Uint8Array {
    return this.isOwn ? payload : payload.slice();
  }

  private append(m: wire.Append): Append {
    const { entry } = this;
    const count = m.entriesLength();
    const prevIndex = m.prevIndex();
    if (prevIndex + count > Number.MAX_SAFE_INTEGER) throw malformed('more entries than there are indexes');
    const bytes = this.isOwn ? this.buffer.bytes() : new Uint8Array(this.entryBytes(m));
    const entries: Entry[] = [];
    let end = 0;
    for (let i = 0; i < count; i++) {
      m.entries(i, entry);
      const length = entry.dataLength();
      let start = this.buffer.__vector(entry.bb_pos + this.buffer.__offset(entry.bb_pos, ENTRY_DATA_SLOT));
      if (!this.isOwn) {
        bytes.set(this.buffer.bytes().subarray(start, start + length), end);
        start = end;
        end += length;
      }
      entries.push({ index: prevIndex + 1 + i, term: entry.term(), kind: entry.kind(), bytes, start, length });
    }
    return {
      type: APPEND,
      group: m.group(),
      from: m.from(),
      to: m.to(),
      term: m.term(),
      prevIndex,
      prevTerm: m.prevTerm(),
      commit: m.commit(),
      round: m.round(),
      entries,
    };
  }

  /** Of all entries together. The verifier has seen to it that they are no more than the frame can hold. */
  private entryBytes(m: wire.Append): number {
    const { entry } = this;
    let bytes = 0;
    for (let i = 0; i < m.entriesLength(); i++) {
      m.entries(i, entry);
      bytes += entry.dataLength();
    }
    return bytes;
  }
}

/** The generated reader gives an entry's bytes as a view; where they begin, which costs no object, only by the slot. */
const ENTRY_DATA_SLOT = 8;

/** Places a reader on the frame's body. */
function into<Reader extends { bb: ByteBuffer | null; bb_pos: number }>(frame: wire.Frame, reader: Reader): Reader {
  frame.body(reader);
  return reader;
}

function joinReply(m: wire.JoinReply): JoinReply {
  const members: Member[] = [];
  const count = m.membersLength();
  for (let i = 0; i < count; i++) {
    const each = m.members(i)!;
    members.push({
      replica: each.replica(),
      nodeId: name(each.nodeId()),
      nodeName: name(each.nodeName()),
      peerAddress: name(each.peerAddress()),
      clientAddress: name(each.clientAddress()),
    });
  }
  const text = m.text();
  if (text.length > TEXT_LIMIT) throw malformed('the length of a text');
  return {
    type: JOIN_REPLY,
    status: m.status(),
    replica: m.replica(),
    text,
    clusterId: name(m.clusterId()),
    leader: name(m.leader()),
    members,
  };
}

function name(text: string): string {
  if (text.length > NAME_LIMIT) throw malformed('the length of a name');
  return text;
}

function beats(m: wire.Heartbeat): Beat[] {
  const reader = new wire.Beat();
  const count = m.beatsLength();
  const all: Beat[] = [];
  for (let i = 0; i < count; i++) {
    const b = m.beats(i, reader)!;
    all.push({ group: b.group(), from: b.from(), to: b.to(), term: b.term(), commit: b.commit(), round: b.round() });
  }
  return all;
}

function beatReplies(m: wire.HeartbeatReply): BeatReply[] {
  const reader = new wire.BeatReply();
  const count = m.beatsLength();
  const all: BeatReply[] = [];
  for (let i = 0; i < count; i++) {
    const b = m.beats(i, reader)!;
    all.push({ group: b.group(), from: b.from(), to: b.to(), term: b.term(), round: b.round() });
  }
  return all;
}

function malformed(what: string): PeerError {
  return new PeerError('MALFORMED', `peer: a malformed message: ${what}`);
}
