// made from peer.fbs by generate.ts, do not modify

import { SCALAR, TABLES, UNION, VECTOR, WHOLE, field, type TableLayout } from '../layout.ts';

export const HandshakeLayout: TableLayout = {
  name: 'Handshake',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // version
    field(6, VECTOR, 4, 1, true, [], []), // cluster_id
    field(8, VECTOR, 4, 1, true, [], []), // node_id
    field(10, VECTOR, 4, 1, true, [], []), // node_name
    field(12, VECTOR, 4, 8, true, [], []), // replicas
    field(14, VECTOR, 4, 1, true, [], []), // nonce
    field(16, VECTOR, 4, 1, true, [], []), // proof
  ],
};

export const EntryLayout: TableLayout = {
  name: 'Entry',
  fields: [
    field(4, WHOLE, 8, 0, false, [], []), // term
    field(6, SCALAR, 1, 0, false, [], []), // kind
    field(8, VECTOR, 4, 1, true, [], []), // data
  ],
};

export const AppendLayout: TableLayout = {
  name: 'Append',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // group
    field(6, SCALAR, 4, 0, false, [], []), // from
    field(8, SCALAR, 4, 0, false, [], []), // to
    field(10, WHOLE, 8, 0, false, [], []), // term
    field(12, WHOLE, 8, 0, false, [], []), // prev_index
    field(14, WHOLE, 8, 0, false, [], []), // prev_term
    field(16, WHOLE, 8, 0, false, [], []), // commit
    field(18, WHOLE, 8, 0, false, [], []), // round
    field(20, TABLES, 4, 4, true, [], [EntryLayout]), // entries
  ],
};

export const AppendReplyLayout: TableLayout = {
  name: 'AppendReply',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // group
    field(6, SCALAR, 4, 0, false, [], []), // from
    field(8, SCALAR, 4, 0, false, [], []), // to
    field(10, WHOLE, 8, 0, false, [], []), // term
    field(12, SCALAR, 1, 0, false, [], []), // accepted
    field(14, WHOLE, 8, 0, false, [], []), // index
    field(16, WHOLE, 8, 0, false, [], []), // conflict_term
    field(18, WHOLE, 8, 0, false, [], []), // conflict_index
    field(20, WHOLE, 8, 0, false, [], []), // round
  ],
};

export const VoteLayout: TableLayout = {
  name: 'Vote',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // group
    field(6, SCALAR, 4, 0, false, [], []), // from
    field(8, SCALAR, 4, 0, false, [], []), // to
    field(10, WHOLE, 8, 0, false, [], []), // term
    field(12, SCALAR, 1, 0, false, [], []), // pre
    field(14, SCALAR, 1, 0, false, [], []), // force
    field(16, WHOLE, 8, 0, false, [], []), // last_index
    field(18, WHOLE, 8, 0, false, [], []), // last_term
  ],
};

export const VoteReplyLayout: TableLayout = {
  name: 'VoteReply',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // group
    field(6, SCALAR, 4, 0, false, [], []), // from
    field(8, SCALAR, 4, 0, false, [], []), // to
    field(10, WHOLE, 8, 0, false, [], []), // term
    field(12, SCALAR, 1, 0, false, [], []), // pre
    field(14, SCALAR, 1, 0, false, [], []), // granted
  ],
};

export const HeartbeatLayout: TableLayout = {
  name: 'Heartbeat',
  fields: [
    field(4, VECTOR, 4, 40, true, [0, 8, 16], []), // beats
  ],
};

export const HeartbeatReplyLayout: TableLayout = {
  name: 'HeartbeatReply',
  fields: [
    field(4, VECTOR, 4, 32, true, [0, 8], []), // beats
  ],
};

export const SnapshotChunkLayout: TableLayout = {
  name: 'SnapshotChunk',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // group
    field(6, SCALAR, 4, 0, false, [], []), // from
    field(8, SCALAR, 4, 0, false, [], []), // to
    field(10, WHOLE, 8, 0, false, [], []), // term
    field(12, WHOLE, 8, 0, false, [], []), // snapshot
    field(14, WHOLE, 8, 0, false, [], []), // index
    field(16, WHOLE, 8, 0, false, [], []), // last_term
    field(18, WHOLE, 8, 0, false, [], []), // offset
    field(20, SCALAR, 1, 0, false, [], []), // last
    field(22, SCALAR, 4, 0, false, [], []), // crc
    field(24, WHOLE, 8, 0, false, [], []), // configuration_index
    field(26, VECTOR, 4, 1, true, [], []), // configuration
    field(28, VECTOR, 4, 1, true, [], []), // data
    field(30, WHOLE, 8, 0, false, [], []), // round
  ],
};

export const SnapshotReplyLayout: TableLayout = {
  name: 'SnapshotReply',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // group
    field(6, SCALAR, 4, 0, false, [], []), // from
    field(8, SCALAR, 4, 0, false, [], []), // to
    field(10, WHOLE, 8, 0, false, [], []), // term
    field(12, WHOLE, 8, 0, false, [], []), // snapshot
    field(14, SCALAR, 1, 0, false, [], []), // status
    field(16, WHOLE, 8, 0, false, [], []), // offset
    field(18, SCALAR, 4, 0, false, [], []), // window
    field(20, WHOLE, 8, 0, false, [], []), // round
  ],
};

export const TimeoutNowLayout: TableLayout = {
  name: 'TimeoutNow',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // group
    field(6, SCALAR, 4, 0, false, [], []), // from
    field(8, SCALAR, 4, 0, false, [], []), // to
    field(10, WHOLE, 8, 0, false, [], []), // term
  ],
};

export const ForwardLayout: TableLayout = {
  name: 'Forward',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // group
    field(6, WHOLE, 8, 0, false, [], []), // id
    field(8, SCALAR, 4, 0, false, [], []), // database
    field(10, SCALAR, 1, 0, false, [], []), // resp
    field(12, VECTOR, 4, 1, true, [], []), // request
  ],
};

export const ForwardReplyLayout: TableLayout = {
  name: 'ForwardReply',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // group
    field(6, WHOLE, 8, 0, false, [], []), // id
    field(8, SCALAR, 1, 0, false, [], []), // status
    field(10, SCALAR, 4, 0, false, [], []), // leader
    field(12, WHOLE, 8, 0, false, [], []), // term
    field(14, WHOLE, 8, 0, false, [], []), // index
    field(16, VECTOR, 4, 1, true, [], []), // reply
  ],
};

export const ReadIndexLayout: TableLayout = {
  name: 'ReadIndex',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // group
    field(6, SCALAR, 4, 0, false, [], []), // from
    field(8, SCALAR, 4, 0, false, [], []), // to
    field(10, WHOLE, 8, 0, false, [], []), // term
    field(12, WHOLE, 8, 0, false, [], []), // id
    field(14, WHOLE, 8, 0, false, [], []), // incarnation
  ],
};

export const ReadIndexReplyLayout: TableLayout = {
  name: 'ReadIndexReply',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // group
    field(6, SCALAR, 4, 0, false, [], []), // from
    field(8, SCALAR, 4, 0, false, [], []), // to
    field(10, WHOLE, 8, 0, false, [], []), // term
    field(12, WHOLE, 8, 0, false, [], []), // id
    field(14, WHOLE, 8, 0, false, [], []), // incarnation
    field(16, SCALAR, 1, 0, false, [], []), // accepted
    field(18, WHOLE, 8, 0, false, [], []), // index
  ],
};

export const PingLayout: TableLayout = {
  name: 'Ping',
  fields: [
    field(4, WHOLE, 8, 0, false, [], []), // id
    field(6, SCALAR, 1, 0, false, [], []), // answer
  ],
};

export const JoinLayout: TableLayout = {
  name: 'Join',
  fields: [
    field(4, VECTOR, 4, 1, true, [], []), // node_id
    field(6, VECTOR, 4, 1, true, [], []), // node_name
    field(8, VECTOR, 4, 1, true, [], []), // peer_address
    field(10, VECTOR, 4, 1, true, [], []), // client_address
  ],
};

export const MemberLayout: TableLayout = {
  name: 'Member',
  fields: [
    field(4, SCALAR, 4, 0, false, [], []), // replica
    field(6, VECTOR, 4, 1, true, [], []), // node_id
    field(8, VECTOR, 4, 1, true, [], []), // node_name
    field(10, VECTOR, 4, 1, true, [], []), // peer_address
    field(12, VECTOR, 4, 1, true, [], []), // client_address
  ],
};

export const JoinReplyLayout: TableLayout = {
  name: 'JoinReply',
  fields: [
    field(4, SCALAR, 1, 0, false, [], []), // status
    field(6, SCALAR, 4, 0, false, [], []), // replica
    field(8, VECTOR, 4, 1, true, [], []), // text
    field(10, VECTOR, 4, 1, true, [], []), // cluster_id
    field(12, VECTOR, 4, 1, true, [], []), // leader
    field(14, TABLES, 4, 4, true, [], [MemberLayout]), // members
  ],
};

export const FrameLayout: TableLayout = {
  name: 'Frame',
  fields: [
    field(4, SCALAR, 1, 0, true, [], []), // body_type
    field(6, UNION, 4, 0, true, [], [HandshakeLayout, AppendLayout, AppendReplyLayout, VoteLayout, VoteReplyLayout, HeartbeatLayout, HeartbeatReplyLayout, SnapshotChunkLayout, SnapshotReplyLayout, TimeoutNowLayout, ForwardLayout, ForwardReplyLayout, ReadIndexLayout, ReadIndexReplyLayout, PingLayout, JoinLayout, JoinReplyLayout]), // body
  ],
};
