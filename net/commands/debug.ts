/**
 * DEBUG: the little of it that tests of clients and of this server need. Refused unless `enable-debug-command` allows it,
 * as in Redis 7. Main thread, cold; OBJECT under its shard's lock.
 */

import { idleMs } from '../../engine/access.ts';
import { usableSize } from '../../engine/alloc.ts';
import type { Call } from '../../engine/call.ts';
import { ADMIN, type CommandRow, LOADING, NOSCRIPT, SCOPE_KEYS, STALE } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { ERR } from '../../engine/errors.ts';
import { lookupQuiet } from '../../engine/keyspace.ts';
import { encodingName } from '../../engine/types/encoding.ts';
import { valueBytes } from '../../engine/values.ts';
import type { Node } from '../node.ts';
import { sessionOf } from './names.ts';
import { helpHandler, subcommandSyntax } from './subcommands.ts';

const NOT_ALLOWED =
  'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local ' +
  'connection, otherwise you need to set this option in the configuration file, and then restart the server.';
const LOCAL = /^(127\.|\[::1\]|\[::ffff:127\.)/;
/** The longest DEBUG SLEEP, seconds. */
const MAX_SLEEP_SEC = 3600;

const help = helpHandler('DEBUG', [
  'ERROR <text>',
  '    Replies an error of this text.',
  'LOG <text>',
  "    Writes to the server's log.",
  'OBJECT <key>',
  '    How a key is kept.',
  'SLEEP <seconds>',
  '    Does nothing for so long, and nothing else either.',
]);

/** Blocks the main thread, which is what it is for. */
function sleep(call: Call): void {
  const seconds = Number.parseFloat(call.str(2));
  if (seconds > 0) {
    const word = new Int32Array(new SharedArrayBuffer(4));
    Atomics.wait(word, 0, 0, Math.min(seconds, MAX_SLEEP_SEC) * 1000);
  }
  call.reply.ok();
}

function object(call: Call): void {
  const record = lookupQuiet(call, 2);
  if (record === 0) return call.reply.error(ERR.NO_SUCH_KEY);
  const a = call.arena;
  const bytes = usableSize(a, record) + valueBytes(a, record);
  const idleSec = call.lfu ? 0 : Math.floor(idleMs(a, record, call.nowMs) / 1000);
  call.reply.simple(
    `Value at:0x${record.toString(16)} refcount:1 encoding:${encodingName(a, record)} bytes:${bytes} ` +
      `lru:${a.u32[(record + 4) >>> 2]} lru_seconds_idle:${idleSec} shard:${a.shard}`,
  );
}

export function debugRow(node: Node): CommandRow {
  function isAllowed(call: Call): boolean {
    const allowed = node.config.get('enable-debug-command');
    return allowed === 'yes' || (allowed === 'local' && LOCAL.test(sessionOf(call).addr));
  }

  function debug(call: Call): void {
    if (!isAllowed(call)) return call.reply.error(NOT_ALLOWED);
    if (call.argc === 2 && call.is(1, 'HELP')) return help(call);
    if (call.argc !== 3) return subcommandSyntax(call);
    if (call.is(1, 'SLEEP')) return sleep(call);
    if (call.is(1, 'OBJECT')) return object(call);
    if (call.is(1, 'ERROR')) return call.reply.error(call.str(2));
    if (!call.is(1, 'LOG')) return subcommandSyntax(call);
    node.log.write('warning', `DEBUG LOG: ${call.str(2)}`);
    call.reply.ok();
  }

  const row = rowMaker('server', [], SCOPE_KEYS);
  const flags = ADMIN | NOSCRIPT | LOADING | STALE;
  return {
    ...row('debug', -2, flags, NO_KEYS, '1.0.0', 'Depends on subcommand.', 'A container for debugging commands', debug),
    // For the lock; to clients the command has no keys.
    keys: (request, out) => {
      if (request.argc === 3 && request.is(1, 'OBJECT')) out.push(2);
      return true;
    },
  };
}
