import { beforeEach, describe, expect, it } from 'vitest';
import { APPLIER, Fences, SERVER } from '../../net/fences.ts';

const SHARDS = 4;
const MAX_ID = 0x7fffffff;

let fences: Fences;

beforeEach(() => {
  fences = new Fences(SHARDS);
});

function marked(...shards: number[]): Uint8Array {
  const marks = new Uint8Array(SHARDS);
  for (const shard of shards) marks[shard] = 1;
  return marks;
}

const ALL = marked(0, 1, 2, 3);

describe('a fence', () => {
  it('keeps others out of its shards, and not its holder', () => {
    for (const holder of [1, MAX_ID, APPLIER, SERVER]) {
      fences.put(holder, marked(1, 2));
      expect(fences.excludes(holder, ALL)).toBe(false);
      expect(fences.excludes(77, marked(2, 3))).toBe(true);
      expect(fences.excludes(77, marked(0, 3))).toBe(false);
      expect([0, 1, 2, 3].map((shard) => fences.encloses(shard))).toEqual([false, true, true, false]);
      expect(fences.remove(holder)).toBe(true);
      expect(fences.remove(holder)).toBe(false);
      expect(fences.count).toBe(0);
    }
  });

  it('is not put where another is', () => {
    fences.put(1, marked(1));
    fences.put(2, marked(1, 2));
    expect(fences.count).toBe(1);
    expect(fences.excludes(3, marked(2))).toBe(false);
  });
});

describe("the server's", () => {
  it('comes next when others hold some: nobody gets a new one before it', () => {
    fences.put(1, marked(1));
    fences.put(SERVER, ALL);
    // Whoever has one ends what it waits for.
    expect(fences.excludes(1, marked(1))).toBe(false);
    expect(fences.excludes(2, marked(3))).toBe(true);
    expect(fences.encloses(3)).toBe(true);
    fences.put(2, marked(3));
    expect(fences.remove(2)).toBe(false);
    expect(fences.remove(1)).toBe(true);
    fences.put(SERVER, ALL);
    expect(fences.count).toBe(1);
    expect(fences.excludes(2, marked(3))).toBe(true);
    expect(fences.remove(SERVER)).toBe(true);
    expect(fences.count).toBe(0);
    expect(fences.excludes(2, marked(3))).toBe(false);
  });

  it('may be given up while it waits', () => {
    fences.put(1, marked(1));
    fences.put(SERVER, ALL);
    fences.put(SERVER, ALL);
    expect(fences.remove(SERVER)).toBe(true);
    expect(fences.count).toBe(1);
    expect(fences.excludes(2, marked(3))).toBe(false);
  });
});
