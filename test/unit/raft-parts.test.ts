/** The parts of a replica alone: configurations as bytes, the log's terms, windows, what a storage gives back. */
import { describe, expect, it } from 'vitest';
import { ConfigHistory, Configuration, decodeConfig, encodeConfig } from '../../engine/raft/config.ts';
import { RaftCore } from '../../engine/raft/core.ts';
import { Entry } from '../../engine/raft/entry.ts';
import { RaftLog } from '../../engine/raft/log.ts';
import { DEFAULT_OPTIONS, Restored } from '../../engine/raft/options.ts';
import { Inflights } from '../../engine/raft/progress.ts';
import { Writes } from '../../engine/raft/writes.ts';
import { dice } from '../support/raft.ts';

describe('configurations', () => {
  it('as bytes', () => {
    const config = new Configuration([4, 1, 2], [1, 2, 3], [], 0);
    const bytes = encodeConfig(config);
    expect(Buffer.from(bytes).toString('hex')).toBe(
      '010003000300000004000000010000000200000004000000010000000200000003000000',
    );
    expect(decodeConfig(bytes, 0, bytes.length)).toEqual(config);
    const moved = Buffer.concat([Buffer.from('..'), bytes]);
    expect(decodeConfig(moved, 2, bytes.length)).toEqual(config);
  });

  it('damaged bytes are told from whole ones', () => {
    const bytes = encodeConfig(new Configuration([1, 2], [], [3], 9));
    for (let cut = 0; cut < bytes.length; cut++) expect(() => decodeConfig(bytes, 0, cut)).toThrow();
    for (const [at, value] of [
      [0, 2],
      [2, 9],
      [12, 0],
      [12, 2],
    ]) {
      const damaged = bytes.slice();
      damaged[at] = value;
      expect(() => decodeConfig(damaged, 0, damaged.length)).toThrow(
        expect.objectContaining({ code: 'RAFT_BAD_CONFIG' }),
      );
    }
  });

  it('of a log', () => {
    const [a, b, c] = [1, 2, 3].map((id) => new Configuration([id], [], [], 0));
    const history = new ConfigHistory(0, a);
    history.add(5, b);
    history.add(9, c);
    expect([4, 5, 8, 9].map((i) => history.at(i))).toEqual([a, b, b, c]);
    expect(history.truncateFrom(10)).toBe(false);
    expect(history.truncateFrom(9)).toBe(true);
    history.compactTo(6);
    expect([history.current, history.indexAt(6)]).toEqual([b, 5]);
  });
});

describe('the log', () => {
  it('against a plain array', () => {
    for (let seed = 1; seed <= 15; seed++) {
      const below = dice(seed);
      const log = new RaftLog(0, 0);
      const model = [0];
      let base = 0;
      for (let step = 0; step < 200; step++) {
        const draw = below(10);
        if (draw < 6) {
          const term = model[model.length - 1] + (below(5) === 0 ? 1 : 0);
          log.append(new Entry(model.length, term, 0, new Uint8Array(4), 0, below(5)));
          model.push(term);
        } else if (draw < 8 && model.length - 1 > base) {
          const from = base + 1 + below(model.length - 1 - base);
          log.truncateFrom(from);
          model.length = from;
        } else if (draw === 8) log.release(base + below(model.length - base), below(20));
        else {
          base += below(Math.min(4, model.length - base));
          log.compactTo(base);
        }
        log.verify();
        expect(log.lastIndex).toBe(model.length - 1);
        for (let i = base; i < model.length + 1; i++) expect(log.termAt(i)).toBe(model[i] ?? -1);
        expect(log.termAt(base - 1)).toBe(-1);
        const [index, term] = [base + below(model.length - base), below(6)];
        let within = index;
        while (within >= base && model[within] > term) within--;
        expect(log.lastWithin(index, term)).toBe(within);
      }
    }
  });
});

describe('writes', () => {
  it('know what is durable', () => {
    const writes = new Writes(0, 0);
    const first = writes.begin(1, 5, 0);
    const second = writes.begin(1, 8, 3);
    expect(writes.waitingSince(9)).toBe(0);
    writes.finish(first);
    expect([writes.durable, writes.next, writes.waitingSince(9)]).toEqual([5, 9, 3]);
    writes.truncateFrom(4);
    expect([writes.durable, writes.next]).toEqual([3, 4]);
    writes.finish(second);
    expect([writes.durable, writes.isIdle]).toEqual([3, true]);
    expect(() => writes.finish(3)).toThrow();
  });
});

describe('the window', () => {
  it('counts what is in it, around the end of the ring', () => {
    const window = new Inflights(3, 100);
    for (let i = 1; i <= 20; i++) {
      window.add(i, i);
      if (window.isFull) window.freeTo(i - 1);
    }
    expect(window).toMatchObject({ count: 2, bytes: 39 });
    window.freeTo(20);
    expect(window).toMatchObject({ count: 0, bytes: 0 });
    window.add(21, 100);
    expect(window.isFull).toBe(true);
  });
});

describe('what a storage gives back', () => {
  const config = new Configuration([1], [], [], 0);
  const start = (restored: Restored) =>
    new RaftCore({ ...DEFAULT_OPTIONS, group: 7, id: 1, seed: 1, incarnation: 1 }, restored).state;

  it('entries behind the snapshot count, with the configuration among them', () => {
    const restored = new Restored({ index: 3, term: 2, config, configIndex: 0 }, { term: 4, vote: 0 });
    const bytes = encodeConfig(new Configuration([1, 2], [], [], 0));
    for (let i = 2; i <= 5; i++) restored.entry(i, 2, i === 5 ? 2 : 0, bytes, 0, bytes.length);
    const state = start(restored);
    expect(state.log).toMatchObject({ baseIndex: 3, lastIndex: 5, keptFirst: 6 });
    expect(state.config.voters).toEqual([1, 2]);
    expect(state).toMatchObject({ commit: 3, applied: 3, term: 4 });
  });

  it('a log that disagrees with the snapshot is from before it, and void', () => {
    const restored = new Restored({ index: 3, term: 2, config, configIndex: 0 }, { term: 4, vote: 0 });
    for (let i = 2; i <= 5; i++) restored.entry(i, 1, 0, new Uint8Array(0), 0, 0);
    expect(start(restored).log.lastIndex).toBe(3);
  });

  it('a gap is not taken for a log', () => {
    const restored = new Restored({ index: 3, term: 2, config, configIndex: 0 }, { term: 4, vote: 0 });
    expect(() => restored.entry(5, 2, 0, new Uint8Array(0), 0, 0)).toThrow('follow');
  });

  it('entries of a term that was never durable are damage', () => {
    const restored = new Restored({ index: 0, term: 0, config, configIndex: 0 }, { term: 1, vote: 0 });
    restored.entry(1, 2, 0, new Uint8Array(0), 0, 0);
    expect(() => start(restored)).toThrow('durable before');
  });
});
