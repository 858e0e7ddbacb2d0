/**
 * The commands about a connection itself: PING, ECHO, HELLO, AUTH, RESET, QUIT, SELECT; CLIENT is in client.ts. They run
 * on the connection's own thread, touch no shard, and find their session in `call.session`. All cold but PING and ECHO.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Call } from '../../engine/call.ts';
import {
  ALLOW_BUSY,
  type CommandRow,
  FAST,
  LOADING,
  NO_AUTH,
  NOSCRIPT,
  SCOPE_NONE,
  STALE,
} from '../../engine/command.ts';
import { ERR, wrongArity } from '../../engine/errors.ts';
import { settingIndex } from '../../engine/settings.ts';
import { LINEARIZABLE } from '../replica/reads.ts';
import { REPLY_ON } from '../session.ts';
import { CLIENT_ROW } from './client.ts';
import { sessionOf, setName } from './names.ts';

/** The Redis release whose commands and replies this server follows; clients read it to know what they may send. */
export const REDIS_VERSION = '7.0.15';

const DATABASES = settingIndex('databases');
const INT32_MAX = 0x7fffffff;
const INT32_MIN = -0x80000000;

const WRONG_PASSWORD = 'WRONGPASS invalid username-password pair or user is disabled.';
const NO_PASSWORD_SET =
  'ERR AUTH <password> called without any password configured for the default user. ' +
  'Are you sure your configuration is correct?';
const HELLO_NOT_AUTHENTICATED =
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option ' +
  'can be used to authenticate the client and select the RESP protocol version at the same time';

function ping(call: Call): void {
  if (call.argc > 2) return call.reply.error(wrongArity('ping'));
  if (call.argc === 2) call.reply.bulk(call.buf, call.off[1], call.len[1]);
  else call.reply.simple('PONG');
}

function echo(call: Call): void {
  call.reply.bulk(call.buf, call.off[1], call.len[1]);
}

function select(call: Call): void {
  if (!call.long(1)) return call.reply.error(ERR.NOT_INTEGER);
  if (call.num > INT32_MAX || call.num < INT32_MIN) {
    return call.reply.error(`ERR value is out of range, value must between ${INT32_MIN} and ${INT32_MAX}`);
  }
  if (call.num < 0 || call.num >= call.settings.f64[DATABASES]) return call.reply.error(ERR.DB_INDEX);
  sessionOf(call).db = call.num;
  call.db = call.num;
  call.reply.ok();
}

function auth(call: Call): void {
  if (call.argc > 3) return call.reply.error(ERR.SYNTAX);
  if (call.argc === 2) {
    if (sessionOf(call).clients.limits.requirePass === '') return call.reply.error(NO_PASSWORD_SET);
    if (authenticate(call, -1, 1)) call.reply.ok();
  } else if (authenticate(call, 1, 2)) {
    call.reply.ok();
  }
}

/** Checks the name in argument `name` (-1: the default user) and the password in argument `password`; replies if wrong. */
function authenticate(call: Call, name: number, password: number): boolean {
  const session = sessionOf(call);
  const wanted = session.clients.limits.requirePass;
  const known = name < 0 || call.str(name) === session.user;
  if (!known || (wanted !== '' && !samePassword(call.bytes(password), wanted))) {
    call.reply.error(WRONG_PASSWORD);
    return false;
  }
  session.setAuthenticated(true);
  return true;
}

/** In a time that does not tell how much of the password was right. */
function samePassword(given: Uint8Array, wanted: string): boolean {
  return timingSafeEqual(createHash('sha256').update(given).digest(), createHash('sha256').update(wanted).digest());
}

function hello(call: Call, isMaster: boolean): void {
  const session = sessionOf(call);
  const reply = call.reply;
  let protocol = session.protocol;
  if (call.argc >= 2) {
    if (!call.long(1)) return reply.error('ERR Protocol version is not an integer or out of range');
    if (call.num !== 2 && call.num !== 3) return reply.error('NOPROTO unsupported protocol version');
    protocol = call.num;
  }
  for (let i = 2; i < call.argc; i++) {
    const more = call.argc - 1 - i;
    if (more >= 2 && call.is(i, 'AUTH')) {
      if (!authenticate(call, i + 1, i + 2)) return;
      i += 2;
    } else if (more >= 1 && call.is(i, 'SETNAME')) {
      if (!setName(call, i + 1)) return;
      i++;
    } else {
      return reply.error(`ERR Syntax error in HELLO option '${call.shown(i)}'`);
    }
  }
  if (session.authRequired) return reply.error(HELLO_NOT_AUTHENTICATED);
  setProtocol(call, protocol);
  reply.mapHeader(7);
  reply.bulkString('server');
  reply.bulkString('redis');
  reply.bulkString('version');
  reply.bulkString(REDIS_VERSION);
  reply.bulkString('proto');
  reply.int(protocol);
  reply.bulkString('id');
  reply.int(session.id);
  reply.bulkString('mode');
  reply.bulkString('standalone');
  reply.bulkString('role');
  reply.bulkString(isMaster ? 'master' : 'replica');
  reply.bulkString('modules');
  reply.arrayHeader(0);
}

function setProtocol(call: Call, protocol: number): void {
  sessionOf(call).protocol = protocol;
  call.reply.protocol = protocol;
}

function reset(call: Call): void {
  const session = sessionOf(call);
  session.db = 0;
  call.db = 0;
  session.name = '';
  session.noTouch = false;
  call.noTouch = false;
  session.consistency = LINEARIZABLE;
  session.maxAgeMs = 0;
  session.fence = 0;
  session.setReplyMode(REPLY_ON);
  session.setAuthenticated(session.clients.limits.requirePass === '');
  setProtocol(call, 2);
  call.reply.simple('RESET');
}

function quit(call: Call): void {
  sessionOf(call).closeAfterReply();
  call.reply.ok();
}

type Parts = Pick<CommandRow, 'name' | 'arity' | 'flags' | 'since' | 'complexity' | 'summary' | 'run'>;

function row(parts: Parts): CommandRow {
  return { ...parts, firstKey: 0, lastKey: 0, keyStep: 0, group: 'connection', scope: SCOPE_NONE };
}

const HANDSHAKE = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY;

/** `isMaster`: what HELLO says of the node. */
export const connectionRows = (isMaster: () => boolean): readonly CommandRow[] => [
  row({
    name: 'ping',
    arity: -1,
    flags: FAST,
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Answers PONG, or the given message',
    run: ping,
  }),
  row({
    name: 'echo',
    arity: 2,
    flags: LOADING | STALE | FAST,
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Answers the given message',
    run: echo,
  }),
  row({
    name: 'select',
    arity: 2,
    flags: LOADING | STALE | FAST,
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Sets the database of the connection',
    run: select,
  }),
  row({
    name: 'auth',
    arity: -2,
    flags: HANDSHAKE,
    since: '1.0.0',
    complexity: 'O(N) where N is the number of passwords of the user',
    summary: 'Authenticates the connection',
    run: auth,
  }),
  row({
    name: 'hello',
    arity: -1,
    flags: HANDSHAKE,
    since: '6.0.0',
    complexity: 'O(1)',
    summary: 'Tells what the server is, and sets protocol, user and name of the connection',
    run: (call) => hello(call, isMaster()),
  }),
  row({
    name: 'reset',
    arity: 1,
    flags: HANDSHAKE,
    since: '6.2.0',
    complexity: 'O(1)',
    summary: 'Puts the connection back to how it began',
    run: reset,
  }),
  row({
    name: 'quit',
    arity: -1,
    flags: HANDSHAKE,
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Closes the connection',
    run: quit,
  }),
  CLIENT_ROW,
];
