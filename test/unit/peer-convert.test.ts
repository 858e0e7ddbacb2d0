import { describe, expect, it } from 'vitest';
import { Configuration, encodeConfig } from '../../engine/raft/config.ts';
import { Entry } from '../../engine/raft/entry.ts';
import * as raft from '../../engine/raft/message.ts';
import { Message } from '../../engine/raft/message.ts';
import { fromWire, toBeat, toBeatReply, toWire } from '../../net/peer/convert.ts';
import { FRAME_LIMIT, FrameReader, FrameWriter } from '../../net/peer/frame.ts';
import { HEARTBEAT, HEARTBEAT_REPLY, type PeerMessage, PING } from '../../proto/messages.ts';

const writer = new FrameWriter();

/** What arrives of it, through memory that is overwritten then. */
function arrived(m: PeerMessage): Message[] {
  const frame = writer.write(m);
  const reader = new FrameReader(FRAME_LIMIT);
  reader.push(frame);
  const messages: Message[] = [];
  expect(fromWire(reader.next()!, (message) => messages.push(message))).toBe(true);
  frame.fill(0xaa);
  return messages;
}

function message(type: number, fields: Partial<Message>): Message {
  return Object.assign(new Message(type, 3, 1, 2, 77), fields);
}

function entry(index: number, kind: number, text: string): Entry {
  return new Entry(index, 6, kind, Buffer.from(`<<${text}>>`), 2, text.length);
}

function contents({ index, term, kind, bytes, start, length }: Entry): unknown[] {
  return [index, term, kind, Buffer.from(bytes.subarray(start, start + length)).toString()];
}

describe('a message of a replica arrives as it was sent', () => {
  it.each([
    ['PREVOTE', message(raft.PREVOTE, { index: 8, logTerm: 9 })],
    ['PREVOTE_REPLY', message(raft.PREVOTE_REPLY, { reject: true })],
    ['VOTE', message(raft.VOTE, { index: 8, logTerm: 9, force: true })],
    ['VOTE_REPLY', message(raft.VOTE_REPLY, { reject: false })],
    ['APPEND_REPLY', message(raft.APPEND_REPLY, { index: 8 })],
    ['APPEND_REPLY refused', message(raft.APPEND_REPLY, { index: 8, reject: true, hint: 5, logTerm: 4 })],
    ['TIMEOUT_NOW', message(raft.TIMEOUT_NOW, {})],
    ['READ_INDEX', message(raft.READ_INDEX, { round: 2 ** 40, incarnation: 4 })],
    ['READ_INDEX_REPLY', message(raft.READ_INDEX_REPLY, { round: 3, incarnation: 4, index: 5 })],
    ['APPEND of nothing', message(raft.APPEND, { index: 8, logTerm: 9, commit: 7 })],
  ])('%s', (_, sent) => {
    expect(arrived(toWire(sent))).toEqual([sent]);
  });

  it('APPEND, with its entries', () => {
    const bytes = encodeConfig(new Configuration([1], [], [], 1));
    const entries = [entry(9, 0, 'one'), new Entry(10, 6, 2, bytes, 0, bytes.length), entry(11, 1, '')];
    const sent = message(raft.APPEND, { index: 8, logTerm: 5, commit: 4, entries });
    const [got] = arrived(toWire(sent));
    expect(got.entries.map(contents)).toEqual(entries.map(contents));
    expect(got.entries.every((each) => each instanceof Entry)).toBe(true);
    expect({ ...got, entries: [] }).toEqual({ ...sent, entries: [] });
  });

  it('HEARTBEAT and its reply, several in a frame', () => {
    const beats = [message(raft.HEARTBEAT, { commit: 5, round: 6 }), message(raft.HEARTBEAT, { commit: 7, round: 8 })];
    expect(arrived({ type: HEARTBEAT, beats: beats.map(toBeat) })).toEqual(beats);
    const replies = [message(raft.HEARTBEAT_REPLY, { round: 6 })];
    expect(arrived({ type: HEARTBEAT_REPLY, beats: replies.map(toBeatReply) })).toEqual(replies);
  });
});

it('SNAPSHOT does not travel as it is, and others are not for replicas', () => {
  expect(() => toWire(message(raft.SNAPSHOT, {}))).toThrow('does not travel');
  expect(fromWire({ type: PING, id: 1, answer: false }, () => {})).toBe(false);
});

it('a configuration that is none is not handed over', () => {
  const sent = toWire(message(raft.APPEND, { index: 8, entries: [entry(9, 0, 'one'), entry(10, 2, 'two')] }));
  expect(() => arrived(sent)).toThrow(expect.objectContaining({ name: 'PeerError', code: 'MALFORMED' }));
});

it('entries have memory of their own, no more than they fill', () => {
  const entries = [entry(9, 0, 'x'.repeat(4000)), entry(10, 0, 'y'.repeat(4000))];
  const [got] = arrived(toWire(message(raft.APPEND, { index: 8, entries })));
  expect(got.entries.map((each) => each.bytes.length)).toEqual([8000, 8000]);
  expect(got.entries.map(contents)).toEqual(entries.map(contents));
});
