/**
 * The memory of a thread's chunks, which goes to the thread that writes the file and comes back. Shared memory that is dropped
 * does not count for the collector, which then does not run: a gigabyte of chunks would stay a gigabyte. So buffers are
 * used again. Filling belongs to one thread; `releaseChunk` may be called on any.
 *
 * ```
 * buffer: +0 i32: 1 = being filled, or out with whoever reads it; 0 = free | +64 the chunk's bytes, to +256 KiB
 * ```
 * A value too large for a buffer makes its output grow out of it (rdb/output.ts) into memory of its own, from its
 * beginning on, which is used once.
 */

const HEADER_BYTES = 64;
/** Room for a chunk that is nearly full (saver.ts) and one more value of ordinary size. */
const BUFFER_BYTES = 256 * 1024;
/** What a thread has from its start, in one piece of 2 MiB: as many as are out while sweeps go on. */
const RESERVED = 8;
/** More than that are only out at once when writes save faster than the file is written; what is beyond is left to the collector. */
const MAX_BUFFERS = 64;
/** The smallest page of memory. */
const PAGE_BYTES = 4096;

export class ChunkBuffers {
  private readonly flags: Int32Array[] = [];

  /**
   * Gets the memory of the first buffers, and touches it. Each 2 MiB of memory that a process has not had yet may take 5 ms or
   * more, which a write, or a sweep that has a shard's lock, would take in the midst of a snapshot.
   */
  reserve(): void {
    const bytes = new Uint8Array(new SharedArrayBuffer(RESERVED * BUFFER_BYTES));
    for (let at = 0; at < bytes.length; at += PAGE_BYTES) bytes[at] = 0;
    for (let at = 0; at < bytes.length; at += BUFFER_BYTES) this.flags.push(new Int32Array(bytes.buffer, at, 1));
  }

  /** An empty buffer to be filled. */
  take(): Uint8Array {
    let flag = this.flags.find((one) => Atomics.load(one, 0) === 0);
    if (flag === undefined) {
      flag = new Int32Array(new SharedArrayBuffer(BUFFER_BYTES), 0, 1);
      if (this.flags.length < MAX_BUFFERS) this.flags.push(flag);
    }
    flag[0] = 1;
    return new Uint8Array(flag.buffer, flag.byteOffset + HEADER_BYTES, BUFFER_BYTES - HEADER_BYTES);
  }
}

/** Frees a buffer that `take` gave, on any thread; of memory that it did not give nothing is known, and nothing done. */
export function releaseBuffer({ buffer, byteOffset }: Uint8Array): void {
  if (byteOffset > 0) Atomics.store(new Int32Array(buffer, byteOffset - HEADER_BYTES, 1), 0, 0);
}

/** Gives the memory of a chunk back, wherever it was read, and takes its bytes off those pending. */
export function releaseChunk(chunk: Uint8Array, pending: Int32Array): void {
  releaseBuffer(chunk);
  Atomics.sub(pending, 0, chunk.length);
}
