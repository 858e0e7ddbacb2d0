/**
 * What is left when moving blocks (defragment.ts) did not make room for a command that was accepted before, in memory that was divided
 * otherwise: long strings lie in page runs that nothing else moves, with slack and with gaps between them. Here all of a shard are
 * taken out and put in again, the longest first and without slack. Under the shard's lock, where nobody holds an offset; copies
 * every long string twice, and needs as much memory outside of the arena meanwhile.
 */
import { free } from './alloc.ts';
import type { Arena, Offset } from './arena.ts';
import { WORD_DATABASES } from './arena.ts';
import { tableOf } from './keyspace.ts';
import { valueWord } from './record.ts';
import { TableWalk } from './table.ts';
import { isString, placeString, stringLength, stringStart } from './types/string.ts';
import { hasRoot } from './values.ts';

/** Whether there was anything to move. Throws ArenaFullError when what was there does not fit again: then data are missing. */
export function repackStrings(a: Arena): boolean {
  const records = longStrings(a);
  const texts = records.map((record) => {
    const start = stringStart(a, record);
    return a.u8.slice(start, start + stringLength(a, record));
  });
  for (const record of records) free(a, valueWord(a, record));
  const order = records.map((_, i) => i).sort((i, j) => texts[j].length - texts[i].length);
  for (const i of order) placeString(a, records[i], texts[i]);
  return records.length > 0;
}

function longStrings(a: Arena): Offset[] {
  const found: Offset[] = [];
  const walk = new TableWalk();
  for (let db = 0; db < a.u32[WORD_DATABASES]; db++) {
    const t = tableOf(a, db);
    if (t === 0) continue;
    walk.start();
    for (let record = walk.next(a, t); record !== 0; record = walk.next(a, t)) {
      if (isString(a, record) && hasRoot(a, record)) found.push(record);
    }
  }
  return found;
}
