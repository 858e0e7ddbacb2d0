/** MODULE LIST, which tools ask when they connect: there are no modules. Main thread, cold. */
import type { Call } from '../../engine/call.ts';
import { ADMIN, type CommandRow, NOSCRIPT, SCOPE_NONE } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { containerRow } from './subcommands.ts';

function list(call: Call): void {
  call.reply.arrayHeader(0);
}

const row = rowMaker('server', [], SCOPE_NONE);
const HELP = ['LIST', '    The modules that are loaded: none.'];

export const MODULE_ROW: CommandRow = containerRow(
  'module',
  '4.0.0',
  'A container for module commands',
  '5.0.0',
  HELP,
  [
    row(
      'module|list',
      2,
      ADMIN | NOSCRIPT,
      NO_KEYS,
      '4.0.0',
      'O(1)',
      'Lists the modules, of which there are none',
      list,
    ),
  ],
);
