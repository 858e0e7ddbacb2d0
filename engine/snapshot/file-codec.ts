/**
 * Compression of frames: zstd at its fastest level where Node has it (22.15 and later), else deflate; and none for what
 * does not shrink. Synchronous, for threads of the pool. On a mebibyte of 16-byte keys and JSON values of 100 bytes zstd
 * leaves 26 % at 184 MB/s of CPU time and gives it back at 415, deflate 31 % at 98 and 442.
 */
import * as zlib from 'node:zlib';
import { CODEC } from './file.ts';
import { SnapshotError } from './file-errors.ts';

/** Node 20 has no zstd: the names are then undefined, whatever their types say. */
const HAS_ZSTD = typeof zlib.zstdCompressSync === 'function';

/** What this Node compresses with. */
export const BEST_CODEC: number = HAS_ZSTD ? CODEC.ZSTD : CODEC.DEFLATE;

/** Node cuts smaller buffers from one that many share, which cannot be handed to another thread. */
const OWN_BYTES = Buffer.poolSize;

/** The bytes compressed, in one buffer of their own; `bytes` itself when that is not shorter. */
export function compress(bytes: Uint8Array, codec: number): Uint8Array {
  const chunkSize = Math.max(bytes.length, OWN_BYTES);
  let packed = bytes;
  if (codec === CODEC.ZSTD) {
    const params = { [zlib.constants.ZSTD_c_compressionLevel]: 1 };
    packed = zlib.zstdCompressSync(bytes, { chunkSize, params });
  } else if (codec === CODEC.DEFLATE) {
    packed = zlib.deflateRawSync(bytes, { chunkSize, level: 1 });
  }
  return packed.length < bytes.length ? packed : bytes;
}

/**
 * Decompresses a frame of `raw` bytes. Undefined when the bytes are not what `compress` made of so many, which the frame's
 * checksum should have shown before.
 */
export function decompress(stored: Uint8Array, raw: number, codec: number, file: string): Uint8Array | undefined {
  if (codec > CODEC.DEFLATE)
    throw new SnapshotError(
      'CODEC',
      `snapshot ${file} is compressed with codec ${codec}, which this program does not know`,
      file,
    );
  // One byte more than needed: the output is then known to be at its end within one buffer.
  const options = { chunkSize: Math.max(raw + 1, OWN_BYTES), maxOutputLength: raw + 1 };
  if (codec === CODEC.ZSTD && !HAS_ZSTD)
    throw new SnapshotError('CODEC', `snapshot ${file} is compressed with zstd: Node 22.15 or later reads it`, file);
  try {
    const bytes =
      codec === CODEC.ZSTD ? zlib.zstdDecompressSync(stored, options) : zlib.inflateRawSync(stored, options);
    return bytes.length === raw ? bytes : undefined;
  } catch {
    return undefined;
  }
}
