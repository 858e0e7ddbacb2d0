/** Frames between peers, written and read: the checksum, the verifier and the readers together, as a connection runs them. */
import { FRAME_LIMIT, FrameReader, FrameWriter } from '../../net/peer/frame.ts';
import { APPEND, APPEND_REPLY, HEARTBEAT, type PeerMessage, SNAPSHOT_CHUNK } from '../../proto/messages.ts';
import type { MicroBench } from '../micro.ts';

const FRAMES = 20;
const head = { group: 0, from: 1, to: 2, term: 3 };

function append(count: number, length: number): PeerMessage {
  const bytes = new Uint8Array(length).fill(0x61);
  const entries = Array.from({ length: count }, (_, i) => ({
    index: i + 2,
    term: 3,
    kind: 0,
    bytes,
    start: 0,
    length,
  }));
  return { type: APPEND, ...head, prevIndex: 1, prevTerm: 3, commit: 1, round: 0, entries };
}

function both(name: string, message: PeerMessage): MicroBench[] {
  const writer = new FrameWriter();
  const reader = new FrameReader(FRAME_LIMIT);
  const stream = Buffer.concat(Array.from({ length: FRAMES }, () => Buffer.from(writer.write(message))));
  const write = (): void => {
    for (let i = 0; i < FRAMES; i++) writer.write(message);
  };
  const read = (): void => {
    reader.push(stream);
    while (reader.next() !== undefined);
  };
  return [
    { name: `write ${name}`, operations: FRAMES, fn: write },
    { name: `read ${name}`, operations: FRAMES, fn: read },
  ];
}

export default function peer(): MicroBench[] {
  const beats = Array.from({ length: 256 }, (_, group) => ({ ...head, group, commit: 5, round: 6 }));
  const reply = { accepted: true, index: 9, conflictTerm: 0, conflictIndex: 0, round: 0 };
  const snapshot = { snapshot: 1, index: 9, lastTerm: 3, offset: 0, last: false, crc: 0, configurationIndex: 0 };
  const bytes = { round: 1, configuration: new Uint8Array(20), data: new Uint8Array(1024 * 1024).fill(0x61) };
  return [
    ...both('Append, one entry of 64 KiB', append(1, 65_536)),
    ...both('Append, 600 entries of 100 bytes', append(600, 100)),
    ...both('Append, one entry of 100 bytes', append(1, 100)),
    ...both('AppendReply', { type: APPEND_REPLY, ...head, ...reply }),
    ...both('Heartbeat, 256 groups', { type: HEARTBEAT, beats }),
    ...both('SnapshotChunk, 1 MiB', { type: SNAPSHOT_CHUNK, ...head, ...snapshot, ...bytes }),
  ];
}
