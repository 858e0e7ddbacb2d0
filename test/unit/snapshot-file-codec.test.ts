import { expect, it } from 'vitest';
import { CODEC } from '../../engine/snapshot/file.ts';
import { compress, decompress } from '../../engine/snapshot/file-codec.ts';

it.each([64, 1000, 5000, 100_000])('%i bytes come back in memory that may be handed to another thread', (length) => {
  const bytes = new Uint8Array(length).fill(65);
  for (const codec of [CODEC.ZSTD, CODEC.DEFLATE]) {
    const packed = compress(bytes, codec);
    expect(packed.length).toBeLessThan(length);
    const back = decompress(packed, length, codec, 'file') as Uint8Array;
    expect([...back]).toEqual([...bytes]);
    for (const { buffer } of [packed, back]) structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
  }
});
