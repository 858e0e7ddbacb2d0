/** SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE: snapshots when a client asks for them. Main thread, no shard. */
import type { Call } from '../../engine/call.ts';
import {
  ADMIN,
  type CommandRow,
  FAST,
  LOADING,
  NO_ASYNC_LOADING,
  NO_MULTI,
  NOSCRIPT,
  SCOPE_NONE,
  STALE,
} from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { ERR } from '../../engine/errors.ts';
import type { Node } from '../node.ts';
import { sessionOf } from './names.ts';

/** Its client waits; nobody else does. */
function save(node: Node, call: Call): void {
  const { saving } = node.persistence;
  const refused = saving.running === 'save' ? BUSY : saving.begin('save', true, true);
  if (refused !== '') return call.reply.error(refused);
  const reply = node.dispatcher.defer(sessionOf(call));
  void saving.finished('save').then((error) => {
    reply((to) => {
      if (error === '') to.ok();
      else to.error('ERR');
    });
  });
}

const BUSY = 'ERR Background save already in progress';

function bgsave(node: Node, call: Call): void {
  const schedule = call.argc === 2 && call.is(1, 'SCHEDULE');
  if (call.argc > 1 && !schedule) return call.reply.error(ERR.SYNTAX);
  const isBusy = node.persistence.saving.running !== undefined;
  const refused = node.persistence.saving.begin('save', schedule);
  if (refused !== '') call.reply.error(refused);
  else call.reply.simple(isBusy ? 'Background saving scheduled' : 'Background saving started');
}

/** A snapshot that cuts the log. */
function bgrewriteaof(node: Node, call: Call): void {
  const isBusy = node.persistence.saving.running !== undefined;
  const refused = node.persistence.saving.begin('rewrite', true);
  if (refused !== '') call.reply.error(refused);
  else call.reply.simple(`Background append only file rewriting ${isBusy ? 'scheduled' : 'started'}`);
}

export function persistenceRows(node: Node): CommandRow[] {
  const row = rowMaker('server', ['admin', 'dangerous'], SCOPE_NONE);
  const lastSave = (call: Call): void => call.reply.int(Math.floor(node.persistence.saving.lastSaveMs / 1000));
  const keys = 'O(N) where N is the total number of keys in all databases';
  return [
    row(
      'save',
      1,
      ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI,
      NO_KEYS,
      '1.0.0',
      keys,
      'Writes a snapshot, and replies when it is durable',
      (call) => save(node, call),
    ),
    row('bgsave', -1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING, NO_KEYS, '1.0.0', 'O(1)', 'Begins a snapshot', (call) =>
      bgsave(node, call),
    ),
    row(
      'bgrewriteaof',
      1,
      ADMIN | NOSCRIPT | NO_ASYNC_LOADING,
      NO_KEYS,
      '1.0.0',
      'O(1)',
      'Begins a snapshot that cuts the log',
      (call) => bgrewriteaof(node, call),
    ),
    row(
      'lastsave',
      1,
      LOADING | STALE | FAST,
      NO_KEYS,
      '1.0.0',
      'O(1)',
      'Tells the time of the last snapshot, or of the start',
      lastSave,
    ),
  ];
}
