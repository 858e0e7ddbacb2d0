/** Frames that come in many pieces: what they cost. */
import { expect, it, vi } from 'vitest';
import { FrameReader, FrameWriter } from '../../net/peer/frame.ts';
import { FORWARD, type Forward } from '../../proto/messages.ts';

const PIECE_BYTES = 64 * 1024;

it('a long frame is moved only when its memory has doubled', () => {
  const request = new Uint8Array(16 * 1024 * 1024).map((_, i) => i * 7);
  const frame = new FrameWriter().write({ type: FORWARD, group: 0, id: 1, database: 0, resp: 2, request }).slice();
  const reader = new FrameReader(64 * 1024 * 1024);
  const grow = vi.spyOn(reader as unknown as { grow: () => void }, 'grow');
  let read: Forward | undefined;
  for (let at = 0; at < frame.length; at += PIECE_BYTES) {
    reader.push(frame, at, Math.min(at + PIECE_BYTES, frame.length));
    for (let message = reader.next(); message !== undefined; message = reader.next()) read = message as Forward;
  }
  expect(Buffer.compare(read?.request as Uint8Array, request)).toBe(0);
  expect(grow.mock.calls.length).toBeLessThan(12);
});
