/** The line that CLIENT LIST and CLIENT INFO print for a session: Redis 7.0's fields, in its order. Cold. */
import type { Session } from './session.ts';

/** What a session costs beside its buffers; an estimate. */
const SESSION_BYTES = 2048;

export function infoLine(session: Session, nowMs: number): string {
  const running = session.isRunning;
  const call = session.clients.executor.call;
  const row = running && call.row !== undefined ? call.row : session.lastRow;
  let argumentBytes = 0;
  if (running) for (let i = 0; i < call.argc; i++) argumentBytes += call.len[i];
  const pending = session.transport.pendingBytes;
  const replyBytes = session.replyBytes;
  const inputBytes = session.inputBytes;
  const inputCapacity = Math.max(session.inputCapacity, inputBytes);
  const fields = [
    `id=${session.id}`,
    `addr=${session.addr}`,
    `laddr=${session.laddr}`,
    `fd=${session.fd}`,
    `name=${session.name}`,
    `age=${seconds(nowMs - session.createdMs)}`,
    `idle=${seconds(nowMs - session.lastActiveMs)}`,
    `flags=${flags(session)}`,
    `db=${session.db}`,
    'sub=0',
    'psub=0',
    'ssub=0',
    'multi=-1',
    `qbuf=${inputBytes}`,
    `qbuf-free=${inputCapacity - inputBytes}`,
    `argv-mem=${argumentBytes}`,
    'multi-mem=0',
    `rbs=${replyBytes}`,
    `rbp=${replyBytes}`,
    `obl=${replyBytes}`,
    `oll=${pending > 0 ? 1 : 0}`,
    `omem=${pending}`,
    `tot-mem=${SESSION_BYTES + inputCapacity + argumentBytes + replyBytes + pending}`,
    `events=${pending > 0 ? 'rw' : 'r'}`,
    `cmd=${row === undefined ? 'NULL' : row.name}`,
    `user=${session.user}`,
    'redir=-1',
    `resp=${session.protocol}`,
  ];
  // Redis 7.2's two fields, where a client has told them by CLIENT SETINFO.
  if (session.libName !== '') fields.push(`lib-name=${session.libName}`);
  if (session.libVer !== '') fields.push(`lib-ver=${session.libVer}`);
  return fields.join(' ');
}

function flags(session: Session): string {
  let text = '';
  if (session.blocked) text += 'b';
  if (session.closing) text += 'c';
  if (session.noEvict) text += 'e';
  if (session.noTouch) text += 'T';
  return text === '' ? 'N' : text;
}

function seconds(ms: number): number {
  return Math.max(0, Math.floor(ms / 1000));
}
