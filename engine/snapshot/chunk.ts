/**
 * The memory of a thread's chunks, which goes to the thread that writes the file and comes back. Shared memory that is dropped
 * does not count for the collector, which then does not run: a gigabyte of chunks would stay a gigabyte. So buffers are
 * used again. Filling belongs to one thread; `releaseChunk` may be called on any.
 *
 * ```
 * buffer: +0 i32: 1 = being filled, or out with whoever reads it; 0 = free | +64 the chunk's bytes
 * ```
 * A value too large for a buffer makes its output grow out of it (rdb/output.ts) into memory of its own, from +0 on,
 * which is used once.
 */

const HEADER_BYTES = 64;
/** Room for a chunk that is nearly full and one more value of ordinary size. */
const BUFFER_BYTES = HEADER_BYTES + 1024 * 1024 + 128 * 1024;
/** More than that are only out at once when sweeps wait already; what is beyond is left to the collector. */
const MAX_BUFFERS = 64;

export class ChunkBuffers {
  private readonly flags: Int32Array[] = [];

  /** An empty buffer to be filled. */
  take(): Uint8Array {
    let flag = this.flags.find((one) => Atomics.load(one, 0) === 0);
    if (flag === undefined) {
      flag = new Int32Array(new SharedArrayBuffer(BUFFER_BYTES), 0, 1);
      if (this.flags.length < MAX_BUFFERS) this.flags.push(flag);
    }
    flag[0] = 1;
    return new Uint8Array(flag.buffer, HEADER_BYTES);
  }
}

/** Gives the memory of a chunk back, wherever it was read, and takes its bytes off those pending. */
export function releaseChunk(chunk: Uint8Array, pending: Int32Array): void {
  if (chunk.byteOffset === HEADER_BYTES) Atomics.store(new Int32Array(chunk.buffer, 0, 1), 0, 0);
  Atomics.sub(pending, 0, chunk.length);
}
