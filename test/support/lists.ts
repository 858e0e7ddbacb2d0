/** Looks inside the lists of a test engine. */
import type { Arena, Offset } from '../../engine/arena.ts';
import { lookupQuiet } from '../../engine/keyspace.ts';
import { ListWalk, verifyList } from '../../engine/types/list.ts';
import type { TestEngine } from './engine.ts';

/** The record of a key, 0 when there is none; its arena is `engine.call.arena`. */
export function recordOf(engine: TestEngine, key: string): Offset {
  engine.run('exists', key);
  return lookupQuiet(engine.call, 1);
}

/** Checks a list from both ends and gives its elements as Latin-1 strings. */
export function elementsOf(engine: TestEngine, key: string): string[] {
  const record = recordOf(engine, key);
  if (record === 0) return [];
  const a = engine.call.arena;
  verifyList(a, record);
  return walkElements(a, record, false);
}

export function walkElements(a: Arena, record: Offset, fromBack: boolean): string[] {
  const walk = new ListWalk();
  const elements: string[] = [];
  walk.start(a, record, fromBack);
  while (walk.next(a)) {
    const bytes = a.u8.slice(walk.elementStart, walk.elementStart + walk.elementLength);
    elements.push(Buffer.from(bytes).toString('latin1'));
  }
  return elements;
}
