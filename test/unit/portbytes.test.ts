import { MessageChannel } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { receiveBytes, sendBytes } from '../../engine/portbytes.ts';

describe('bytes sent by a port', () => {
  it('arrive in order, as copies, and detach nothing', () => {
    const { port1, port2 } = new MessageChannel();
    const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => i);
    const first = bytes.slice(7, 250_000);
    sendBytes(port1, bytes.subarray(7, 250_000));
    bytes[8] = 99;
    sendBytes(port1, new Uint8Array(0));
    const received = receiveBytes(port2);
    expect(Buffer.compare(received, first)).toBe(0);
    expect(received.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(receiveBytes(port2)).toHaveLength(0);
    expect(bytes).toHaveLength(300_000);
    port1.close();
  });
});
