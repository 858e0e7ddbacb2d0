import { expect, it } from 'vitest';
import { PAYLOAD_LIMIT } from '../../engine/log/log.ts';
import {
  decodeRecord,
  emptyRecord,
  isIntact,
  isPlausible,
  RECORD_HEADER_BYTES,
  recordBytes,
  sealRecord,
  TYPE_ENTRY,
  TYPE_RESTART,
  watermarkAt,
} from '../../engine/log/record.ts';
import { segmentSeed } from '../../engine/log/segment.ts';

/** The example of record.ts: entry 7 of group 0 in term 3, "abc", at offset 4096 of segment 1 of log 5. */
const EXAMPLE =
  '344ca968 03000000 01000000 00000000 0700000000000000 0300000000000000 0010000000000000 6162630000000000';

function sealed(index: number, term: number, watermark: number, seed: number, offset: number): Uint8Array {
  const u8 = new Uint8Array(48);
  u8.set([0x61, 0x62, 0x63], RECORD_HEADER_BYTES);
  const record = { ...emptyRecord(), index, term, type: TYPE_ENTRY, length: 3 };
  sealRecord(new Uint32Array(u8.buffer), 0, record, watermark, seed, offset);
  return u8;
}

it('is laid out as drawn', () => {
  const u8 = sealed(7, 3, 4096, segmentSeed(5, 1), 4096);
  expect(Buffer.from(u8).toString('hex')).toBe(EXAMPLE.replaceAll(' ', ''));
});

it('keeps whole numbers up to 2^53', () => {
  const u8 = sealed(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1, 2 ** 33, 1, 2 ** 34);
  const u32 = new Uint32Array(u8.buffer);
  const record = emptyRecord();
  expect(isPlausible(u32, 0, 48, 2 ** 34)).toBe(true);
  expect(isIntact(u32, 0, 1, 2 ** 34)).toBe(true);
  decodeRecord(u8, u32, 0, record);
  expect(record).toMatchObject({ index: Number.MAX_SAFE_INTEGER, term: Number.MAX_SAFE_INTEGER - 1, length: 3 });
  expect(watermarkAt(u32, 0)).toBe(2 ** 33);
});

it('keeps what kind of entry it is beside its type', () => {
  const u8 = new Uint8Array(40);
  const u32 = new Uint32Array(u8.buffer);
  sealRecord(u32, 0, { ...emptyRecord(), index: 1, type: TYPE_RESTART, kind: 255 }, 0, 1, 4096);
  expect(isPlausible(u32, 0, 40, 4096) && isIntact(u32, 0, 1, 4096)).toBe(true);
  const record = emptyRecord();
  decodeRecord(u8, u32, 0, record);
  expect(record).toMatchObject({ type: TYPE_RESTART, kind: 255 });
  u32[2] |= 0x10000;
  expect(isPlausible(u32, 0, 40, 4096)).toBe(false);
});

it('is good at one place only', () => {
  const seed = segmentSeed(5, 1);
  const u8 = sealed(7, 3, 4096, seed, 4096);
  const u32 = new Uint32Array(u8.buffer);
  const good: string[] = [];
  for (let offset = 0; offset < 65536; offset += 8) if (isIntact(u32, 0, seed, offset)) good.push(`offset ${offset}`);
  for (let i = 0; i < 2000; i++) {
    if (isIntact(u32, 0, segmentSeed(5, i), 4096)) good.push(`segment ${i}`);
    if (isIntact(u32, 0, segmentSeed(i, 1), 4096)) good.push(`log ${i}`);
  }
  expect(good).toEqual(['offset 4096', 'segment 1', 'log 5']);
});

it('with any bit changed, is no record', () => {
  const seed = segmentSeed(5, 1);
  const u8 = sealed(7, 3, 4096, seed, 4096);
  const u32 = new Uint32Array(u8.buffer);
  for (let bit = 0; bit < u8.length * 8; bit++) {
    u8[bit >>> 3] ^= 1 << (bit & 7);
    expect(isPlausible(u32, 0, 48, 4096) && isIntact(u32, 0, seed, 4096)).toBe(false);
    u8[bit >>> 3] ^= 1 << (bit & 7);
  }
});

it('has an impossible header when a field is out of range', () => {
  const good = () => new Uint32Array(sealed(7, 3, 4096, 1, 4096).buffer);
  const changed = (word: number, value: number) => {
    const u32 = good();
    u32[word] = value;
    return isPlausible(u32, 0, 48, 4096);
  };
  expect(changed(3, 9)).toBe(true);
  expect(changed(2, TYPE_RESTART)).toBe(true);
  expect(changed(2, 0)).toBe(false);
  expect(changed(2, 3)).toBe(false);
  expect(changed(1, 9)).toBe(false);
  expect(changed(1, PAYLOAD_LIMIT + 1)).toBe(false);
  expect(changed(4, 0)).toBe(false);
  expect(changed(5, 2 ** 21)).toBe(false);
  expect(changed(7, 2 ** 21)).toBe(false);
  expect(changed(8, 4104)).toBe(false);
  expect([0, 1, 8, 9, PAYLOAD_LIMIT].map(recordBytes)).toEqual([40, 48, 48, 56, PAYLOAD_LIMIT + 40]);
});
