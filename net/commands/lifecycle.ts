/**
 * The small commands about the server itself: TIME, LOLWUT, SHUTDOWN. Main thread, no shard; none of
 * them is ever replayed, so they may read clocks.
 */
import type { Call } from '../../engine/call.ts';
import {
  ADMIN,
  ALLOW_BUSY,
  type CommandRow,
  FAST,
  LOADING,
  NO_MULTI,
  NOSCRIPT,
  READONLY,
  SCOPE_NONE,
  STALE,
} from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { ERR } from '../../engine/errors.ts';
import type { Node } from '../node.ts';
import { VERSION } from '../version.ts';
import { sessionOf } from './names.ts';

/** Seconds and microseconds since 1970. */
function time(call: Call): void {
  const micros = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  const seconds = Math.floor(micros / 1e6);
  call.reply.arrayHeader(2);
  call.reply.bulkString(String(seconds));
  call.reply.bulkString(String(micros - seconds * 1e6));
}

const STREAM_WIDTH = 40;
const WHEEL = ['   _|_   ', ' / \\|/ \\ ', '|---o---|', ' \\_/|\\_/ '];

/** A mill wheel in a race whose ripples are never the same. */
function lolwut(call: Call): void {
  if (call.argc >= 3 && call.is(1, 'VERSION') && !call.long(2)) return call.reply.error(ERR.NOT_INTEGER);
  const at = call.random.below(STREAM_WIDTH - WHEEL[0].length);
  const lines = WHEEL.map((line) => ' '.repeat(at) + line);
  for (let row = 0; row < 2; row++) {
    let water = '';
    for (let i = 0; i < STREAM_WIDTH; i++) water += '~~~-_ '[call.random.below(6)];
    lines.push(water);
  }
  call.reply.verbatim('txt', `${lines.join('\n')}\n\nMillrace ver. ${VERSION}\n`);
}

const SHUTDOWN_OPTIONS = ['SAVE', 'NOSAVE', 'NOW', 'FORCE', 'ABORT'];

/** Replies nothing when it succeeds: the connection closes. */
function shutdown(node: Node, call: Call): void {
  const given = new Set<string>();
  for (let i = 1; i < call.argc; i++) {
    const option = SHUTDOWN_OPTIONS.find((each) => call.is(i, each));
    if (option === undefined) return call.reply.error(ERR.SYNTAX);
    given.add(option);
  }
  const isAbort = given.has('ABORT');
  if ((isAbort && given.size > 1) || (given.has('SAVE') && given.has('NOSAVE'))) return call.reply.error(ERR.SYNTAX);
  // A shutdown waits for nobody but the disk, so there is never one to abort.
  if (isAbort) return call.reply.error('ERR No shutdown in progress.');
  const session = sessionOf(call);
  const reply = node.dispatcher.defer(session);
  const save = given.has('SAVE') ? true : given.has('NOSAVE') ? false : undefined;
  // After this tick, so that replies of commands before it still go out.
  setImmediate(() => {
    void node.shutdown(`SHUTDOWN by client ${session.addr}`, save, given.has('FORCE')).then((error) => {
      if (error !== '') reply((to) => to.error('ERR Errors trying to SHUTDOWN. Check logs.'));
    });
  });
}

export function lifecycleRows(node: Node): CommandRow[] {
  const plain = rowMaker('server', [], SCOPE_NONE);
  const own = NOSCRIPT | LOADING | STALE;
  const down = ADMIN | own | NO_MULTI | ALLOW_BUSY;
  return [
    plain('time', 1, LOADING | STALE | FAST, NO_KEYS, '2.6.0', 'O(1)', "Tells the server's time", time),
    plain('lolwut', -1, READONLY | FAST, NO_KEYS, '5.0.0', 'O(1)', 'Draws something, and tells the version', lolwut),
    plain('shutdown', -1, down, NO_KEYS, '1.0.0', 'O(1)', 'Ends the server', (call) => shutdown(node, call)),
  ];
}
