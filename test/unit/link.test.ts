/** What crosses from the main thread to a worker and back, with both ends on this thread. */
import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Call } from '../../engine/call.ts';
import { allocateLink, MainLink, WorkerLink } from '../../engine/link.ts';
import { Settings } from '../../engine/settings.ts';
import { Shards } from '../../engine/shards.ts';

const RING_BYTES = 64 * 1024;
const shards = Shards.create(1, 16 * 1024 * 1024, 16, [1, 2]);
const settings = new Settings();

let channel: MessageChannel;
let main: MainLink;
let worker: WorkerLink;
let received: Call;

beforeEach(() => {
  channel = new MessageChannel();
  const memory = allocateLink(RING_BYTES);
  main = new MainLink(memory, channel.port1);
  worker = new WorkerLink(memory, channel.port2);
  received = new Call(shards, settings);
});

afterEach(() => channel.port1.close());

function send(...args: string[]): void {
  const call = new Call(shards, settings);
  call.buf = new Uint8Array(Buffer.from(args.join('')));
  call.argc = args.length;
  let at = 0;
  args.forEach((arg, i) => {
    call.off[i] = at;
    call.len[i] = arg.length;
    at += arg.length;
  });
  expect(main.send(call, 1, 0, 7, 0, 1)).toBe(true);
  main.ring();
}

/** The arguments of the next request in the ring. */
function receive(): string[] {
  worker.receive(worker.requests.peek(), received);
  return Array.from({ length: received.argc }, (_, i) => received.str(i));
}

describe('a request', () => {
  const long = 'x'.repeat(3 * RING_BYTES);

  it('arrives with its arguments, short or too long for a ring', () => {
    send('set', 'k', 'v');
    send('set', 'k', long);
    expect(receive()).toEqual(['set', 'k', 'v']);
    worker.release(worker.requests.peek());
    expect(receive()).toEqual(['set', 'k', long]);
    worker.release(worker.requests.peek());
    expect(worker.requests.peek()).toBe(0);
  });

  it('may be received again until it is released', () => {
    send('set', 'k', long);
    send('set', 'other', `${long}y`);
    expect(receive()).toEqual(['set', 'k', long]);
    expect(receive()).toEqual(['set', 'k', long]);
    worker.release(worker.requests.peek());
    expect(receive()).toEqual(['set', 'other', `${long}y`]);
    expect(receive()).toEqual(['set', 'other', `${long}y`]);
  });
});
