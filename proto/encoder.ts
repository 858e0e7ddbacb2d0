/**
 * Messages to FlatBuffers. Any thread, one encoder each; what it made is overwritten by the next call. Costs about 1 us per
 * message and 0.3 us per entry, and one copy of the payload.
 *
 * The builder fills its memory from the end, so a frame lies at the end of `bytes` with room in front of it, where the
 * caller can put a header without a copy.
 */
import { Builder } from 'flatbuffers';
import * as wire from './generated/peer.ts';
import {
  APPEND,
  APPEND_REPLY,
  type Append,
  FORWARD,
  FORWARD_REPLY,
  HANDSHAKE,
  type Handshake,
  HEARTBEAT,
  HEARTBEAT_REPLY,
  JOIN,
  JOIN_REPLY,
  type Join,
  type JoinReply,
  type PeerMessage,
  PING,
  READ_INDEX,
  READ_INDEX_REPLY,
  SNAPSHOT_CHUNK,
  SNAPSHOT_REPLY,
  TIMEOUT_NOW,
  VOTE,
  VOTE_REPLY,
} from './messages.ts';

const INITIAL_BYTES = 64 * 1024;
/** Memory that a long message needed is kept up to this much for the next ones. */
const RETAINED_BYTES = 4 * 1024 * 1024;
/** More than any message takes besides its payloads, and than an entry or a beat takes besides its own. */
const MESSAGE_BYTES = 1024;
const ELEMENT_BYTES = 64;

export class Encoder {
  /** The message encoded last: bytes[start, start + length), with the room asked for in front of it. */
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  length = 0;
  private builder = new Builder(INITIAL_BYTES);
  /** Offsets of an Append's entries. */
  private offsets: number[] = [];

  encode(message: PeerMessage, room: number): void {
    this.prepare(MESSAGE_BYTES + variableBytes(message));
    const { builder } = this;
    const body = this.body(message);
    wire.Frame.finishFrameBuffer(builder, wire.Frame.createFrame(builder, message.type, body));
    // Only makes sure that there are so many bytes in front.
    builder.prep(1, room);
    this.bytes = builder.dataBuffer().bytes();
    this.length = builder.offset();
    this.start = this.bytes.length - this.length;
  }

  /** An empty builder for about so many bytes: one that has to grow copies what it has. */
  private prepare(bytes: number): void {
    const capacity = this.builder.dataBuffer().capacity();
    if (bytes > capacity) this.builder = new Builder(bytes);
    else if (capacity > RETAINED_BYTES) this.builder = new Builder(Math.max(bytes, INITIAL_BYTES));
    else this.builder.clear();
  }

  private body(message: PeerMessage): number {
    const { builder } = this;
    switch (message.type) {
      case HANDSHAKE:
        return this.handshake(message);
      case APPEND:
        return this.append(message);
      case APPEND_REPLY: {
        const { group, from, to, term, accepted, index, conflictTerm, conflictIndex, round } = message;
        const { AppendReply } = wire;
        return AppendReply.createAppendReply(
          builder,
          group,
          from,
          to,
          term,
          accepted,
          index,
          conflictTerm,
          conflictIndex,
          round,
        );
      }
      case VOTE: {
        const { group, from, to, term, pre, force, lastIndex, lastTerm } = message;
        return wire.Vote.createVote(builder, group, from, to, term, pre, force, lastIndex, lastTerm);
      }
      case VOTE_REPLY: {
        const { group, from, to, term, pre, granted } = message;
        return wire.VoteReply.createVoteReply(builder, group, from, to, term, pre, granted);
      }
      case HEARTBEAT: {
        const { beats } = message;
        wire.Heartbeat.startBeatsVector(builder, beats.length);
        for (let i = beats.length - 1; i >= 0; i--) {
          const { term, commit, round, group, from, to } = beats[i];
          wire.Beat.createBeat(builder, term, commit, round, group, from, to);
        }
        return wire.Heartbeat.createHeartbeat(builder, builder.endVector());
      }
      case HEARTBEAT_REPLY: {
        const { beats } = message;
        wire.HeartbeatReply.startBeatsVector(builder, beats.length);
        for (let i = beats.length - 1; i >= 0; i--) {
          const { term, round, group, from, to } = beats[i];
          wire.BeatReply.createBeatReply(builder, term, round, group, from, to);
        }
        return wire.HeartbeatReply.createHeartbeatReply(builder, builder.endVector());
      }
      case SNAPSHOT_CHUNK: {
        const { group, from, to, term, snapshot, index, lastTerm, offset, last, crc, configurationIndex } = message;
        const configuration = builder.createByteVector(message.configuration);
        const data = builder.createByteVector(message.data);
        const { SnapshotChunk } = wire;
        SnapshotChunk.startSnapshotChunk(builder);
        SnapshotChunk.addGroup(builder, group);
        SnapshotChunk.addFrom(builder, from);
        SnapshotChunk.addTo(builder, to);
        SnapshotChunk.addTerm(builder, term);
        SnapshotChunk.addSnapshot(builder, snapshot);
        SnapshotChunk.addIndex(builder, index);
        SnapshotChunk.addLastTerm(builder, lastTerm);
        SnapshotChunk.addOffset(builder, offset);
        SnapshotChunk.addLast(builder, last);
        SnapshotChunk.addCrc(builder, crc);
        SnapshotChunk.addConfigurationIndex(builder, configurationIndex);
        SnapshotChunk.addConfiguration(builder, configuration);
        SnapshotChunk.addData(builder, data);
        SnapshotChunk.addRound(builder, message.round);
        return SnapshotChunk.endSnapshotChunk(builder);
      }
      case SNAPSHOT_REPLY: {
        const { group, from, to, term, snapshot, status, offset, window, round } = message;
        const { SnapshotReply } = wire;
        return SnapshotReply.createSnapshotReply(
          builder,
          group,
          from,
          to,
          term,
          snapshot,
          status,
          offset,
          window,
          round,
        );
      }
      case TIMEOUT_NOW: {
        const { group, from, to, term } = message;
        return wire.TimeoutNow.createTimeoutNow(builder, group, from, to, term);
      }
      case FORWARD: {
        const { group, id, database, resp } = message;
        const request = builder.createByteVector(message.request);
        return wire.Forward.createForward(builder, group, id, database, resp, request);
      }
      case FORWARD_REPLY: {
        const { group, id, status, leader, term, index } = message;
        const reply = builder.createByteVector(message.reply);
        return wire.ForwardReply.createForwardReply(builder, group, id, status, leader, term, index, reply);
      }
      case READ_INDEX: {
        const { group, from, to, term, id, incarnation } = message;
        return wire.ReadIndex.createReadIndex(builder, group, from, to, term, id, incarnation);
      }
      case READ_INDEX_REPLY: {
        const { group, from, to, term, id, incarnation, accepted, index } = message;
        return wire.ReadIndexReply.createReadIndexReply(
          builder,
          group,
          from,
          to,
          term,
          id,
          incarnation,
          accepted,
          index,
        );
      }
      case PING:
        return wire.Ping.createPing(builder, message.id, message.answer);
      case JOIN:
        return this.join(message);
      case JOIN_REPLY:
        return this.joinReply(message);
    }
  }

  private join({ nodeId, nodeName, peerAddress, clientAddress }: Join): number {
    const { builder } = this;
    return wire.Join.createJoin(
      builder,
      builder.createString(nodeId),
      builder.createString(nodeName),
      builder.createString(peerAddress),
      builder.createString(clientAddress),
    );
  }

  private joinReply({ status, replica, text, clusterId, leader, members }: JoinReply): number {
    const { builder } = this;
    const offsets = members.map((member) =>
      wire.Member.createMember(
        builder,
        member.replica,
        builder.createString(member.nodeId),
        builder.createString(member.nodeName),
        builder.createString(member.peerAddress),
        builder.createString(member.clientAddress),
      ),
    );
    const vector = wire.JoinReply.createMembersVector(builder, offsets);
    const said = builder.createString(text);
    const cluster = builder.createString(clusterId);
    return wire.JoinReply.createJoinReply(
      builder,
      status,
      replica,
      said,
      cluster,
      builder.createString(leader),
      vector,
    );
  }

  private handshake(message: Handshake): number {
    const { builder } = this;
    const clusterId = builder.createString(message.clusterId);
    const nodeId = builder.createString(message.nodeId);
    const nodeName = builder.createString(message.nodeName);
    const { replicas } = message;
    wire.Handshake.startReplicasVector(builder, replicas.length);
    for (let i = replicas.length - 1; i >= 0; i--) {
      wire.GroupReplica.createGroupReplica(builder, replicas[i].group, replicas[i].replica);
    }
    const held = builder.endVector();
    const nonce = builder.createByteVector(message.nonce);
    const proof = builder.createByteVector(message.proof);
    return wire.Handshake.createHandshake(builder, message.version, clusterId, nodeId, nodeName, held, nonce, proof);
  }

  private append(message: Append): number {
    const { builder, offsets } = this;
    const { group, from, to, term, prevIndex, prevTerm, commit, round, entries } = message;
    offsets.length = entries.length;
    // The builder goes downwards, so the last entry first: then payloads lie in the order of the log.
    for (let i = entries.length - 1; i >= 0; i--) {
      const { bytes, start, length } = entries[i];
      const whole = start === 0 && length === bytes.length;
      const data = builder.createByteVector(whole ? bytes : bytes.subarray(start, start + length));
      offsets[i] = wire.Entry.createEntry(builder, entries[i].term, entries[i].kind, data);
    }
    const vector = wire.Append.createEntriesVector(builder, offsets);
    return wire.Append.createAppend(builder, group, from, to, term, prevIndex, prevTerm, commit, round, vector);
  }
}

/** At least what the parts of a message take that come in any number or length. */
function variableBytes(message: PeerMessage): number {
  switch (message.type) {
    case HANDSHAKE:
      // A character is at most three bytes.
      return (
        3 * (message.clusterId.length + message.nodeId.length + message.nodeName.length) + 8 * message.replicas.length
      );
    case JOIN:
      return (
        3 *
        (message.nodeId.length + message.nodeName.length + message.peerAddress.length + message.clientAddress.length)
      );
    case APPEND: {
      let bytes = 0;
      for (const { length } of message.entries) bytes += ELEMENT_BYTES + length;
      return bytes;
    }
    case HEARTBEAT:
    case HEARTBEAT_REPLY:
      return ELEMENT_BYTES * message.beats.length;
    case SNAPSHOT_CHUNK:
      return message.configuration.length + message.data.length;
    case FORWARD:
      return message.request.length;
    case FORWARD_REPLY:
      return message.reply.length;
    default:
      return 0;
  }
}
