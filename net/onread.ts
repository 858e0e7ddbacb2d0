/**
 * Makes a socket read into one buffer that all sockets of the thread share, instead of into a fresh Buffer per read: about 1.3
 * of 9 microseconds per request at a pipeline depth of one, and no memory for the garbage collector to find out about.
 *
 * node:net offers this (`onread`) to sockets that connect, not to those a server accepts, so it is asked of the handle below the
 * socket. Bytes then never pass through the stream on top, which has timers and buffers to look after for each read (0.1
 * microseconds); its end and errors still do. The handle and what it calls are node's own business: everything that knows
 * them is in this file, and where they are not as expected, `data` events do the same work.
 */
import type net from 'node:net';

interface ReadHandle {
  fd?: number;
  /** Whether it reads; the stream on top looks here before it starts it. */
  reading?: boolean;
  useUserBuffer?: (buffer: Uint8Array) => void;
  onread?: (this: ReadHandle, arrayBuffer: unknown) => unknown;
  readStart?: () => number;
  readStop?: () => number;
}

interface ReadBinding {
  streamBaseState?: Int32Array;
  kReadBytesOrError?: number;
}

/** `bytes` holds what was read only until the callback returns. */
export type OnBytes = (bytes: Uint8Array, length: number) => void;

/** Stops and restarts the reading of a socket. */
export interface Reading {
  pause(): void;
  resume(): void;
}

/** From now on what `socket` reads goes to `onBytes`, in `shared`. Reading has begun. */
export function readShared(socket: net.Socket, shared: Uint8Array, onBytes: OnBytes): Reading {
  const handle = handleOf(socket);
  // With TLS the stream may have bytes already.
  if (handle === null || 'encrypted' in socket || !divert(handle, shared, onBytes)) {
    return readByEvents(socket, onBytes);
  }
  // Lets the stream come to its 'end' event.
  socket.resume();
  return new HandleReading(socket);
}

/** Whether that could be had. */
function divert(handle: ReadHandle, shared: Uint8Array, onBytes: OnBytes): boolean {
  const { binding } = process as unknown as { binding?: (name: string) => ReadBinding };
  const { streamBaseState: state, kReadBytesOrError: bytesRead } = binding?.('stream_wrap') ?? {};
  const inner = handle.onread;
  if (!(state instanceof Int32Array) || typeof bytesRead !== 'number' || typeof inner !== 'function') return false;
  if (typeof handle.useUserBuffer !== 'function' || typeof handle.readStart !== 'function') return false;
  handle.useUserBuffer(shared);
  handle.onread = function (arrayBuffer): unknown {
    const length = state[bytesRead];
    if (length <= 0) return inner.call(this, arrayBuffer);
    onBytes(shared, length);
    return undefined;
  };
  return true;
}

/** Of a socket whose stream gets no bytes, and so would not stop its handle. */
class HandleReading implements Reading {
  private readonly socket: net.Socket;

  constructor(socket: net.Socket) {
    this.socket = socket;
  }

  pause(): void {
    const handle = handleOf(this.socket);
    if (handle?.reading !== true) return;
    handle.reading = false;
    handle.readStop?.();
  }

  resume(): void {
    const handle = handleOf(this.socket);
    if (handle === null || handle.reading === true) return;
    handle.reading = true;
    const error = handle.readStart?.() ?? 0;
    if (error !== 0) this.socket.destroy();
  }
}

export function readByEvents(socket: net.Socket, onBytes: OnBytes): Reading {
  socket.on('data', (chunk: Buffer) => {
    // A plain view: the parser and all behind it see one kind of array.
    onBytes(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length), chunk.length);
  });
  socket.resume();
  return socket;
}

/** The socket's file descriptor, for CLIENT LIST; -1 when there is none to see. */
export function fileDescriptor(socket: net.Socket): number {
  return handleOf(socket)?.fd ?? -1;
}

function handleOf(socket: net.Socket): ReadHandle | null {
  return (socket as unknown as { _handle: ReadHandle | null })._handle;
}
