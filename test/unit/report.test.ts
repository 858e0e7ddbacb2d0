import { describe, expect, it } from 'vitest';
import { median, type Results, report, type ThroughputSample, table } from '../../bench/report.ts';

const sample = (requestsPerSecond: number): ThroughputSample => ({ requestsPerSecond, cpuUs: 2, p50Ms: 1, p99Ms: 3 });

describe('the report of the comparison', () => {
  it('takes medians', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
  });

  it('pads tables', () => {
    expect(table(['a', 'b'], [['longer', '1']])).toBe('| a      |   b |\n| ------ | --: |\n| longer |   1 |');
  });

  it('takes ratios within a round before the median over the rounds', () => {
    const results: Results = {
      ourName: 'Ours',
      theirName: 'Theirs',
      setting: ['a machine'],
      // The machine ran at half speed in the second round: the ratios do not mind, ratios of medians would.
      floors: [],
      throughput: [
        { test: 'GET', pipeline: 16, ours: sample(2_000_000), theirs: sample(1_000_000) },
        { test: 'GET', pipeline: 16, ours: sample(1_000_000), theirs: sample(500_000) },
        { test: 'GET', pipeline: 16, ours: sample(1_200_000), theirs: sample(1_000_000) },
      ],
      latency: [],
      memory: [{ server: 'Ours', expiry: false, usedPerKey: 80, residentPerKey: 90 }],
    };
    const text = report(results);
    expect(text).toMatch(/\| GET -P 16: speed +\| ≥ 1\.30 \| +2\.00 \| +yes \|/);
    expect(text).toMatch(/\| bytes per key, no expiry +\| +≤ 70 \| +80\.0 \| +NO \|/);
    expect(text).toMatch(/\| GET +\| +1\.20M \| +1\.00M \| 2\.00 \(1\.20–2\.00\) \|/);
  });
});
