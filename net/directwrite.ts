/**
 * Writes to a socket's handle directly, past the stream on top of it. The stream costs an object for the request, a view, a
 * tick callback and its bookkeeping per write: together about 0.5 of 3.3 microseconds per request at a pipeline
 * depth of one. Here a write that the kernel takes at once, the usual case, allocates nothing
 * when it is short, and one view when it is not.
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

/** Replies up to this long are copied to a slot of which there is a view of every length: cheaper than making one. */
const SLOT_BYTES = 64;

export class DirectWriter {
  private readonly binding: StreamBinding;
  /** Used by writes that complete at once, over and over; by one that does not, once. The same holds for the slot. */
  private request: WriteRequest;
  private slot: Uint8Array;
  private slotViews: Uint8Array[];

  private constructor(binding: StreamBinding) {
    this.binding = binding;
    this.request = new binding.WriteWrap();
    this.slot = new Uint8Array(SLOT_BYTES);
    this.slotViews = viewsOf(this.slot);
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
   * Writes `length` bytes from `start` on. Returns 0 when the kernel has them all; a negative error code when the connection is
   * broken; otherwise how many bytes wait, to be written from `bytes` itself: then `written` is called when that is done.
   */
  write(
    handle: WriteHandle,
    bytes: Uint8Array,
    start: number,
    length: number,
    written: (status: number) => void,
  ): number {
    const view = length <= SLOT_BYTES ? this.slotted(bytes, start, length) : bytes.subarray(start, start + length);
    const error = handle.writeBuffer(this.request, view);
    if (error !== 0) return error < 0 ? error : -1;
    if (this.binding.streamBaseState[this.binding.kLastWriteWasAsync] === 0) return 0;
    this.request.oncomplete = written;
    this.request.buffer = view;
    this.request = new this.binding.WriteWrap();
    if (length <= SLOT_BYTES) {
      this.slot = new Uint8Array(SLOT_BYTES);
      this.slotViews = viewsOf(this.slot);
    }
    return Math.max(1, handle.writeQueueSize);
  }

  private slotted(bytes: Uint8Array, start: number, length: number): Uint8Array {
    const slot = this.slot;
    for (let i = 0; i < length; i++) slot[i] = bytes[start + i];
    return this.slotViews[length];
  }
}

function viewsOf(slot: Uint8Array): Uint8Array[] {
  return Array.from({ length: SLOT_BYTES + 1 }, (_, length) => slot.subarray(0, length));
}

export type { WriteHandle };
