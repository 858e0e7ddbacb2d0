/**
 * Makes an accepted socket read into one buffer that all sockets of the thread share, instead of into a fresh Buffer
 * per read: about 1.3 of 9 microseconds per request at a pipeline depth of one.
 *
 * node:net offers this (`onread`) to sockets that connect, not to those a server accepts. So the server accepts with
 * `pauseOnConnect`, and the accepted connection's handle moves to a new socket that has the option. The handle and a
 * socket's link to its server are private properties: everything that knows them is in this file, and where they are
 * not as expected, `data` events do the same work.
 */
import net from 'node:net';

interface Handle {
  fd?: number;
  useUserBuffer?: unknown;
}

interface Internals {
  _handle: Handle | null;
  /** What makes `server.close` wait for the connection, and `getConnections` count it. */
  server: net.Server | null;
  _server: net.Server | null;
}

/** `bytes` holds what was read only until the callback returns. */
export type OnBytes = (bytes: Uint8Array, length: number) => void;

/** The socket to use instead of `accepted`, a connection of a server with `pauseOnConnect`. Reading has begun. */
export function readShared(accepted: net.Socket, shared: Uint8Array, onBytes: OnBytes): net.Socket {
  const from = accepted as unknown as Internals;
  const handle = from._handle;
  if (handle === null || typeof handle.useUserBuffer !== 'function') return readByEvents(accepted, onBytes);
  from._handle = null;
  const options = {
    handle,
    allowHalfOpen: true,
    onread: {
      buffer: shared,
      callback: (length: number) => {
        onBytes(shared, length);
        return true;
      },
    },
  };
  const socket = new net.Socket(options as net.SocketConstructorOpts);
  const to = socket as unknown as Internals;
  to.server = from.server;
  to._server = from._server;
  // Lets the stream come to its 'end' event; the bytes themselves never pass through it.
  socket.resume();
  shortcut(handle, shared, onBytes);
  return socket;
}

interface ReadHandle extends Handle {
  onread?: (this: ReadHandle, arrayBuffer: unknown) => unknown;
}

interface ReadBinding {
  streamBaseState?: Int32Array;
  kReadBytesOrError?: number;
}

/**
 * Takes bytes from the handle before the stream's own reader, which has timers and buffers to look after for each read
 * (0.1 microseconds); the end of the stream and errors still go to that.
 */
function shortcut(handle: ReadHandle, shared: Uint8Array, onBytes: OnBytes): void {
  const { binding } = process as unknown as { binding?: (name: string) => ReadBinding };
  const { streamBaseState: state, kReadBytesOrError: bytesRead } = binding?.('stream_wrap') ?? {};
  const inner = handle.onread;
  if (!(state instanceof Int32Array) || typeof bytesRead !== 'number' || typeof inner !== 'function') return;
  handle.onread = function (arrayBuffer): unknown {
    const length = state[bytesRead];
    if (length <= 0) return inner.call(this, arrayBuffer);
    onBytes(shared, length);
    return undefined;
  };
}

export function readByEvents(socket: net.Socket, onBytes: OnBytes): net.Socket {
  socket.on('data', (chunk: Buffer) => {
    // A plain view: the parser and all behind it see one kind of array.
    onBytes(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length), chunk.length);
  });
  socket.resume();
  return socket;
}

/** The socket's file descriptor, for CLIENT LIST; -1 when there is none to see. */
export function fileDescriptor(socket: net.Socket): number {
  return (socket as unknown as Internals)._handle?.fd ?? -1;
}
