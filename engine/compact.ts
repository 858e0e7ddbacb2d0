/** Compaction. */
import type { Arena, Offset } from './arena.ts';
import { S_DEBT } from './pages.ts';
import { KIND_COUNT } from './spans.ts';

export type Relocator = (a: Arena, from: Offset, to: Offset) => void;

const relocators: (Relocator | undefined)[] = new Array(KIND_COUNT).fill(undefined);

/**
 * Says who redirects the pointers to blocks of a kind. `move` is called after the bytes were copied and before `from`
 * is freed; it must redirect every pointer to `from` and neither allocate nor free. Called once, at load.
 */
export function registerRelocator(kind: number, move: Relocator): void {
  relocators[kind] = move;
}

/** The safe point. */
export function compactStep(a: Arena): void {
  if (a.i32[S_DEBT] > 0) a.i32[S_DEBT] = 0;
}
