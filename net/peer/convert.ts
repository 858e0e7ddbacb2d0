/**
 * Messages of a replica (engine/raft/message.ts) to those of the wire (proto/messages.ts) and back. Pure; any thread; costs an
 * object or two per message and nothing per byte.
 *
 * SNAPSHOT does not travel as it is: its bytes go in pieces (snapshotsender.ts, snapshotreceiver.ts), and the receiver makes the message when it
 * has them all. Heartbeats and their answers travel many in one frame: whoever sends gathers them as beats.
 */
import { decodeConfig } from '../../engine/raft/config.ts';
import { ENTRY_CONFIG, Entry } from '../../engine/raft/entry.ts';
import { RaftBytesError } from '../../engine/raft/errors.ts';
import * as raft from '../../engine/raft/message.ts';
import { Message, NO_ENTRIES } from '../../engine/raft/message.ts';
import { PeerError } from '../../proto/errors.ts';
import * as wire from '../../proto/messages.ts';

/** What a message is on the wire; HEARTBEAT and HEARTBEAT_REPLY are `toBeat` and `toBeatReply`. */
export function toWire(m: Message): wire.PeerMessage {
  const { group, from, to, term } = m;
  switch (m.type) {
    case raft.PREVOTE:
    case raft.VOTE:
      return {
        type: wire.VOTE,
        group,
        from,
        to,
        term,
        pre: m.type === raft.PREVOTE,
        force: m.force,
        lastIndex: m.index,
        lastTerm: m.logTerm,
      };
    case raft.PREVOTE_REPLY:
    case raft.VOTE_REPLY:
      return { type: wire.VOTE_REPLY, group, from, to, term, pre: m.type === raft.PREVOTE_REPLY, granted: !m.reject };
    case raft.APPEND:
      return {
        type: wire.APPEND,
        group,
        from,
        to,
        term,
        prevIndex: m.index,
        prevTerm: m.logTerm,
        commit: m.commit,
        round: m.round,
        entries: m.entries,
      };
    case raft.APPEND_REPLY:
      return {
        type: wire.APPEND_REPLY,
        group,
        from,
        to,
        term,
        accepted: !m.reject,
        index: m.index,
        conflictTerm: m.logTerm,
        conflictIndex: m.hint,
        round: m.round,
      };
    case raft.TIMEOUT_NOW:
      return { type: wire.TIMEOUT_NOW, group, from, to, term };
    case raft.READ_INDEX:
      return { type: wire.READ_INDEX, group, from, to, term, id: m.round, incarnation: m.incarnation };
    case raft.READ_INDEX_REPLY:
      return {
        type: wire.READ_INDEX_REPLY,
        group,
        from,
        to,
        term,
        id: m.round,
        incarnation: m.incarnation,
        accepted: !m.reject,
        index: m.index,
      };
    default:
      throw new Error(`a message of type ${m.type} does not travel as it is`);
  }
}

export function toBeat({ group, from, to, term, commit, round }: Message): wire.Beat {
  return { group, from, to, term, commit, round };
}

export function toBeatReply({ group, from, to, term, round }: Message): wire.BeatReply {
  return { group, from, to, term, round };
}

/**
 * Hands over what a frame holds for replicas: one message, or one per beat. False when it is for somebody else. A PeerError
 * when it has a configuration that is none.
 */
export function fromWire(m: wire.PeerMessage, deliver: (message: Message) => void): boolean {
  switch (m.type) {
    case wire.APPEND:
      deliver(append(m));
      return true;
    case wire.APPEND_REPLY: {
      const message = headed(raft.APPEND_REPLY, m);
      message.reject = !m.accepted;
      message.index = m.index;
      message.logTerm = m.conflictTerm;
      message.hint = m.conflictIndex;
      message.round = m.round;
      deliver(message);
      return true;
    }
    case wire.VOTE: {
      const message = headed(m.pre ? raft.PREVOTE : raft.VOTE, m);
      message.index = m.lastIndex;
      message.logTerm = m.lastTerm;
      message.force = m.force;
      deliver(message);
      return true;
    }
    case wire.VOTE_REPLY: {
      const message = headed(m.pre ? raft.PREVOTE_REPLY : raft.VOTE_REPLY, m);
      message.reject = !m.granted;
      deliver(message);
      return true;
    }
    case wire.HEARTBEAT:
      for (const beat of m.beats) {
        const message = headed(raft.HEARTBEAT, beat);
        message.commit = beat.commit;
        message.round = beat.round;
        deliver(message);
      }
      return true;
    case wire.HEARTBEAT_REPLY:
      for (const beat of m.beats) {
        const message = headed(raft.HEARTBEAT_REPLY, beat);
        message.round = beat.round;
        deliver(message);
      }
      return true;
    case wire.TIMEOUT_NOW:
      deliver(headed(raft.TIMEOUT_NOW, m));
      return true;
    case wire.READ_INDEX: {
      const message = headed(raft.READ_INDEX, m);
      message.round = m.id;
      message.incarnation = m.incarnation;
      deliver(message);
      return true;
    }
    case wire.READ_INDEX_REPLY: {
      const message = headed(raft.READ_INDEX_REPLY, m);
      message.reject = !m.accepted;
      message.round = m.id;
      message.incarnation = m.incarnation;
      message.index = m.index;
      deliver(message);
      return true;
    }
    default:
      return false;
  }
}

interface Head {
  readonly group: number;
  readonly from: number;
  readonly to: number;
  readonly term: number;
}

function headed(type: number, { group, from, to, term }: Head): Message {
  return new Message(type, group, from, to, term);
}

function append(m: wire.Append): Message {
  const message = headed(raft.APPEND, m);
  message.index = m.prevIndex;
  message.logTerm = m.prevTerm;
  message.commit = m.commit;
  message.round = m.round;
  message.entries = m.entries.length === 0 ? NO_ENTRIES : asEntries(m.entries);
  return message;
}

function asEntries(entries: readonly wire.Entry[]): Entry[] {
  return entries.map((entry) => {
    const { index, term, kind, bytes, start, length } = entry;
    if (kind === ENTRY_CONFIG) checkConfig(entry);
    return new Entry(index, term, kind, bytes, start, length);
  });
}

/** A replica has no way back from an entry of its log that it cannot read, so such an entry goes no further. */
function checkConfig({ bytes, start, length }: wire.Entry): void {
  try {
    decodeConfig(bytes, start, length);
  } catch (error) {
    if (!(error instanceof RaftBytesError)) throw error;
    throw new PeerError('MALFORMED', `peer: a malformed message: ${error.message}`);
  }
}
