/** INFO; its text is put together in net/info. Main thread, cold. */
import type { Call } from '../../engine/call.ts';
import { type CommandRow, LOADING, SCOPE_NONE, STALE } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { infoText } from '../info/index.ts';
import type { Node } from '../node.ts';

export function infoRow(node: Node): CommandRow {
  function info(call: Call): void {
    const names: string[] = [];
    for (let i = 1; i < call.argc; i++) names.push(call.str(i));
    call.reply.verbatim('txt', infoText(node, names));
  }

  const row = rowMaker('server', ['dangerous'], SCOPE_NONE);
  return row('info', -1, LOADING | STALE, NO_KEYS, '1.0.0', 'O(1)', 'Tells the state of the server', info);
}
