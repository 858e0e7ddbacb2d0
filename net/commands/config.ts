/** CONFIG over net/config.ts. Main thread, cold. */
import type { Call } from '../../engine/call.ts';
import { ADMIN, type CommandRow, LOADING, NOSCRIPT, SCOPE_NONE, STALE } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { ERR } from '../../engine/errors.ts';
import type { Node } from '../node.ts';
import { sessionOf } from './names.ts';
import { containerRow } from './subcommands.ts';

const HELP = [
  'GET <pattern> [<pattern> ...]',
  '    The options whose names the glob-like patterns mean, with their values.',
  'SET <option> <value> [<option> <value> ...]',
  '    Changes options while the server runs: all of them or none.',
  'RESETSTAT',
  '    Sets the statistics that INFO prints back to zero.',
  'REWRITE',
  '    Writes the values of now into the configuration file.',
];

export function configRow(node: Node): CommandRow {
  const { config } = node;

  function get(call: Call): void {
    const patterns: string[] = [];
    for (let i = 2; i < call.argc; i++) patterns.push(call.str(i));
    const found = config.match(patterns);
    call.reply.mapHeader(found.length);
    for (const [name, text] of found) {
      call.reply.bulkString(name);
      call.reply.bulkString(text);
    }
  }

  function set(call: Call): void {
    if (call.argc % 2 !== 0) return call.reply.error(ERR.SYNTAX);
    const pairs: [string, string][] = [];
    // A name may come back in an error, byte for byte.
    for (let i = 2; i < call.argc; i += 2) pairs.push([call.shown(i), call.str(i + 1)]);
    const refusal = config.setMany(pairs);
    if (refusal !== undefined) return call.reply.error(refusal);
    const beginning = node.persistence.logBeginning;
    if (beginning === undefined) return call.reply.ok();
    const reply = node.dispatcher.defer(sessionOf(call));
    void beginning.then((trouble) => reply((to) => (trouble === '' ? to.ok() : to.error(trouble))));
  }

  function rewrite(call: Call): void {
    const refusal = config.rewrite();
    if (refusal === undefined) {
      node.log.write('notice', 'CONFIG REWRITE: the configuration file is written');
      call.reply.ok();
    } else {
      node.log.write('warning', `CONFIG REWRITE: ${refusal.replace(/^ERR /, '')}`);
      call.reply.error(refusal);
    }
  }

  function resetStat(call: Call): void {
    node.resetStats();
    call.reply.ok();
  }

  const row = rowMaker('server', [], SCOPE_NONE);
  const flags = ADMIN | NOSCRIPT | LOADING | STALE;
  const perOption = 'O(N) where N is the number of options named';
  return containerRow('config', '2.0.0', 'A container for configuration commands', '5.0.0', HELP, [
    row('config|get', -3, flags, NO_KEYS, '2.0.0', perOption, 'Returns the values of options', get),
    row('config|resetstat', 2, flags, NO_KEYS, '2.0.0', 'O(1)', 'Sets the statistics back to zero', resetStat),
    row('config|rewrite', 2, flags, NO_KEYS, '2.8.0', 'O(1)', 'Writes the configuration file anew', rewrite),
    row('config|set', -4, flags, NO_KEYS, '2.0.0', perOption, 'Changes options while the server runs', set),
  ]);
}
