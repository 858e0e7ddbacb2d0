import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import {
  CODEC,
  encodeFooter,
  FOOTER_BYTES,
  FRAME_BYTES,
  FRAME_HEADER,
  type SnapshotHeader,
} from '../../engine/snapshot/file.ts';
import { SnapshotError } from '../../engine/snapshot/file-errors.ts';
import { SnapshotFileReader } from '../../engine/snapshot/read-file.ts';
import { ChunkFile } from '../../engine/snapshot/write-chunks.ts';
import { TemporaryFile } from '../../engine/snapshot/write-temp.ts';
import { SimDisk } from '../sim/simdisk.ts';
import { chunkOf, DIRECTORY, headerAt, readChunks, sameChunks, writeChunks } from '../support/snapshot-files.ts';

const PATH = `${DIRECTORY}/snapshot-0000000000000042.mrs`;

function refusal(work: () => unknown): SnapshotError {
  try {
    work();
  } catch (error) {
    if (error instanceof SnapshotError) return error;
    throw error;
  }
  throw new Error('not refused');
}

describe('a snapshot file', () => {
  it('gives back its chunks and what its header says', () => {
    const random = new Random(1);
    const disk = new SimDisk(random);
    const header: SnapshotHeader = {
      ...headerAt(2 ** 40 + 3),
      groups: [
        { group: 0, index: 2 ** 40 + 3, term: 2 ** 33 },
        { group: 9, index: 1, term: 0 },
      ],
      config: Uint8Array.of(1, 2, 3),
    };
    const chunks = [
      chunkOf(random, 1),
      chunkOf(random, 100_000),
      chunkOf(random, 5000, true),
      chunkOf(random, FRAME_BYTES),
      chunkOf(random, 2 * FRAME_BYTES + 1),
    ];
    const summary = writeChunks(disk, PATH, header, chunks);
    const rawBytes = chunks.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const keys = chunks.reduce((sum, chunk) => sum + chunk.keys, 0);
    expect(summary).toEqual({ path: PATH, chunks: 5, keys, rawBytes, fileBytes: disk.contents(PATH).length });
    expect(summary.fileBytes).toBeLessThan(rawBytes / 2);

    const reader = new SnapshotFileReader(disk, PATH);
    expect(reader.header).toMatchObject(header);
    expect(reader.footer).toMatchObject({ chunks: 5, frames: 7, keys, rawBytes });
    reader.close();
    expect(sameChunks(readChunks(disk, PATH), chunks)).toBe(true);
    expect(disk.list(DIRECTORY)).toEqual(['snapshot-0000000000000042.mrs']);
  });

  it('may be empty', () => {
    const disk = new SimDisk(new Random(1));
    writeChunks(disk, PATH, headerAt(42), []);
    expect(readChunks(disk, PATH)).toEqual([]);
  });

  it.each([CODEC.NONE, CODEC.ZSTD, CODEC.DEFLATE])('is read back from codec %i', (codec) => {
    const random = new Random(2);
    const disk = new SimDisk(random);
    const chunks = [chunkOf(random, 3000), chunkOf(random, 3000, true)];
    const file = new ChunkFile(new TemporaryFile(disk, PATH, () => false), headerAt(42), codec);
    for (const { bytes, keys } of chunks) file.chunk(bytes, keys);
    file.publish();
    expect(sameChunks(readChunks(disk, PATH), chunks)).toBe(true);
  });

  it('is synced every few MiB as it is written, and once more at its end', () => {
    const disk = new SimDisk(new Random(1));
    const create = disk.create.bind(disk);
    const syncedAt: number[] = [];
    disk.create = (path) => {
      const file = create(path);
      const sync = file.sync.bind(file);
      file.sync = () => {
        syncedAt.push(file.size());
        sync();
      };
      return file;
    };
    const file = new TemporaryFile(disk, PATH, () => false);
    const MIB = 1024 * 1024;
    for (let i = 0; i < 20; i++) file.append(new Uint8Array(MIB));
    file.append(new Uint8Array(21 * MIB));
    file.publish();
    expect(syncedAt.map((size) => size / MIB)).toEqual([8, 16, 24, 32, 40, 41]);
  });

  it('has the bytes that file.ts draws', () => {
    const disk = new SimDisk(new Random(1));
    // SELECTDB 0; two strings: a -> hello, bb -> millrace again.
    const bytes = Buffer.from('\xfe\x00\x00\x01a\x05hello\x00\x02bb\x0bmillrace ok', 'latin1');
    writeChunks(disk, PATH, headerAt(42), [{ bytes, keys: 2 }]);
    const { sizeBytes } = new SnapshotFileReader(disk, PATH).header;
    const frame = Buffer.from(disk.contents(PATH)).subarray(sizeBytes, -FOOTER_BYTES);
    expect(frame.length).toBe(FRAME_HEADER + bytes.length);
    const drawn = readFileSync(join(import.meta.dirname, '../../engine/snapshot/file.ts'), 'utf8');
    const [, example] = drawn.match(/The only frame of a snapshot[^`]*```\n([^`]*)```/)!;
    const hex = example.split('\n').map((line) => line.match(/^ \* ((?:[0-9a-f]{2}[ |]*)+)(?: {2,}|$)/)?.[1] ?? '');
    expect(frame.toString('hex')).toBe(hex.join('').replaceAll(/[ |]/g, ''));
  });
});

describe('damage', () => {
  const random = new Random(3);
  const chunks = [chunkOf(random, 400), chunkOf(random, 60, true), chunkOf(random, 400)];
  const disk = new SimDisk(random);
  writeChunks(disk, PATH, headerAt(42), chunks);
  const whole = disk.contents(PATH).slice();

  /** What reading everything gives when the file has these bytes. */
  const refused = (bytes: Uint8Array): SnapshotError => {
    disk.place(PATH, bytes);
    return refusal(() => readChunks(disk, PATH));
  };
  /** The file's parts, to be put together in another way. */
  const parts = (): Buffer[] => {
    const bytes = Buffer.from(whole);
    const cuts: number[] = [0];
    for (let at = bytes.indexOf('MRFR'); at >= 0; at = bytes.indexOf('MRFR', at + 1)) cuts.push(at);
    cuts.push(bytes.length - FOOTER_BYTES, bytes.length);
    return cuts.slice(1).map((end, i) => bytes.subarray(cuts[i], end));
  };

  it('is noticed at every prefix', () => {
    const codes = new Set<string>();
    for (let length = 0; length < whole.length; length++) {
      const error = refused(whole.slice(0, length));
      codes.add(error.code);
      if (!error.message.includes(PATH)) throw error;
    }
    expect(codes).toEqual(new Set(['DAMAGED']));
  });

  it('is noticed at every bit', () => {
    const codes = new Set<string>();
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const flipped = whole.slice();
      flipped[bit >>> 3] ^= 1 << (bit & 7);
      codes.add(refused(flipped).code);
    }
    expect(codes).toEqual(new Set(['DAMAGED', 'VERSION']));
  });

  it('is noticed when bytes follow', () => {
    expect(refused(Buffer.concat([whole, Buffer.alloc(1)])).code).toBe('DAMAGED');
    expect(refused(Buffer.concat([whole, whole])).code).toBe('DAMAGED');
  });

  it('is noticed when frames are exchanged, missing, or twice there', () => {
    const [header, a, b, c, footer] = parts();
    expect(Buffer.concat([header, a, b, c, footer]).equals(whole)).toBe(true);
    for (const order of [[a, c, b], [b, a, c], [a, b], [a, b, b, c], [a, b, c, c], []])
      expect(refused(Buffer.concat([header, ...order, footer])).code).toBe('DAMAGED');
  });

  it('is noticed when frames are of another snapshot', () => {
    const [header, a, b, c, footer] = parts();
    writeChunks(disk, PATH, headerAt(42, '00000000-0000-4000-8000-000000000000'), chunks);
    const foreign = Buffer.from(disk.contents(PATH).slice());
    const at = header.length;
    expect(refused(Buffer.concat([header, foreign.subarray(at, at + a.length), b, c, footer])).message).toContain(
      'another snapshot',
    );
    expect(refused(Buffer.concat([header, a, b, c, foreign.subarray(-FOOTER_BYTES)])).message).toContain(
      'another snapshot',
    );
    expect(refused(Buffer.concat([foreign.subarray(0, at), a, b, c, footer])).message).toContain('another snapshot');
  });

  it('is noticed when the footer tells of something else', () => {
    disk.place(PATH, whole);
    const { header, footer } = new SnapshotFileReader(disk, PATH);
    for (const other of [
      { keys: footer.keys + 1 },
      { chunks: 2 },
      { frames: 4 },
      { framesCrc: 1 },
      { rawBytes: 9999 },
    ]) {
      const forged = encodeFooter({ ...footer, ...other }, header.owner);
      const error = refused(Buffer.concat([whole.subarray(0, -FOOTER_BYTES), forged]));
      expect(error).toMatchObject({ code: 'DAMAGED', offset: footer.offset });
    }
    const fewer = encodeFooter({ ...footer, rawBytes: footer.rawBytes - 1 }, header.owner);
    expect(refused(Buffer.concat([whole.subarray(0, -FOOTER_BYTES), fewer])).message).toContain('more than the footer');
  });

  it('is told apart from another version', () => {
    const later = whole.slice();
    later[8] = 2;
    expect(refused(later)).toMatchObject({ code: 'VERSION', offset: 8 });
  });

  it('names the place', () => {
    const [header] = parts();
    const flipped = whole.slice();
    flipped[header.length + FRAME_HEADER + 5] ^= 1;
    expect(refused(flipped)).toMatchObject({ code: 'DAMAGED', offset: header.length + FRAME_HEADER });
  });
});
