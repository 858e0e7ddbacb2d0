/** Messages as a line for people. */
import type { Message } from '../../../engine/raft/message.ts';
import * as types from '../../../engine/raft/message.ts';

const NAMES = new Map(
  Object.entries(types)
    .filter(([, value]) => typeof value === 'number')
    .map(([name, value]) => [value as number, name]),
);

export function showMessage(m: Message): string {
  const parts = [`n${m.from} ${NAMES.get(m.type)} term ${m.term}`];
  if (m.index !== 0 || m.logTerm !== 0) parts.push(`at ${m.index}/${m.logTerm}`);
  if (m.entries.length > 0) {
    parts.push(`entries ${m.entries.map((e) => `${e.index}/${e.term}${e.kind === 2 ? 'c' : ''}`).join(' ')}`);
  }
  if (m.commit !== 0) parts.push(`commit ${m.commit}`);
  if (m.hint !== 0) parts.push(`hint ${m.hint}`);
  if (m.round !== 0) parts.push(`round ${m.round}`);
  if (m.reject) parts.push('reject');
  if (m.force) parts.push('force');
  if (m.snapshot !== null) parts.push(`snapshot ${m.snapshot.index}/${m.snapshot.term}`);
  return parts.join(' ');
}
