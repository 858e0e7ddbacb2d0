/** What the containers (CONFIG, LATENCY, SLOWLOG …) have in common: their own row, HELP, the error for odd arguments. */
import type { Call } from '../../engine/call.ts';
import { type CommandRow, LOADING, SCOPE_NONE, STALE } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { wrongArity } from '../../engine/errors.ts';

/** A handler that replies a container's help: `lines` are a signature and, indented, what it does, by turns. */
export function helpHandler(container: string, lines: readonly string[]): (call: Call) => void {
  const all = [
    `${container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`,
    ...lines,
    'HELP',
    '    Prints this help.',
  ];
  return (call) => {
    call.reply.arrayHeader(all.length);
    for (const line of all) call.reply.simple(line);
  };
}

/** For a subcommand that exists, with an argument too many or too few. */
export function subcommandSyntax(call: Call): void {
  const [container, name] = [call.str(0).toUpperCase(), call.shown(1, 128)];
  call.reply.error(`ERR unknown subcommand or wrong number of arguments for '${name}'. Try ${container} HELP.`);
}

/** The row of a command that is nothing but its subcommands, with a row for HELP added to them. */
export function containerRow(
  name: string,
  since: string,
  summary: string,
  helpSince: string,
  help: readonly string[],
  subcommands: readonly CommandRow[],
): CommandRow {
  const row = rowMaker('server', [], SCOPE_NONE);
  const run = helpHandler(name.toUpperCase(), help);
  return {
    ...row(name, -2, 0, NO_KEYS, since, 'Depends on subcommand.', summary, (call) =>
      call.reply.error(wrongArity(name)),
    ),
    subcommands: [
      ...subcommands,
      row(`${name}|help`, 2, LOADING | STALE, NO_KEYS, helpSince, 'O(1)', 'Lists the subcommands', run),
    ],
  };
}
