/** Short forms for the rows of the command table; used once, at load. */
import type { Call } from '../call.ts';
import { type CommandRow, SCOPE_KEYS } from '../command.ts';

/** First key argument, last (negative: from the end) and step; see CommandRow. */
export type KeyPositions = readonly [first: number, last: number, step: number];

export const NO_KEYS: KeyPositions = [0, 0, 0];
export const ONE_KEY: KeyPositions = [1, 1, 1];
export const TWO_KEYS: KeyPositions = [1, 2, 1];
export const ALL_KEYS: KeyPositions = [1, -1, 1];
/** Keys and values by turns. */
export const KEY_PAIRS: KeyPositions = [1, -1, 2];

export type RowMaker = (
  name: string,
  arity: number,
  flags: number,
  keys: KeyPositions,
  since: string,
  complexity: string,
  summary: string,
  run: (call: Call) => void,
) => CommandRow;

/** A function that makes rows of one group, scope and set of ACL categories. */
export function rowMaker(group: string, categories: readonly string[] = [], scope = SCOPE_KEYS): RowMaker {
  return (name, arity, flags, [firstKey, lastKey, keyStep], since, complexity, summary, run) => ({
    name,
    arity,
    flags,
    firstKey,
    lastKey,
    keyStep,
    group,
    categories,
    scope,
    since,
    complexity,
    summary,
    run,
  });
}
