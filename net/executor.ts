/**
 * What a connection asks of whoever runs its commands. The front (parser, sessions, sockets) is written against this
 * interface; net/dispatch.ts implements it over the shards, and tests over a Map.
 */
import type { Call } from '../engine/call.ts';
import type { Session } from './session.ts';

/** The command ran; its reply, if it has one, is in `call.reply`. */
export const DONE = 0;
/** Another thread has it. The reply comes by `session.deliver`, under the number that `session.nextSeq` was. */
export const QUEUED = 1;
/**
 * It cannot run yet: the session waits for its own earlier replies, for room in a ring, for the end of a pause, or in a
 * blocking command.
 * Nothing was done. The session keeps the request and offers it again after `session.resume()`.
 */
export const STALLED = 2;

export type Outcome = typeof DONE | typeof QUEUED | typeof STALLED;

export interface Executor {
  /** The thread's call: the parser fills its request, its `reply` collects the replies of a batch. */
  readonly call: Call;
  /**
   * Before each session's batch, a run of requests that arrived together. The session has set `call.session`, `db`,
   * `noTouch`, the clock and the reply's protocol.
   */
  beginBatch(): void;
  /** Runs the request now in `call`, and leaves `call.buf`, `session` and `reply` as they are. */
  execute(session: Session): Outcome;
  /** After each session's batch, before its replies are written. */
  endBatch(): void;
  /** Once per turn of the event loop in which any session ran: let go of locks, ring the workers' bells. */
  endTick(): void;
  /** CLIENT UNBLOCK: ends a session's wait in a blocking command, with an error or as a timeout would. False: no wait. */
  unblock?(session: Session, withError: boolean): boolean;
  /** The connection is gone: drop what is kept for it. */
  forget?(session: Session): void;
}
