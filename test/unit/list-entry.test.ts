import { describe, expect, it } from 'vitest';
import { createArena } from '../../engine/alloc.ts';
import { Arena } from '../../engine/arena.ts';
import { Reply } from '../../engine/reply.ts';
import {
  entryBefore,
  entryBytes,
  entryIs,
  entryLength,
  entryNext,
  entryStart,
  removeEntries,
  replyEntries,
  skipBackward,
  skipForward,
  writeEntry,
} from '../../engine/types/list-entry.ts';

const LENGTHS = [0, 1, 3, 9, 10, 99, 100, 127, 128, 199, 200, 255, 256, 999, 1000, 16383, 16384, 70_000];

function element(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + length) & 255);
}

/** Writes elements of these lengths back to back and returns where each entry begins, and where the last one ends. */
function writeRun(u8: Uint8Array, at: number, lengths: readonly number[]): number[] {
  const starts = [at];
  for (const length of lengths) {
    writeEntry(u8, at, element(length), 0, length);
    at += entryBytes(length);
    starts.push(at);
  }
  return starts;
}

function bulks(lengths: readonly number[]): string {
  return lengths.map((length) => `$${length}\r\n${Buffer.from(element(length)).toString('latin1')}\r\n`).join('');
}

function written(reply: Reply): string {
  return Buffer.from(reply.u8.subarray(0, reply.length)).toString('latin1');
}

describe('list entries', () => {
  it('lie as the comment says', () => {
    const u8 = new Uint8Array(400);
    writeEntry(u8, 0, Buffer.from('xxx'), 0, 3);
    expect([...u8.subarray(0, 5)]).toEqual([3, 120, 120, 120, 3]);
    writeEntry(u8, 0, new Uint8Array(300).fill(97), 0, 300);
    expect([...u8.subarray(0, 3), ...u8.subarray(301, 304)]).toEqual([0x81, 0x2c, 97, 97, 0x2c, 0x81]);
  });

  it('are read from both ends at every length of the marks', () => {
    const u8 = new Uint8Array(200_000);
    const starts = writeRun(u8, 5, LENGTHS);
    for (let i = 0; i < LENGTHS.length; i++) {
      const at = starts[i];
      expect(entryLength(u8, at)).toBe(LENGTHS[i]);
      expect(entryNext(u8, at)).toBe(starts[i + 1]);
      expect(entryBefore(u8, starts[i + 1])).toBe(at);
      expect(entryIs(u8, at, element(LENGTHS[i]), 0, LENGTHS[i])).toBe(true);
      expect(entryIs(u8, at, element(LENGTHS[i] + 1), 0, LENGTHS[i] + 1)).toBe(false);
      const start = entryStart(u8, at);
      expect(Buffer.compare(u8.subarray(start, start + LENGTHS[i]), element(LENGTHS[i]))).toBe(0);
    }
    expect(skipForward(u8, 5, LENGTHS.length)).toBe(starts[LENGTHS.length]);
    expect(skipBackward(u8, starts[LENGTHS.length], 4)).toBe(starts[LENGTHS.length - 4]);
  });

  it('tell elements of the same length apart', () => {
    const u8 = new Uint8Array(20);
    writeEntry(u8, 0, Buffer.from('abc'), 0, 3);
    expect(entryIs(u8, 0, Buffer.from('xabcx'), 1, 3)).toBe(true);
    expect(entryIs(u8, 0, Buffer.from('abd'), 0, 3)).toBe(false);
  });

  it('become bulk strings, whatever their lengths and however small the reply was', () => {
    const a = new Arena(createArena(4 * 1024 * 1024, 0, 1, [1, 2]));
    for (let i = 0; i < LENGTHS.length; i++) {
      const lengths = [...LENGTHS.slice(i), ...LENGTHS.slice(0, i)];
      const starts = writeRun(a.u8, 1_000_001, lengths);
      const reply = new Reply(64);
      reply.simple('OK');
      replyEntries(a, starts[0], starts[lengths.length], lengths.length, reply);
      expect(written(reply) === `+OK\r\n${bulks(lengths)}`).toBe(true);
      reply.rewind(0);
      replyEntries(a, starts[2], starts[lengths.length], 3, reply);
      expect(written(reply) === bulks(lengths.slice(2, 5))).toBe(true);
    }
  });

  it('are read from the last bytes of an arena without going beyond them', () => {
    const a = new Arena(createArena(1024 * 1024, 0, 1, [1, 2]));
    const lengths = [3, 0, 1];
    const bytes = lengths.reduce((sum, length) => sum + entryBytes(length), 0);
    const starts = writeRun(a.u8, a.u8.length - bytes, lengths);
    const reply = new Reply(64);
    replyEntries(a, starts[0], starts[3], 3, reply);
    expect(written(reply)).toBe(bulks(lengths));
  });

  it('are removed from either side up to a limit, and the rest closes up', () => {
    const read = (u8: Uint8Array, begin: number, end: number): string => {
      let text = '';
      for (let at = begin; at < end; at = entryNext(u8, at)) text += String.fromCharCode(u8[entryStart(u8, at)]);
      return text;
    };
    for (const [text, limit, front, back] of [
      ['abacada', 2, 'bcada', 'abacd'],
      ['aaaa', 9, '', ''],
      ['baab', 1, 'bab', 'bab'],
      ['bcd', 5, 'bcd', 'bcd'],
      ['abc', 5, 'bc', 'bc'],
      ['bca', 5, 'bc', 'bc'],
    ] as const) {
      for (const fromBack of [false, true]) {
        const u8 = new Uint8Array(100);
        let end = 10;
        for (const char of text) {
          writeEntry(u8, end, Buffer.from(char), 0, 1);
          end += 3;
        }
        const removed = removeEntries(u8, 10, end, fromBack, limit, Buffer.from('a'), 0, 1);
        expect(removed).toBe(text.length - (fromBack ? back : front).length);
        if (fromBack) expect(read(u8, 10 + removed * 3, end)).toBe(back);
        else expect(read(u8, 10, end - removed * 3)).toBe(front);
      }
    }
  });
});
