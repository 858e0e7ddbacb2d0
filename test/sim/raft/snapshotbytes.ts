/**
 * A snapshot of a simulated replica as bytes, with what a real one must carry besides the data: entry, term and configuration that it ends with,
 * the clock, the table of clients that ask for things once.
 *
 * ```
 * +0 crc u32, CRC-32C of the rest | +4 head bytes u32 | +8 head, JSON | chunks: bytes u32, then the bytes ...
 * ```
 */

import { crc32c } from '../../../engine/log/crc32c.ts';
import { decodeConfig, encodeConfig } from '../../../engine/raft/config.ts';
import type { SnapshotMeta } from '../../../engine/raft/entry.ts';

export interface SnapshotContent {
  readonly meta: SnapshotMeta;
  readonly nowMs: number;
  /** The digest of all replies so far (machine.ts). */
  readonly digest: number;
  readonly once: Uint8Array;
  readonly chunks: readonly Uint8Array[];
}

interface Head {
  index: number;
  term: number;
  config: string;
  configIndex: number;
  nowMs: number;
  digest: number;
  once: string;
}

const FIXED_BYTES = 8;

export function encodeSnapshot({ meta, nowMs, digest, once, chunks }: SnapshotContent): Uint8Array {
  const { index, term, configIndex } = meta;
  const config = Buffer.from(encodeConfig(meta.config)).toString('hex');
  const fields: Head = { index, term, config, configIndex, nowMs, digest, once: Buffer.from(once).toString('hex') };
  const head = Buffer.from(JSON.stringify(fields));
  const parts: Uint8Array[] = [Buffer.alloc(FIXED_BYTES), head];
  for (const chunk of chunks) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(chunk.length);
    parts.push(length, chunk);
  }
  const bytes = Buffer.concat(parts);
  bytes.writeUInt32LE(head.length, 4);
  bytes.writeUInt32LE(crc32c(bytes, 4, bytes.length - 4) >>> 0, 0);
  return bytes;
}

/** Undefined when these are not all the bytes of a snapshot. */
export function decodeSnapshot(from: Uint8Array): SnapshotContent | undefined {
  if (from.length < FIXED_BYTES) return undefined;
  const bytes = Buffer.from(from.buffer, from.byteOffset, from.length);
  if (bytes.readUInt32LE(0) !== crc32c(bytes, 4, bytes.length - 4) >>> 0) return undefined;
  let at = FIXED_BYTES + bytes.readUInt32LE(4);
  const head: Head = JSON.parse(bytes.toString('utf8', FIXED_BYTES, at));
  const chunks: Uint8Array[] = [];
  while (at < bytes.length) {
    const length = bytes.readUInt32LE(at);
    chunks.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  const config = Buffer.from(head.config, 'hex');
  return {
    meta: {
      index: head.index,
      term: head.term,
      config: decodeConfig(config, 0, config.length),
      configIndex: head.configIndex,
    },
    nowMs: head.nowMs,
    digest: head.digest,
    once: Buffer.from(head.once, 'hex'),
    chunks,
  };
}
