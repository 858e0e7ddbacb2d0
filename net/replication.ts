/**
 * What a replica does with its clients' commands, as the dispatcher sees it; net/replica/replica.ts implements it. Main thread. On
 * a node by itself there is none, which costs a command one comparison.
 */
import type { CommandRow } from '../engine/command.ts';
import type { Outcome } from './executor.ts';
import type { PASS } from './replica/front.ts';
import type { Session } from './session.ts';

export interface Replication {
  /** What becomes of the command in `call`, or PASS: then it runs here. */
  execute(session: Session, row: CommandRow): Outcome | typeof PASS;
  /** The clock of the state machine: what has expired by it is gone everywhere. */
  readonly settledMs: number;
  /** Whether the state is that of one entry of the log, with nothing under way. */
  readonly isSettled: boolean;
  /** At the end of a turn. */
  endTurn(): void;
  /** A worker has run the command with this ticket; its reply. */
  replied(ticket: number, from: Uint8Array, start: number, length: number): void;
  /** Workers have finished something. */
  progressed(): void;
  forget(session: Session): void;
}
