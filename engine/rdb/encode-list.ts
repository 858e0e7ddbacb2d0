/**
 * A list as bytes of the RDB format: its elements in nodes like those that Redis would have made of them one by one, each
 * a listpack of some 8 KiB, or a single element too large for that. See encode.ts for who calls it.
 *
 * ```
 * nodes (length) | for each: 2 | listpack, or 1 | element
 * ```
 * The nodes of Millrace's own list are not those: its entries are longer than a listpack's, and its limit may be another.
 */
import type { Arena, Offset } from '../arena.ts';
import { ListWalk } from '../types/list-walk.ts';
import { hasRoot } from '../values.ts';
import { ListpackWriter } from './encode-listpack.ts';
import { RDB_LIST_QUICKLIST_2, RDB_NODE_PACKED, RDB_NODE_PLAIN } from './opcodes.ts';
import type { RdbOutput } from './output.ts';

/** The limit of Redis's default list-max-listpack-size. */
const MAX_NODE_BYTES = 8192;
/** What an element may take beyond its bytes: Redis counts as much when it asks whether one more fits. */
const ELEMENT_OVERHEAD_BYTES = 8;

const walk = new ListWalk();
const listpack = new ListpackWriter();

export function encodeList(a: Arena, record: Offset, out: RdbOutput): number {
  // A list that lies in its key's record fits one node.
  const wide = hasRoot(a, record);
  const lengthAt = out.length;
  if (wide) out.reserveLength(true);
  else out.lengthOf(1);
  let nodes = 0;
  let open = false;
  walk.start(a, record);
  while (walk.next(a)) {
    const length = walk.elementLength;
    const need = length + ELEMENT_OVERHEAD_BYTES;
    if (open && (need > MAX_NODE_BYTES || listpack.bytes + need > MAX_NODE_BYTES)) {
      listpack.end();
      open = false;
    }
    if (need > MAX_NODE_BYTES) {
      out.byte(RDB_NODE_PLAIN);
      out.lengthOf(length);
      out.bytes(a, walk.elementStart, length);
      nodes++;
      continue;
    }
    if (!open) {
      out.byte(RDB_NODE_PACKED);
      listpack.begin(out, MAX_NODE_BYTES);
      open = true;
      nodes++;
    }
    listpack.string(a, walk.elementStart, length);
  }
  if (open) listpack.end();
  if (wide) out.fillLength(lengthAt, true, nodes);
  return RDB_LIST_QUICKLIST_2;
}
