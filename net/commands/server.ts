/** The commands about the server as a whole. */
import type { CommandRow } from '../../engine/command.ts';
import type { Node } from '../node.ts';

export function serverRows(_node: Node): CommandRow[] {
  return [];
}
