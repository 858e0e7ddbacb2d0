/**
 * One message of each kind, every field with a value of its own, and helpers to compare messages whose payloads lie in
 * frames. For the tests of the peers' format.
 */
import {
  APPEND,
  APPEND_REPLY,
  type Entry,
  FORWARD,
  FORWARD_DONE,
  FORWARD_REPLY,
  HANDSHAKE,
  type Handshake,
  HEARTBEAT,
  HEARTBEAT_REPLY,
  JOIN,
  JOIN_LATER,
  JOIN_REPLY,
  type PeerMessage,
  PING,
  READ_INDEX,
  READ_INDEX_REPLY,
  SNAPSHOT_CHUNK,
  SNAPSHOT_CONTINUE,
  SNAPSHOT_REPLY,
  TIMEOUT_NOW,
  VOTE,
  VOTE_REPLY,
} from '../../proto/messages.ts';

const LARGEST = Number.MAX_SAFE_INTEGER;
const LARGEST_U32 = 0xffffffff;

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text));
}

export function entry(index: number, term: number, kind: number, text: string): Entry {
  // In the middle of other bytes, as it is in a log's buffer.
  return { index, term, kind, bytes: bytesOf(`<<${text}>>`), start: 2, length: text.length };
}

export const HELLO: Handshake = {
  type: HANDSHAKE,
  version: 1,
  clusterId: 'c0ffee',
  nodeId: '0123456789abcdef',
  nodeName: 'nœud 1',
  replicas: [
    { group: 0, replica: 3 },
    { group: LARGEST_U32, replica: LARGEST_U32 },
  ],
  nonce: new Uint8Array(32).fill(7),
  proof: new Uint8Array(32).fill(9),
};

const head = { group: 3, from: 1, to: LARGEST_U32, term: 77 };

export const MESSAGES: Record<string, PeerMessage> = {
  Handshake: HELLO,
  'Handshake without proof': { ...HELLO, replicas: [], proof: new Uint8Array(0) },
  Append: {
    type: APPEND,
    ...head,
    prevIndex: 2 ** 40,
    prevTerm: 5,
    commit: LARGEST,
    round: 11,
    entries: [entry(2 ** 40 + 1, 5, 0, 'one'), entry(2 ** 40 + 2, 6, 2, ''), entry(2 ** 40 + 3, LARGEST, 255, 'three')],
  },
  'Append of nothing': {
    type: APPEND,
    group: 0,
    from: 0,
    to: 0,
    term: 0,
    prevIndex: 0,
    prevTerm: 0,
    commit: 0,
    round: 0,
    entries: [],
  },
  AppendReply: {
    type: APPEND_REPLY,
    ...head,
    accepted: true,
    index: 1,
    conflictTerm: 2,
    conflictIndex: 3,
    round: 4,
  },
  Vote: { type: VOTE, ...head, pre: false, force: true, lastIndex: 8, lastTerm: 9 },
  PreVote: { type: VOTE, ...head, pre: true, force: false, lastIndex: 8, lastTerm: 9 },
  VoteReply: { type: VOTE_REPLY, ...head, pre: false, granted: true },
  'PreVote reply': { type: VOTE_REPLY, ...head, pre: true, granted: false },
  Heartbeat: {
    type: HEARTBEAT,
    beats: [
      { ...head, commit: 1, round: 2 },
      { group: LARGEST_U32, from: 4, to: 5, term: LARGEST, commit: LARGEST, round: LARGEST },
    ],
  },
  HeartbeatReply: {
    type: HEARTBEAT_REPLY,
    beats: [
      { ...head, round: 2 },
      { ...head, group: 9, round: LARGEST },
    ],
  },
  SnapshotChunk: {
    type: SNAPSHOT_CHUNK,
    ...head,
    snapshot: 1,
    index: 2,
    lastTerm: 3,
    offset: 2 ** 33,
    last: true,
    crc: LARGEST_U32,
    configurationIndex: 4,
    configuration: bytesOf('1,2,3'),
    data: bytesOf('state'),
    round: LARGEST,
  },
  SnapshotReply: {
    type: SNAPSHOT_REPLY,
    ...head,
    snapshot: 1,
    status: SNAPSHOT_CONTINUE,
    offset: 2 ** 33,
    window: 1 << 20,
    round: 12,
  },
  TimeoutNow: { type: TIMEOUT_NOW, ...head },
  Forward: { type: FORWARD, group: 1, id: 2, database: 3, resp: 2, request: bytesOf('*1\r\n$4\r\nPING\r\n') },
  ForwardReply: {
    type: FORWARD_REPLY,
    group: 1,
    id: 2,
    status: FORWARD_DONE,
    leader: 3,
    term: 4,
    index: 5,
    reply: bytesOf('+PONG\r\n'),
  },
  ReadIndex: { type: READ_INDEX, ...head, id: 5, incarnation: 6 },
  ReadIndexReply: { type: READ_INDEX_REPLY, ...head, id: 5, incarnation: 6, accepted: true, index: 7 },
  Ping: { type: PING, id: 5, answer: true },
  Join: {
    type: JOIN,
    nodeId: 'fedcba9876543210',
    nodeName: 'nœud 4',
    peerAddress: '10.0.0.4:17004',
    clientAddress: '[::1]:7004',
  },
  JoinReply: {
    type: JOIN_REPLY,
    status: JOIN_LATER,
    replica: LARGEST_U32,
    text: 'not yet',
    clusterId: 'c0ffee',
    leader: '10.0.0.1:17001',
    members: [
      { replica: 1, nodeId: 'a', nodeName: 'n1', peerAddress: '10.0.0.1:17001', clientAddress: '10.0.0.1:7001' },
      { replica: LARGEST_U32, nodeId: 'b', nodeName: '', peerAddress: '', clientAddress: 'x:1' },
    ],
  },
};

/** The message with its payloads as hex, wherever they lie. */
export function plain(message: PeerMessage): unknown {
  return JSON.parse(
    JSON.stringify(message, (_, value) => {
      if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
      if (value === null || typeof value !== 'object' || !('bytes' in value)) return value;
      const { bytes, start, length, ...rest } = value as Entry;
      return { ...rest, data: Buffer.from(bytes.subarray(start, start + length)).toString('hex') };
    }),
  );
}
