/**
 * `READ level [ms] command …`: one command that reads, at a level of consistency of its own (net/replica/reads.ts). Main thread; the
 * dispatcher asks when it has found that READ itself may run. Costs a second look at the table of commands, and moving
 * the arguments.
 */
import { arityFits, type CommandTable, unknownCommand, WRITE } from '../engine/command.ts';
import { ERR, wrongArity } from '../engine/errors.ts';
import type { Dispatcher } from './dispatch.ts';
import type { Outcome } from './executor.ts';
import { BOUNDED, levelOf } from './replica/reads.ts';
import type { Session } from './session.ts';

export class ReadPrefix {
  /** The row of READ. */
  readonly rowId: number;
  private readonly dispatcher: Dispatcher;
  private readonly table: CommandTable;

  constructor(dispatcher: Dispatcher) {
    this.dispatcher = dispatcher;
    this.table = dispatcher.table;
    this.rowId = this.table.rows.findIndex((row) => row.name === 'read');
  }

  /** Runs the command behind the prefix, for a session whose level is another only meanwhile. */
  execute(session: Session): Outcome {
    const { dispatcher, table, rowId } = this;
    const { call } = dispatcher;
    const level = levelOf(call, 1);
    const words = level === BOUNDED ? 3 : 2;
    if (level < 0 || call.argc <= words) return dispatcher.reject(rowId, ERR.SYNTAX);
    if (level === BOUNDED && (!call.long(2) || call.num < 0)) return dispatcher.reject(rowId, ERR.NOT_POSITIVE);
    const maxAgeMs = level === BOUNDED ? call.num : 0;
    call.shift(words);
    // Not by `resolve` where it can be helped: that remembers the last name, which is to stay READ.
    const found = table.find(call.buf, call.off[0], call.len[0]);
    const row = found?.subcommands === undefined ? found : table.resolve(call);
    if (row === undefined) return dispatcher.reject(-1, unknownCommand(table, call));
    const { id } = row;
    if (id === rowId || (row.flags & WRITE) !== 0) {
      return dispatcher.reject(rowId, 'ERR READ takes a command that reads');
    }
    // What else comes before a command was asked for READ, and is the same for all that read.
    if (!arityFits(row, call.argc)) return dispatcher.reject(id, wrongArity(row.name));
    const refusal = dispatcher.refusals.of(row);
    if (refusal !== '') return dispatcher.refuse(session, id, refusal);
    const { consistency, maxAgeMs: usual } = session;
    session.consistency = level;
    session.maxAgeMs = maxAgeMs;
    const outcome = dispatcher.place(session, row, id);
    session.consistency = consistency;
    session.maxAgeMs = usual;
    return outcome;
  }
}
