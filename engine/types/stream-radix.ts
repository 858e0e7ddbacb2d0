/**
 * How many nodes Redis's radix tree over a stream would have: XINFO STREAM tells it. O(nodes), since nobody else asks.
 *
 * The tree's keys are the first ids of the stream's nodes, 16 bytes each. It has a node for every key's end, one for every
 * place where keys part, and one for every stretch between those that has at least one byte.
 */
import type { Arena, Offset } from '../arena.ts';
import { ID_BYTES, ID_WORDS } from './stream-id.ts';
import { NODE_FIRST_ID, NodeWalk } from './stream-index.ts';

const walk = new NodeWalk();
/** The places where keys part on the way to the last key, in bytes from its start. */
const partings = new Int32Array(ID_BYTES + 1);

export function radixNodes(a: Arena, root: Offset): number {
  let node = walk.first(a, root);
  if (node === 0) return 1;
  let open = 0;
  let nodes = 0;
  // The place above the last key: where it parted from the key before it, -1 for nowhere.
  let above = -1;
  for (;;) {
    const next = walk.next(a);
    const common = next === 0 ? -1 : commonBytes(a.u32, node, next);
    nodes += 1 + stretch(Math.max(above, common), ID_BYTES);
    while (open > 0 && partings[open - 1] > common) {
      const place = partings[--open];
      const upper = Math.max(common, open > 0 ? partings[open - 1] : -1);
      nodes += 1 + stretch(upper, place);
    }
    if (next === 0) return nodes;
    if (open === 0 || partings[open - 1] < common) partings[open++] = common;
    above = common;
    node = next;
  }
}

/** 1 when there are bytes between a parting, which takes one itself, and what lies below it. */
function stretch(upper: number, lower: number): number {
  return lower > upper + 1 ? 1 : 0;
}

/** How many leading bytes the ids of two nodes have in common. */
function commonBytes(u32: Uint32Array, one: Offset, other: Offset): number {
  for (let k = 0; k < ID_WORDS; k++) {
    const difference = u32[((one + NODE_FIRST_ID) >>> 2) + k] ^ u32[((other + NODE_FIRST_ID) >>> 2) + k];
    if (difference !== 0) return k * 4 + (Math.clz32(difference) >>> 3);
  }
  return ID_BYTES;
}
