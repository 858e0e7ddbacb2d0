/** The parts of the simulator of groups (test/sim/raft) by themselves: what it says of a group is worth no more than they are. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Configuration } from '../../engine/raft/config.ts';
import { Entry } from '../../engine/raft/entry.ts';
import { Chance } from '../sim/raft/chance.ts';
import { Events } from '../sim/raft/events.ts';
import { judgeHistory } from '../sim/raft/judge.ts';
import { MUTANTS } from '../sim/raft/mutants.ts';
import { Network } from '../sim/raft/network.ts';
import { drawProfile } from '../sim/raft/profile.ts';
import { Durable } from '../sim/raft/replicadisk.ts';
import { decodeSnapshot, encodeSnapshot } from '../sim/raft/snapshotbytes.ts';
import { Tally } from '../sim/raft/tally.ts';
import { Trace } from '../sim/raft/trace.ts';

describe('events', () => {
  it('happen in order of time, and at the same time in the order of planning', () => {
    const events = new Events();
    const chance = new Chance(5);
    const happened: [number, number][] = [];
    for (let i = 0; i < 500; i++) {
      const at = chance.below(40);
      events.after(at, () => happened.push([at, i]));
    }
    while (events.step());
    expect(happened).toHaveLength(500);
    expect(happened).toEqual([...happened].sort((a, b) => a[0] - b[0] || a[1] - b[1]));
  });

  it('may plan others, behind those of the same time', () => {
    const events = new Events();
    const happened: string[] = [];
    events.after(1, () => {
      happened.push('a');
      events.after(0, () => happened.push('c'));
    });
    events.after(1, () => happened.push('b'));
    while (events.step());
    expect(happened.join('')).toBe('abc');
    expect(events.now).toBe(1);
  });
});

describe('the network', () => {
  function network(change: object) {
    const events = new Events();
    const tally = new Tally();
    const profile = { ...drawProfile(new Chance(1)), lossPercent: 0, repeatPercent: 0, heldPercent: 0, ...change };
    return { events, tally, net: new Network(events, new Chance(2), profile, tally) };
  }

  it('keeps the order of a link where it is to', () => {
    const { events, net } = network({ isOrdered: true, jitterMs: 20 });
    const arrived: number[] = [];
    for (let i = 0; i < 100; i++) net.send(1, 2, () => arrived.push(i));
    while (events.step());
    expect(arrived).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  it('loses, repeats and reorders where it is to', () => {
    const { events, net, tally } = network({ isOrdered: false, lossPercent: 20, repeatPercent: 20, jitterMs: 20 });
    const arrived: number[] = [];
    for (let i = 0; i < 200; i++) net.send(1, 2, () => arrived.push(i));
    while (events.step());
    expect(arrived.length).toBe(200 - tally.of('messages lost') + tally.of('messages repeated'));
    expect(tally.of('messages lost')).toBeGreaterThan(10);
    expect(tally.of('messages repeated')).toBeGreaterThan(10);
    expect(arrived).not.toEqual([...arrived].sort((a, b) => a - b));
  });

  it('cuts one way, in calm as well, and tells the sender', () => {
    const { events, net } = network({});
    const heard: string[] = [];
    for (const isCalm of [false, true]) {
      if (isCalm) net.calm(10);
      net.cutOneWay(1, 2);
      net.send(
        1,
        2,
        () => heard.push('arrived'),
        () => heard.push('lost'),
      );
      net.send(2, 1, () => heard.push('back'));
      while (events.step());
    }
    expect(heard).toEqual(['lost', 'back', 'lost', 'back']);
  });

  it('forgets in calm what is still under way', () => {
    const { events, net } = network({ heldPercent: 100, heldMs: 1e6 });
    let arrived = 0;
    for (let i = 0; i < 10; i++) net.send(1, 2, () => arrived++);
    net.calm(10);
    while (events.step());
    expect(arrived).toBe(0);
  });
});

describe('snapshots', () => {
  const content = {
    meta: { index: 9, term: 3, config: new Configuration([1, 2, 4], [1, 2, 3], [5], 5), configIndex: 7 },
    nowMs: 1234,
    digest: 77,
    once: Uint8Array.of(1, 2, 3),
    chunks: [Uint8Array.of(4, 5), Uint8Array.of(6)],
  };

  it('come back as they were', () => {
    const back = decodeSnapshot(encodeSnapshot(content))!;
    expect(back.meta).toEqual(content.meta);
    expect([back.nowMs, back.digest]).toEqual([1234, 77]);
    expect([...back.once]).toEqual([1, 2, 3]);
    expect(back.chunks.map((chunk) => [...chunk])).toEqual([[4, 5], [6]]);
  });

  it('damaged or cut, are none', () => {
    const bytes = encodeSnapshot(content);
    for (let i = 0; i < bytes.length; i++) {
      const damaged = bytes.slice();
      damaged[i] ^= 1;
      expect(decodeSnapshot(damaged)).toBeUndefined();
      expect(decodeSnapshot(bytes.slice(0, i))).toBeUndefined();
    }
  });
});

describe('what is durable', () => {
  const batch = (entries: Entry[], snapshot: number | null = null) => ({
    number: 1,
    hardState: null,
    entries,
    messages: [],
    snapshot:
      snapshot === null
        ? null
        : { index: snapshot, term: 2, config: new Configuration([1], [], [], 1), configIndex: 0 },
  });
  const entry = (index: number, term: number) => new Entry(index, term, 0, new Uint8Array(0), 0, 0);

  it('follows what was written, and says when something was replaced', () => {
    const durable = new Durable();
    expect(durable.take(batch([entry(1, 1), entry(2, 1), entry(3, 1)]))).toBe(false);
    expect(durable.take(batch([entry(2, 2)]))).toBe(true);
    expect([durable.has(1, 1), durable.has(2, 1), durable.has(2, 2), durable.has(3, 1)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    durable.take(batch([entry(10, 3)], 9));
    expect([durable.has(5, 4), durable.has(9, 2), durable.has(10, 3), durable.has(11, 3)]).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });
});

describe('the judge', () => {
  const did = (command: string[], answer: string | number | null, call: number, back: number) => ({
    client: 1,
    key: command[1],
    command: [command[0], ...command.slice(2)],
    answer,
    call,
    return: back,
  });

  it('takes a write of unknown outcome either way, and no lost one', () => {
    const written = did(['SET', 'r0', 'a'], 'OK', 1, 2);
    const unknown = did(['SET', 'r0', 'b'], null, 3, Number.POSITIVE_INFINITY);
    for (const seen of ['a', 'b']) judgeHistory([written, unknown, did(['GET', 'r0'], seen, 4, 5)]);
    expect(() => judgeHistory([written, unknown, did(['GET', 'r0'], null, 4, 5)])).toThrow(/^R: .*not linearizable/);
    expect(() => judgeHistory([did(['RPUSH', 'l0.1', 'a'], 1, 1, 2), did(['LLEN', 'l0.1'], 0, 3, 4)])).toThrow(/^R:/);
  });
});

describe('the trace', () => {
  it('keeps the last lines', () => {
    const trace = new Trace(3);
    for (let i = 0; i < 20; i++) trace.add(`${i}`);
    expect(trace.last.map((line) => line.trim().split('  ')[1])).toEqual(['17', '18', '19']);
  });
});

describe('known bugs', () => {
  it('are each written as texts that their files have exactly once', () => {
    const root = join(import.meta.dirname, '../..');
    for (const { name, changes } of MUTANTS) {
      const texts = new Map<string, string>();
      for (const { file, find, put } of changes) {
        const text = texts.get(file) ?? readFileSync(join(root, file), 'utf8');
        expect(`${name}, ${file}: ${text.split(find).length - 1}`).toBe(`${name}, ${file}: 1`);
        texts.set(
          file,
          text.replace(find, () => put),
        );
      }
    }
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  });
});
