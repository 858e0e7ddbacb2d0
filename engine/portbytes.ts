/**
 * Bytes that are too long for a ring, as a message of a port. Any thread; one copy.
 *
 * They go in shared memory instead of being transferred: a transferred buffer is detached from its thread, and from the first one on
 * V8 looks at every access to any buffer of that thread whether it is still there, in 66 places of a compiled SET.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';

/** Sends a copy of `bytes`. */
export function sendBytes(port: MessagePort, bytes: Uint8Array): void {
  const buffer = new SharedArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  port.postMessage(buffer);
}

/** What was sent next, which is known to be on its way: waits for it without a pause. */
export function receiveBytes(port: MessagePort): Uint8Array {
  for (;;) {
    const received = receiveMessageOnPort(port);
    if (received !== undefined) return new Uint8Array(received.message as SharedArrayBuffer);
  }
}
