import { describe, expect, it } from 'vitest';
import { hashBytes, hashKey, keySlot, slotOf } from '../../engine/hash.ts';

const encoder = new TextEncoder();

function slot(key: string): number {
  const bytes = encoder.encode(`..${key}`);
  return slotOf(bytes, 2, bytes.length - 2);
}

/** The definition, bit by bit. */
function slowSlot(key: string): number {
  let crc = 0;
  for (const byte of encoder.encode(key)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc % 16384;
}

describe('slotOf', () => {
  it('gives the values that Redis Cluster gives', () => {
    // CLUSTER KEYSLOT of redis-server 7.0.15.
    expect(slot('123456789')).toBe(12739);
    expect(slot('foo')).toBe(12182);
    expect(slot('')).toBe(0);
  });

  it('agrees with the definition for every length', () => {
    for (let length = 0; length < 70; length++) {
      const key = 'abcdefghijklmnopqrstuvwxyz0123456789'.repeat(2).slice(0, length);
      expect(slot(key)).toBe(slowSlot(key));
    }
  });

  it('hashes only the tag, wherever it stands', () => {
    for (let before = 0; before < 9; before++) {
      expect(slot(`${'x'.repeat(before)}{user1000}.following`)).toBe(slowSlot('user1000'));
    }
    expect(slot('foo{}{bar}')).toBe(slowSlot('foo{}{bar}'));
    expect(slot('foo{{bar}}zap')).toBe(slowSlot('{bar'));
    expect(slot('foo{bar}{zap}')).toBe(slowSlot('bar'));
    expect(slot('foo{bar')).toBe(slowSlot('foo{bar'));
  });
});

describe('hashBytes', () => {
  it('depends on every byte, the length and the seed', () => {
    const seen = new Set<number>();
    for (let length = 0; length < 40; length++) {
      const bytes = new Uint8Array(length);
      seen.add(hashBytes(1, 2, bytes, 0, length));
      seen.add(hashBytes(1, 3, bytes, 0, length));
      seen.add(hashBytes(4, 2, bytes, 0, length));
      for (let i = 0; i < length; i++) {
        bytes.fill(0);
        bytes[i] = 1;
        seen.add(hashBytes(1, 2, bytes, 0, length));
      }
    }
    expect(seen.size).toBe(40 * 3 + (40 * 39) / 2);
  });
});

describe('hashKey', () => {
  it('is slotOf and hashBytes in one', () => {
    const text = 'abc{defgh}ijklmnopq{}rstu{{v}wxyz0123456789\u00ff\u007f}{';
    const bytes = encoder.encode(text);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let start = 0; start < bytes.length; start++) {
      for (let length = 0; start + length <= bytes.length; length++) {
        expect(hashKey(5, 6, view, start, length)).toBe(hashBytes(5, 6, bytes, start, length));
        expect(keySlot).toBe(slotOf(bytes, start, length));
      }
    }
  });
});
