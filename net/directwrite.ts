/**
 * Writes to a socket's handle directly, past the stream on top of it. The stream costs an object for the request, a view, a
 * tick callback and its bookkeeping per write: together about 0.5 of 3.3 microseconds per request at a pipeline
 * depth of one. Here a write that the kernel takes at once, the usual case, allocates nothing.
 *
 * The handle and its request object are node's own business. Everything that knows them is here and in onread.ts;
 * where they are not as expected, `DirectWriter.create` gives undefined and the caller writes to the stream.
 */
import type net from 'node:net';

/** One write in flight. Node fills it when the kernel does not take all bytes at once, and calls `oncomplete` later. */
interface WriteRequest {
  oncomplete: ((status: number) => void) | undefined;
  /** Keeps the bytes alive while they are being written. */
  buffer: Uint8Array | undefined;
}

interface WriteHandle {
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  readonly writeQueueSize: number;
}

interface StreamBinding {
  WriteWrap: new () => WriteRequest;
  streamBaseState: Int32Array;
  kLastWriteWasAsync: number;
}

/** Replies up to this long use a view made once per length. */
const CACHED_LENGTHS = 1024;
/** The cache serves one buffer, the thread's reply buffer; after so many writes from others it moves to the next. */
const MISSES_TO_MOVE = 64;

const NO_BYTES = new Uint8Array(0);

export class DirectWriter {
  private readonly binding: StreamBinding;
  /** Used by writes that complete at once, over and over; by one that does not, once. */
  private request: WriteRequest;
  private cachedBytes: Uint8Array = NO_BYTES;
  private views: (Uint8Array | undefined)[] = new Array(CACHED_LENGTHS).fill(undefined);
  private misses = 0;

  private constructor(binding: StreamBinding) {
    this.binding = binding;
    this.request = new binding.WriteWrap();
  }

  static create(): DirectWriter | undefined {
    try {
      const { binding } = process as unknown as { binding?: (name: string) => StreamBinding };
      const stream = binding?.('stream_wrap');
      const usable =
        typeof stream?.WriteWrap === 'function' &&
        stream.streamBaseState instanceof Int32Array &&
        typeof stream.kLastWriteWasAsync === 'number';
      return usable ? new DirectWriter(stream) : undefined;
    } catch {
      return undefined;
    }
  }

  /** The handle of a socket, if it can be written to directly. */
  static handleOf(socket: net.Socket): WriteHandle | undefined {
    const handle = (socket as unknown as { _handle: Partial<WriteHandle> | null })._handle;
    return typeof handle?.writeBuffer === 'function' ? (handle as WriteHandle) : undefined;
  }

  /**
   * Writes the first `length` bytes. Returns 0 when the kernel has them all; a negative error code when the connection is
   * broken; otherwise how many bytes wait, to be written from `bytes` itself: then `written` is called when that is done.
   */
  write(handle: WriteHandle, bytes: Uint8Array, length: number, written: (status: number) => void): number {
    const view = this.view(bytes, length);
    const error = handle.writeBuffer(this.request, view);
    if (error !== 0) return error < 0 ? error : -1;
    if (this.binding.streamBaseState[this.binding.kLastWriteWasAsync] === 0) return 0;
    this.request.oncomplete = written;
    this.request.buffer = view;
    this.request = new this.binding.WriteWrap();
    return Math.max(1, handle.writeQueueSize);
  }

  private view(bytes: Uint8Array, length: number): Uint8Array {
    if (length >= CACHED_LENGTHS) return bytes.subarray(0, length);
    if (bytes !== this.cachedBytes) {
      if (++this.misses < MISSES_TO_MOVE) return bytes.subarray(0, length);
      this.cachedBytes = bytes;
      this.views.fill(undefined);
    }
    this.misses = 0;
    let view = this.views[length];
    if (view === undefined) {
      view = bytes.subarray(0, length);
      this.views[length] = view;
    }
    return view;
  }
}

export type { WriteHandle };
