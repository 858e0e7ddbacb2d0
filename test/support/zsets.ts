/** A sorted set as a plain map, the model that tests compare with. */
import { expect } from 'vitest';
import { lookupQuiet } from '../../engine/keyspace.ts';
import { valueWord } from '../../engine/record.ts';
import { tableOwnerWord } from '../../engine/table.ts';
import { ZsetWalk, zsetRank, zsetScore, zsetSize } from '../../engine/types/zset.ts';
import { hasRoot } from '../../engine/values.ts';
import type { TestEngine } from './engine.ts';

export type ModelEntry = [member: string, score: number];

/** Members (ASCII) with their scores; `sorted` gives them in the order of a sorted set. */
export class ModelZset {
  readonly scores = new Map<string, number>();

  sorted(): ModelEntry[] {
    return [...this.scores].sort(([m, x], [n, y]) => x - y || (m < n ? -1 : 1));
  }

  remove(members: readonly ModelEntry[]): void {
    for (const [member] of members) this.scores.delete(member);
  }
}

/** The root node of a big set's tree, 0 for a packed set or none. */
export function treeRoot(engine: TestEngine, key: string): number {
  engine.run('exists', key);
  const record = lookupQuiet(engine.call, 1);
  const { arena } = engine.call;
  return record === 0 || !hasRoot(arena, record) ? 0 : tableOwnerWord(arena, valueWord(arena, record));
}

/** The members of a key in order, read by walks in both directions. */
export function entriesOf(engine: TestEngine, key: string): ModelEntry[] {
  engine.run('exists', key);
  const record = lookupQuiet(engine.call, 1);
  if (record === 0) return [];
  const { arena } = engine.call;
  const size = zsetSize(arena, record);
  const forwards = walkAll(engine, record, 0, false);
  expect(forwards.length).toBe(size);
  expect(walkAll(engine, record, size - 1, true).reverse()).toEqual(forwards);
  return forwards;
}

function walkAll(engine: TestEngine, record: number, rank: number, reverse: boolean): ModelEntry[] {
  const { arena } = engine.call;
  const walk = new ZsetWalk();
  const out: ModelEntry[] = [];
  walk.start(arena, record, rank, reverse);
  while (walk.next(arena)) {
    out.push([Buffer.from(arena.u8.slice(walk.at, walk.at + walk.length)).toString('latin1'), walk.score]);
  }
  return out;
}

/** Checks a key against its model: order, and the score and rank of every `stride`-th member. */
export function checkZset(engine: TestEngine, key: string, model: ModelZset, stride: number): void {
  const expected = model.sorted();
  expect(entriesOf(engine, key)).toEqual(expected);
  engine.run('exists', key);
  const record = lookupQuiet(engine.call, 1);
  const { arena } = engine.call;
  for (let i = 0; i < expected.length; i += stride) {
    const bytes = Buffer.from(expected[i][0], 'latin1');
    expect(zsetScore(arena, record, bytes, 0, bytes.length)).toBe(expected[i][1]);
    expect(zsetRank(arena, record, bytes, 0, bytes.length)).toBe(i);
  }
}
