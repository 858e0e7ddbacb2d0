/** CLIENT and its subcommands: what the server knows of its connections, and what may be done to them. All cold. */
import type { Call } from '../../engine/call.ts';
import { ADMIN, type CommandRow, LOADING, NOSCRIPT, SCOPE_NONE, STALE } from '../../engine/command.ts';
import { ERR, wrongArity } from '../../engine/errors.ts';
import { infoLine } from '../clientinfo.ts';
import { PAUSE_ALL, PAUSE_WRITE, type PauseMode } from '../clients.ts';
import { BOUNDED, LEVELS, levelOf } from '../replica/reads.ts';
import { REPLY_OFF, REPLY_ON, REPLY_SKIP_NEXT, type Session } from '../session.ts';
import { isPrintable, sessionOf, setName } from './names.ts';

const INT64_MAX = 2 ** 63;

/** The kinds of client that filters can name. All of ours are normal ones. */
const TYPES = ['NORMAL', 'SLAVE', 'REPLICA', 'PUBSUB', 'MASTER'];

/** For a subcommand that exists, with an argument too many. */
function subcommandSyntax(call: Call): void {
  call.reply.error(`ERR unknown subcommand or wrong number of arguments for '${call.shown(1)}'. Try CLIENT HELP.`);
}

/** The client type in argument i; undefined when there is no such type. */
function typeAt(call: Call, i: number): string | undefined {
  return TYPES.find((type) => call.is(i, type));
}

function id(call: Call): void {
  call.reply.int(sessionOf(call).id);
}

function info(call: Call): void {
  call.reply.verbatim('txt', `${infoLine(sessionOf(call), call.nowMs)}\n`);
}

function list(call: Call): void {
  const clients = sessionOf(call).clients;
  let listed: Session[] = [];
  if (call.argc === 2) {
    listed = [...clients.sessions.values()];
  } else if (call.argc === 4 && call.is(2, 'TYPE')) {
    const type = typeAt(call, 3);
    if (type === undefined) return call.reply.error(`ERR Unknown client type '${call.shown(3)}'`);
    if (type === 'NORMAL') listed = [...clients.sessions.values()];
  } else if (call.argc > 3 && call.is(2, 'ID')) {
    for (let i = 3; i < call.argc; i++) {
      if (!call.long(i)) return call.reply.error('ERR Invalid client ID');
      const session = clients.get(call.num);
      if (session !== undefined) listed.push(session);
    }
  } else {
    return call.reply.error(ERR.SYNTAX);
  }
  call.reply.verbatim('txt', listed.map((session) => `${infoLine(session, call.nowMs)}\n`).join(''));
}

/** What CLIENT KILL's options leave of all clients. */
interface Filter {
  id: number;
  addr: string | undefined;
  laddr: string | undefined;
  type: string | undefined;
  skipMe: boolean;
}

/** Reads the options from argument 2 on; undefined when it has replied an error. */
function killFilter(call: Call): Filter | undefined {
  const filter: Filter = { id: 0, addr: undefined, laddr: undefined, type: undefined, skipMe: true };
  const refuse = (text: string): undefined => {
    call.reply.error(text);
    return undefined;
  };
  for (let i = 2; i < call.argc; i += 2) {
    if (i + 1 === call.argc) return refuse(ERR.SYNTAX);
    if (call.is(i, 'ID')) {
      if (!call.long(i + 1) || call.num < 1) return refuse('ERR client-id should be greater than 0');
      filter.id = call.num;
    } else if (call.is(i, 'TYPE')) {
      filter.type = typeAt(call, i + 1);
      if (filter.type === undefined) return refuse(`ERR Unknown client type '${call.shown(i + 1)}'`);
    } else if (call.is(i, 'ADDR')) {
      filter.addr = call.str(i + 1);
    } else if (call.is(i, 'LADDR')) {
      filter.laddr = call.str(i + 1);
    } else if (call.is(i, 'USER')) {
      // There is one user, so this filters nothing out.
      if (call.str(i + 1) !== sessionOf(call).user) return refuse(`ERR No such user '${call.shown(i + 1)}'`);
    } else if (call.is(i, 'SKIPME') && (call.is(i + 1, 'YES') || call.is(i + 1, 'NO'))) {
      filter.skipMe = call.is(i + 1, 'YES');
    } else {
      return refuse(ERR.SYNTAX);
    }
  }
  return filter;
}

function matches(filter: Filter, session: Session): boolean {
  if (filter.addr !== undefined && filter.addr !== session.addr) return false;
  if (filter.laddr !== undefined && filter.laddr !== session.laddr) return false;
  if (filter.type !== undefined && filter.type !== 'NORMAL') return false;
  return filter.id === 0 || filter.id === session.id;
}

function kill(call: Call): void {
  // The old form has an address only, and may hit the caller.
  const byAddress = call.argc === 3;
  const filter = byAddress
    ? { id: 0, addr: call.str(2), laddr: undefined, type: undefined, skipMe: false }
    : killFilter(call);
  if (filter === undefined) return;
  const me = sessionOf(call);
  let killed = 0;
  for (const session of [...me.clients.sessions.values()]) {
    if (!matches(filter, session) || (filter.skipMe && session === me)) continue;
    killed++;
    if (session === me) me.closeAfterReply();
    else session.kill();
  }
  if (!byAddress) call.reply.int(killed);
  else if (killed === 0) call.reply.error('ERR No such client');
  else call.reply.ok();
}

function getName(call: Call): void {
  const name = sessionOf(call).name;
  if (name === '') call.reply.nil();
  else call.reply.bulkString(name);
}

function setNameCommand(call: Call): void {
  if (setName(call, 2)) call.reply.ok();
}

/** Redis 7.2's; today's client libraries send it on every connection. */
function setInfo(call: Call): void {
  const option = call.str(2).toLowerCase();
  if (option !== 'lib-name' && option !== 'lib-ver')
    return call.reply.error(`ERR Unrecognized option '${call.shown(2)}'`);
  if (!isPrintable(call, 3)) {
    return call.reply.error(`ERR ${option} cannot contain spaces, newlines or special characters.`);
  }
  if (option === 'lib-name') sessionOf(call).libName = call.str(3);
  else sessionOf(call).libVer = call.str(3);
  call.reply.ok();
}

function pause(call: Call): void {
  let mode: PauseMode = PAUSE_ALL;
  if (call.argc > 4) return subcommandSyntax(call);
  if (call.argc === 4) {
    if (call.is(3, 'WRITE')) mode = PAUSE_WRITE;
    else if (!call.is(3, 'ALL')) return call.reply.error('ERR CLIENT PAUSE mode must be WRITE or ALL');
  }
  if (!call.long(2)) return call.reply.error(ERR.TIMEOUT_NOT_INTEGER);
  if (call.num < 0) return call.reply.error('ERR timeout is negative');
  // An end beyond 64 bits wraps into the past in Redis, and pauses nothing.
  if (call.num + call.nowMs < INT64_MAX) sessionOf(call).clients.pause(mode, call.num + call.nowMs);
  call.reply.ok();
}

function unpause(call: Call): void {
  sessionOf(call).clients.unpause();
  call.reply.ok();
}

function replyMode(call: Call): void {
  const session = sessionOf(call);
  if (call.is(2, 'ON')) {
    session.setReplyMode(REPLY_ON);
    call.reply.ok();
  } else if (call.is(2, 'OFF')) {
    session.setReplyMode(REPLY_OFF);
  } else if (call.is(2, 'SKIP')) {
    if (session.replyMode !== REPLY_OFF) session.setReplyMode(REPLY_SKIP_NEXT);
  } else {
    call.reply.error(ERR.SYNTAX);
  }
}

/** `ON` or `OFF` in argument 2; undefined when it has replied an error. */
function onOff(call: Call): boolean | undefined {
  if (call.is(2, 'ON')) return true;
  if (call.is(2, 'OFF')) return false;
  call.reply.error(ERR.SYNTAX);
  return undefined;
}

function noEvict(call: Call): void {
  const on = onOff(call);
  if (on === undefined) return;
  sessionOf(call).noEvict = on;
  call.reply.ok();
}

function noTouch(call: Call): void {
  const on = onOff(call);
  if (on === undefined) return;
  sessionOf(call).noTouch = on;
  call.noTouch = on;
  call.reply.ok();
}

/** How this connection's reads are served by a replica; a node by itself serves all as well as it can be. */
function consistency(call: Call): void {
  const session = sessionOf(call);
  if (call.argc === 2) {
    const name = LEVELS[session.consistency];
    return call.reply.bulkString(session.consistency === BOUNDED ? `${name} ${session.maxAgeMs}` : name);
  }
  const level = levelOf(call, 2);
  if (level < 0) return call.reply.error(ERR.SYNTAX);
  if (call.argc !== (level === BOUNDED ? 4 : 3)) return subcommandSyntax(call);
  if (level === BOUNDED && (!call.long(3) || call.num < 0)) return call.reply.error(ERR.NOT_POSITIVE);
  session.consistency = level;
  session.maxAgeMs = level === BOUNDED ? call.num : 0;
  call.reply.ok();
}

function unblock(call: Call): void {
  if (call.argc > 4) return subcommandSyntax(call);
  if (call.argc === 4 && !call.is(3, 'TIMEOUT') && !call.is(3, 'ERROR')) {
    return call.reply.error('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR');
  }
  if (!call.long(2)) return call.reply.error(ERR.NOT_INTEGER);
  const me = sessionOf(call);
  const target = me.clients.get(call.num);
  const withError = call.argc === 4 && call.is(3, 'ERROR');
  if (target === undefined || me.clients.executor.unblock?.(target, withError) !== true) return call.reply.int(0);
  me.yieldTurn();
  call.reply.int(1);
}

function tracking(call: Call): void {
  for (let i = 3; i < call.argc; i++) {
    if (i + 1 < call.argc && (call.is(i, 'REDIRECT') || call.is(i, 'PREFIX'))) i++;
    else if (!['BCAST', 'OPTIN', 'OPTOUT', 'NOLOOP'].some((word) => call.is(i, word)))
      return call.reply.error(ERR.SYNTAX);
  }
  const on = onOff(call);
  if (on === undefined) return;
  if (on) call.reply.error('ERR client side caching (CLIENT TRACKING) is not supported by this server yet');
  else call.reply.ok();
}

function trackingInfo(call: Call): void {
  const reply = call.reply;
  reply.mapHeader(3);
  reply.bulkString('flags');
  reply.setHeader(1);
  reply.bulkString('off');
  reply.bulkString('redirect');
  reply.int(-1);
  reply.bulkString('prefixes');
  reply.arrayHeader(0);
}

function caching(call: Call): void {
  call.reply.error(
    'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
  );
}

function getRedir(call: Call): void {
  call.reply.int(-1);
}

const HELP = [
  'CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
  'CACHING (YES|NO)',
  "    Whether the next command's keys are tracked, in OPTIN and OPTOUT mode.",
  'CONSISTENCY [LINEARIZABLE|SESSION|BOUNDED <ms>|STALE]',
  "    Sets or tells how new what a replica shows to this connection's reads must be: as new as all that was acknowledged",
  '    before; as what this connection has written or carries a fence for; as the leader so many milliseconds ago; no matter.',
  'GETREDIR',
  '    The id of the client that tracking messages go to; -1 without tracking.',
  'GETNAME',
  '    The name of this connection.',
  'ID',
  '    The id of this connection.',
  'INFO',
  '    The line of this connection in CLIENT LIST.',
  'KILL <ip:port>',
  '    Disconnects the client at that address.',
  'KILL <option> <value> [<option> <value> [...]]',
  '    Disconnects the clients that fit all options:',
  '    * ID <client-id>',
  "    * ADDR <ip:port>, the client's address",
  '    * LADDR <ip:port>, the address it connected to',
  '    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)',
  '    * USER <username>',
  '    * SKIPME (YES|NO), whether to spare this connection (default: yes)',
  'LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> [<client-id> ...]]',
  '    One line for each client.',
  'NO-EVICT (ON|OFF)',
  '    Exempts this connection from eviction of clients.',
  'NO-TOUCH (ON|OFF)',
  "    Lets this connection's reads leave the access time of keys alone.",
  'PAUSE <timeout> [WRITE|ALL]',
  '    Holds back writes, or every command, for <timeout> milliseconds.',
  'REPLY (ON|OFF|SKIP)',
  '    Turns the replies to this connection on or off, or off for one command.',
  'SETINFO (LIB-NAME|LIB-VER) <value>',
  '    Tells name or version of the client library.',
  'SETNAME <name>',
  '    Gives this connection a name.',
  'TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]',
  '    Client side caching; not supported yet.',
  'TRACKINGINFO',
  '    The state of tracking for this connection.',
  'UNBLOCK <clientid> [TIMEOUT|ERROR]',
  '    Lets a client that waits in a blocking command go on.',
  'UNPAUSE',
  '    Ends a pause.',
  'HELP',
  '    Prints this help.',
];

function help(call: Call): void {
  call.reply.arrayHeader(HELP.length);
  for (const line of HELP) call.reply.simple(line);
}

const OWN = NOSCRIPT | LOADING | STALE;
const OTHERS = ADMIN | NOSCRIPT | LOADING | STALE;

function sub(
  name: string,
  arity: number,
  flags: number,
  since: string,
  complexity: string,
  summary: string,
  run: (call: Call) => void,
): CommandRow {
  const place = { firstKey: 0, lastKey: 0, keyStep: 0, group: 'connection', scope: SCOPE_NONE };
  return { name: `client|${name}`, arity, flags, since, complexity, summary, run, ...place };
}

const PER_CLIENT = 'O(N) where N is the number of connected clients';

export const CLIENT_ROW: CommandRow = {
  name: 'client',
  arity: -2,
  flags: 0,
  firstKey: 0,
  lastKey: 0,
  keyStep: 0,
  group: 'connection',
  scope: SCOPE_NONE,
  since: '2.4.0',
  complexity: 'Depends on subcommand.',
  summary: 'A container for client connection commands',
  // Called without a subcommand, which its arity forbids.
  run: (call) => call.reply.error(wrongArity('client')),
  subcommands: [
    sub('caching', 3, OWN, '6.0.0', 'O(1)', "Whether the next command's keys are tracked", caching),
    sub('consistency', -2, OWN, '0.1.0', 'O(1)', 'How new the state is that reads see', consistency),
    sub('getname', 2, OWN, '2.6.9', 'O(1)', 'The name of the connection', getName),
    sub('getredir', 2, OWN, '6.0.0', 'O(1)', 'The client that tracking messages go to', getRedir),
    sub('help', 2, LOADING | STALE, '5.0.0', 'O(1)', 'Lists the subcommands', help),
    sub('id', 2, OWN, '5.0.0', 'O(1)', 'The id of the connection', id),
    sub('info', 2, OWN, '6.2.0', 'O(1)', 'What the server knows of the connection', info),
    sub('kill', -3, OTHERS, '2.4.0', PER_CLIENT, 'Disconnects clients', kill),
    sub('list', -2, OTHERS, '2.4.0', PER_CLIENT, 'Lists the connected clients', list),
    sub('no-evict', 3, OTHERS, '7.0.0', 'O(1)', 'Exempts the connection from eviction of clients', noEvict),
    sub('no-touch', 3, OWN, '7.2.0', 'O(1)', 'Lets reads leave the access time of keys alone', noTouch),
    sub('pause', -3, OTHERS, '2.9.50', 'O(1)', 'Holds commands back for a time', pause),
    sub('reply', 3, OWN, '3.2.0', 'O(1)', 'Turns replies on or off', replyMode),
    sub('setinfo', 4, OWN, '7.2.0', 'O(1)', 'Tells name or version of the client library', setInfo),
    sub('setname', 3, OWN, '2.6.9', 'O(1)', 'Gives the connection a name', setNameCommand),
    sub('tracking', -3, OWN, '6.0.0', 'O(1)', 'Turns client side caching on or off', tracking),
    sub('trackinginfo', 2, OWN, '6.2.0', 'O(1)', 'The state of tracking for the connection', trackingInfo),
    sub('unblock', -3, OTHERS, '5.0.0', 'O(1)', 'Lets a blocked client go on', unblock),
    sub('unpause', 2, OTHERS, '6.2.0', 'O(N) where N is the number of paused clients', 'Ends a pause', unpause),
  ],
};
