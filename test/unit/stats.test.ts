import { Float64Histogram } from 'hdr-histogram-js';
import { describe, expect, it } from 'vitest';
import { addCount } from '../../net/stats.ts';

describe('addCount', () => {
  it('does what recordValueWithCount does', () => {
    const values: number[] = [];
    for (let ns = 0; ns < 70_000; ns++) values.push(ns);
    for (let power = 16; power < 36; power++) {
      for (const near of [-1, 0, 1, 12_345]) values.push(Math.min(60e9, 2 ** power + near));
    }
    const ours = new Float64Histogram(1, 60e9, 2);
    const theirs = new Float64Histogram(1, 60e9, 2);
    values.forEach((ns, i) => {
      addCount(ours, ns, 1 + (i % 7));
      theirs.recordValueWithCount(ns, 1 + (i % 7));
    });
    expect(ours.totalCount).toBe(theirs.totalCount);
    expect([ours.maxValue, ours.minNonZeroValue]).toEqual([theirs.maxValue, theirs.minNonZeroValue]);
    const differing: number[] = [];
    for (let i = 0; i < theirs.countsArrayLength; i++) {
      if (ours.getCountAtIndex(i) !== theirs.getCountAtIndex(i)) differing.push(i);
    }
    expect(differing).toEqual([]);
  });
});
