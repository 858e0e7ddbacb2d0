/** For tests: walks a sorted set's tree (tree.ts) and throws at the first thing that is not as it must be. O(n). */
import type { Arena, Offset } from '../arena.ts';
import { tableCount, tableOwnerWord } from '../table.ts';
import {
  childrenOf,
  countsOf,
  entriesBelow,
  INNER_CAPACITY,
  innerMembers,
  LEAF_CAPACITY,
  leafMembers,
  membersOf,
  nextLeaf,
  nodeCount,
  nodeLevel,
  nodeParent,
  nodeTable,
  previousLeaf,
  scoresOf,
} from './tree-node.ts';
import { compareMembers, memberLeaf, memberScore, memberTable } from './zset-member.ts';

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`tree: ${what}`);
}

export function treeVerify(a: Arena, t: Offset): void {
  const root = tableOwnerWord(a, t);
  check(nodeParent(a, root) === 0, 'the root has a parent');
  const leaves: Offset[] = [];
  verifyNode(a, t, root, leaves);
  check(entriesBelow(a, root) === tableCount(a, t), 'the tree and the table differ in their counts');
  let before = 0;
  for (let i = 0; i < leaves.length; i++) {
    check(previousLeaf(a, leaves[i]) === (leaves[i - 1] ?? 0), `wrong previous leaf of ${leaves[i]}`);
    check(nextLeaf(a, leaves[i]) === (leaves[i + 1] ?? 0), `wrong next leaf of ${leaves[i]}`);
    before = verifyLeaf(a, t, leaves[i], before);
  }
}

function verifyNode(a: Arena, t: Offset, node: Offset, leaves: Offset[]): void {
  const level = nodeLevel(a, node);
  const count = nodeCount(a, node);
  check(nodeTable(a, node) === t, `node ${node} belongs to another table`);
  check(count > 0, `node ${node} is empty`);
  check(count <= (level === 0 ? LEAF_CAPACITY : INNER_CAPACITY), `node ${node} has ${count} entries`);
  if (level === 0) {
    leaves.push(node);
    return;
  }
  for (let i = 0; i < count; i++) {
    const child = a.u32[childrenOf(node) + i];
    check(nodeParent(a, child) === node, `node ${child} has the wrong parent`);
    check(nodeLevel(a, child) === level - 1, `node ${child} is on the wrong level`);
    check(a.u32[countsOf(node) + i] === entriesBelow(a, child), `wrong count for node ${child}`);
    check(a.u32[innerMembers(node) + i] === a.u32[membersOf(a, child)], `wrong first member for node ${child}`);
    check(Object.is(a.f64[scoresOf(node) + i], a.f64[scoresOf(child)]), `wrong first score for node ${child}`);
    verifyNode(a, t, child, leaves);
  }
}

/** Checks a leaf's entries, which come after the member `before` (0: none); returns its last member. */
function verifyLeaf(a: Arena, t: Offset, leaf: Offset, before: Offset): Offset {
  for (let i = 0; i < nodeCount(a, leaf); i++) {
    const member = a.u32[leafMembers(leaf) + i];
    check(memberLeaf(a, member) === leaf, `member ${member} names the wrong leaf`);
    check(memberTable(a, member) === t, `member ${member} names the wrong table`);
    const score = memberScore(a, member);
    check(Object.is(score, a.f64[scoresOf(leaf) + i]), `member ${member} has another score than its entry`);
    if (before !== 0) {
      const last = memberScore(a, before);
      check(
        last < score || (last === score && compareMembers(a, before, member) < 0),
        `member ${member} is out of order`,
      );
    }
    before = member;
  }
  return before;
}
