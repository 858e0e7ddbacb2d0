/** SLOWLOG over net/slowlog.ts. Main thread, cold. */
import type { Call } from '../../engine/call.ts';
import { ADMIN, type CommandRow, LOADING, SCOPE_NONE, STALE } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import type { Node } from '../node.ts';
import { containerRow, subcommandSyntax } from './subcommands.ts';

const DEFAULT_COUNT = 10;

const HELP = [
  'GET [<count>]',
  '    The latest entries (default: 10, -1 is all of them), newest first. Each has',
  '    id, time in seconds, microseconds taken, arguments, address and name of the client.',
  'LEN',
  '    How many entries there are.',
  'RESET',
  '    Forgets them.',
];

export function slowLogRow(node: Node): CommandRow {
  const { slowLog } = node;

  function get(call: Call): void {
    if (call.argc > 3) return subcommandSyntax(call);
    let count = DEFAULT_COUNT;
    if (call.argc === 3) {
      if (!call.long(2) || call.num < -1) {
        return call.reply.error('ERR count should be greater than or equal to -1');
      }
      count = call.num === -1 ? slowLog.entries.length : call.num;
    }
    const entries = slowLog.entries.slice(0, count);
    const reply = call.reply;
    reply.arrayHeader(entries.length);
    for (const entry of entries) {
      reply.arrayHeader(6);
      reply.int(entry.id);
      reply.int(entry.atSec);
      reply.int(entry.elapsedUs);
      reply.arrayHeader(entry.args.length);
      for (const arg of entry.args) {
        const bytes = Buffer.from(arg, 'latin1');
        reply.bulk(bytes, 0, bytes.length);
      }
      reply.bulkString(entry.addr);
      reply.bulkString(entry.name);
    }
  }

  function len(call: Call): void {
    call.reply.int(slowLog.entries.length);
  }

  function reset(call: Call): void {
    slowLog.reset();
    call.reply.ok();
  }

  const row = rowMaker('server', [], SCOPE_NONE);
  const flags = ADMIN | LOADING | STALE;
  return containerRow('slowlog', '2.2.12', 'A container for commands about slow commands', '6.2.0', HELP, [
    row(
      'slowlog|get',
      -2,
      flags,
      NO_KEYS,
      '2.2.12',
      'O(N) where N is the number of entries returned',
      'Returns slow commands',
      get,
    ),
    row('slowlog|len', 2, flags, NO_KEYS, '2.2.12', 'O(1)', 'Counts the slow commands remembered', len),
    row(
      'slowlog|reset',
      2,
      flags,
      NO_KEYS,
      '2.2.12',
      'O(N) where N is the number of entries',
      'Forgets the slow commands',
      reset,
    ),
  ]);
}
