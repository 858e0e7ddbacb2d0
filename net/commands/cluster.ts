/** What cluster clients ask first: CLUSTER, READONLY, READWRITE, ASKING say that there is no cluster here. */
import type { Call } from '../../engine/call.ts';
import { type CommandRow, FAST, LOADING, SCOPE_NONE, STALE } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { wrongArity } from '../../engine/errors.ts';

function disabled(call: Call): void {
  call.reply.error('ERR This instance has cluster support disabled');
}

const row = rowMaker('cluster', [], SCOPE_NONE);
const connection = rowMaker('cluster', ['connection'], SCOPE_NONE);

function question(name: string, arity: number, since: string, summary: string): CommandRow {
  return row(
    `cluster|${name}`,
    arity,
    STALE,
    NO_KEYS,
    since,
    'O(1)',
    `${summary}; without a cluster an error`,
    disabled,
  );
}

/** The subcommands by which clients learn of a cluster. Those that manage one will come with it. */
const subcommands: CommandRow[] = [
  question('countkeysinslot', 3, '3.0.0', 'Counts the keys in a slot'),
  question('getkeysinslot', 4, '3.0.0', 'Returns keys in a slot'),
  question('info', 2, '3.0.0', 'Tells the state of the cluster'),
  question('keyslot', 3, '3.0.0', 'Tells the slot of a key'),
  question('links', 2, '7.0.0', 'Lists the connections between nodes'),
  question('myid', 2, '3.0.0', 'Tells the id of the node'),
  question('nodes', 2, '3.0.0', 'Lists the nodes'),
  question('shards', 2, '7.0.0', 'Lists the shards and their nodes'),
  question('slots', 2, '3.0.0', 'Lists the slots and their nodes'),
  row('cluster|help', 2, LOADING | STALE, NO_KEYS, '5.0.0', 'O(1)', 'Lists the subcommands', disabled),
];

const own = LOADING | STALE | FAST;

export const clusterRows: CommandRow[] = [
  {
    ...row('cluster', -2, 0, NO_KEYS, '3.0.0', 'Depends on subcommand.', 'A container for cluster commands', (call) =>
      call.reply.error(wrongArity('cluster')),
    ),
    subcommands,
  },
  connection('asking', 1, FAST, NO_KEYS, '3.0.0', 'O(1)', 'Announces a redirected command', disabled),
  connection('readonly', 1, own, NO_KEYS, '3.0.0', 'O(1)', 'Allows reads from a replica', disabled),
  connection('readwrite', 1, own, NO_KEYS, '3.0.0', 'O(1)', 'Ends READONLY', disabled),
];
