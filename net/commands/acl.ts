/** The two questions of ACL that have an answer without users and rules: WHOAMI and CAT. Main thread, cold. */
import type { Call } from '../../engine/call.ts';
import { type CommandRow, LOADING, NOSCRIPT, SCOPE_NONE, STALE } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import type { Node } from '../node.ts';
import { CATEGORIES, categoriesOf } from './categories.ts';
import { sessionOf } from './names.ts';
import { containerRow, subcommandSyntax } from './subcommands.ts';

const HELP = [
  'CAT [<category>]',
  '    The categories of commands, or the commands of one.',
  'WHOAMI',
  '    The user of this connection.',
];

export function aclRow(node: Node): CommandRow {
  function cat(call: Call): void {
    if (call.argc > 3) return subcommandSyntax(call);
    let names = CATEGORIES;
    if (call.argc === 3) {
      const wanted = CATEGORIES.find((category) => call.is(2, category.toUpperCase()));
      if (wanted === undefined) return call.reply.error(`ERR Unknown category '${call.shown(2)}'`);
      names = node.table.rows.filter((row) => categoriesOf(row).includes(wanted)).map((row) => row.name);
    }
    call.reply.arrayHeader(names.length);
    for (const name of names) call.reply.bulkString(name);
  }

  function whoami(call: Call): void {
    call.reply.bulkString(sessionOf(call).user);
  }

  const row = rowMaker('server', [], SCOPE_NONE);
  const flags = NOSCRIPT | LOADING | STALE;
  return containerRow('acl', '6.0.0', 'A container for commands about users', '6.0.0', HELP, [
    row('acl|cat', -2, flags, NO_KEYS, '6.0.0', 'O(1)', 'Lists categories of commands', cat),
    row('acl|whoami', 2, flags, NO_KEYS, '6.0.0', 'O(1)', 'Tells the user of the connection', whoami),
  ]);
}
