/** PING, ECHO, HELLO, AUTH, RESET, QUIT, SELECT and CLIENT, by sessions over a Map. The expected bytes are Redis 7.0.15's. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Clients } from '../../net/clients.ts';
import { connectionRows } from '../../net/commands/connection.ts';
import type { Session } from '../../net/session.ts';
import { MapExecutor } from '../support/map-executor.ts';
import { MemoryTransport, request, send, turn } from '../support/memory-transport.ts';

let executor: MapExecutor;
let clients: Clients;
let session: Session;
let transport: MemoryTransport;

beforeEach(() => {
  executor = new MapExecutor();
  clients = new Clients(executor);
  ({ session, transport } = MemoryTransport.open(clients));
});

afterEach(() => clients.close());

/** Sends commands, words divided by spaces ('' is an empty word), from one session, and gives the replies. */
async function run(...commands: string[]): Promise<string> {
  return runAs({ session, transport }, ...commands);
}

async function runAs(who: { session: Session; transport: MemoryTransport }, ...commands: string[]): Promise<string> {
  const before = who.transport.output.length;
  const words = commands.map((command) =>
    command.split(' ').map((word) => (word === "''" ? '' : word.replace('_', ' '))),
  );
  send(who.session, words.map((command) => request(...command)).join(''));
  await turn();
  return who.transport.output.slice(before);
}

const BAD_NAME = '-ERR Client names cannot contain spaces, newlines or special characters.\r\n';
const NOT_INTEGER = '-ERR value is not an integer or out of range\r\n';
const SYNTAX = '-ERR syntax error\r\n';
const WRONG_PASSWORD = '-WRONGPASS invalid username-password pair or user is disabled.\r\n';

const arity = (name: string) => `-ERR wrong number of arguments for '${name}' command\r\n`;

describe('one command, one reply', () => {
  test.each<[string, string]>([
    ['PING', '+PONG\r\n'],
    ['PING a', '$1\r\na\r\n'],
    ['PING a b', arity('ping')],
    ['ECHO a', '$1\r\na\r\n'],
    ['SELECT 0', '+OK\r\n'],
    ['SELECT 15', '+OK\r\n'],
    ['SELECT 16', '-ERR DB index is out of range\r\n'],
    ['SELECT -1', '-ERR DB index is out of range\r\n'],
    ['SELECT a', NOT_INTEGER],
    ['SELECT 4294967296', '-ERR value is out of range, value must between -2147483648 and 2147483647\r\n'],
    [
      'AUTH x',
      '-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n',
    ],
    ['AUTH default x', '+OK\r\n'],
    ['AUTH other x', WRONG_PASSWORD],
    ['AUTH a b c', SYNTAX],
    ['HELLO 1', '-NOPROTO unsupported protocol version\r\n'],
    ['HELLO 4', '-NOPROTO unsupported protocol version\r\n'],
    ['HELLO a', '-ERR Protocol version is not an integer or out of range\r\n'],
    ['HELLO 3 FOO', "-ERR Syntax error in HELLO option 'FOO'\r\n"],
    ['HELLO 3 AUTH a', "-ERR Syntax error in HELLO option 'AUTH'\r\n"],
    ['HELLO 3 SETNAME', "-ERR Syntax error in HELLO option 'SETNAME'\r\n"],
    ['HELLO 3 SETNAME a_b', BAD_NAME],
    ['HELLO 2 AUTH bad bad FOO', WRONG_PASSWORD],
    ['RESET', '+RESET\r\n'],
    ['CLIENT', arity('client')],
    ['CLIENT ID', ':1\r\n'],
    ['CLIENT ID x', arity('client|id')],
    ['CLIENT NONE', "-ERR unknown subcommand 'NONE'. Try CLIENT HELP.\r\n"],
    ['CLIENT GETNAME', '$-1\r\n'],
    ['CLIENT SETNAME a_b', BAD_NAME],
    ["CLIENT SETNAME ''", '+OK\r\n'],
    ['CLIENT SETINFO lib-name ioredis', '+OK\r\n'],
    ['CLIENT SETINFO LIB-VER 5.0.0', '+OK\r\n'],
    ['CLIENT SETINFO lib-name a_b', '-ERR lib-name cannot contain spaces, newlines or special characters.\r\n'],
    ['CLIENT SETINFO other a', "-ERR Unrecognized option 'other'\r\n"],
    ['CLIENT LIST FOO', SYNTAX],
    ['CLIENT LIST TYPE', SYNTAX],
    ['CLIENT LIST TYPE foo', "-ERR Unknown client type 'foo'\r\n"],
    ['CLIENT LIST TYPE master', '$0\r\n\r\n'],
    ['CLIENT LIST TYPE normal x', SYNTAX],
    ['CLIENT LIST ID', SYNTAX],
    ['CLIENT LIST ID 1 a', '-ERR Invalid client ID\r\n'],
    ['CLIENT LIST ID 99', '$0\r\n\r\n'],
    ['CLIENT KILL', arity('client|kill')],
    ['CLIENT KILL 1.2.3.4:5', '-ERR No such client\r\n'],
    ['CLIENT KILL ID', '-ERR No such client\r\n'],
    ['CLIENT KILL ID a', '-ERR client-id should be greater than 0\r\n'],
    ['CLIENT KILL ID 0', '-ERR client-id should be greater than 0\r\n'],
    ['CLIENT KILL ID 99', ':0\r\n'],
    ['CLIENT KILL ID 1', ':0\r\n'],
    ['CLIENT KILL ID 5 TYPE', SYNTAX],
    ['CLIENT KILL TYPE foo', "-ERR Unknown client type 'foo'\r\n"],
    ['CLIENT KILL TYPE slave SKIPME no', ':0\r\n'],
    ['CLIENT KILL USER nobody', "-ERR No such user 'nobody'\r\n"],
    ['CLIENT KILL SKIPME maybe', SYNTAX],
    ['CLIENT KILL ADDR foo SKIPME no', ':0\r\n'],
    ['CLIENT KILL FOO bar', SYNTAX],
    ['CLIENT PAUSE a', '-ERR timeout is not an integer or out of range\r\n'],
    ['CLIENT PAUSE -1', '-ERR timeout is negative\r\n'],
    ['CLIENT PAUSE 1 FOO', '-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n'],
    [
      'CLIENT pause 1 WRITE x',
      "-ERR unknown subcommand or wrong number of arguments for 'pause'. Try CLIENT HELP.\r\n",
    ],
    ['CLIENT PAUSE 9223372036854775807', '+OK\r\n'],
    ['CLIENT UNPAUSE', '+OK\r\n'],
    ['CLIENT REPLY FOO', SYNTAX],
    ['CLIENT REPLY ON', '+OK\r\n'],
    ['CLIENT NO-EVICT x', SYNTAX],
    ['CLIENT NO-EVICT on', '+OK\r\n'],
    ['CLIENT NO-TOUCH on', '+OK\r\n'],
    ['CLIENT UNBLOCK a', NOT_INTEGER],
    ['CLIENT UNBLOCK 1', ':0\r\n'],
    ['CLIENT UNBLOCK 1 FOO', '-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n'],
    [
      'CLIENT UNBLOCK 1 ERROR x',
      "-ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.\r\n",
    ],
    [
      'CLIENT TRACKINGINFO',
      '*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n',
    ],
    ['CLIENT GETREDIR', ':-1\r\n'],
    ['CLIENT TRACKING x', SYNTAX],
    ['CLIENT TRACKING off', '+OK\r\n'],
    ['CLIENT TRACKING on FOO', SYNTAX],
    [
      'CLIENT CACHING yes',
      '-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled\r\n',
    ],
  ])('%s', async (command, reply) => {
    expect(await run(command)).toBe(reply);
    expect(transport.closed).toBe('no');
  });

  test('QUIT', async () => {
    expect(await run('PING', 'QUIT now', 'PING')).toBe('+PONG\r\n+OK\r\n');
    expect(transport.closed).toBe('closed');
  });

  test('client side caching is refused', async () => {
    expect(await run('CLIENT TRACKING on BCAST')).toMatch(/^-ERR client side caching .* not supported/);
  });

  test('CLIENT HELP names every subcommand', async () => {
    const help = await run('CLIENT HELP');
    const subcommands = connectionRows(() => true).find((row) => row.name === 'client')?.subcommands ?? [];
    for (const { name } of subcommands) expect(help).toContain(`+${name.slice(7).toUpperCase()}`);
    expect(help.split('\r\n').length - 2).toBe(Number(/^\*(\d+)/.exec(help)?.[1]));
  });
});

const helloReply = (protocol: number, id = 1) =>
  `${protocol === 3 ? '%7' : '*14'}\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:${protocol}\r\n` +
  `$2\r\nid\r\n:${id}\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n`;

describe('HELLO', () => {
  test('tells the protocol, and changes it from its own reply on', async () => {
    expect(await run('HELLO')).toBe(helloReply(2));
    expect(await run('HELLO 3', 'CLIENT GETNAME')).toBe(`${helloReply(3)}_\r\n`);
    expect(await run('HELLO')).toBe(helloReply(3));
    expect(await run('HELLO 2', 'CLIENT GETNAME')).toBe(`${helloReply(2)}$-1\r\n`);
  });

  test('a refused one changes nothing but what came before the bad option', async () => {
    expect(await run('HELLO 3 SETNAME ab FOO', 'CLIENT GETNAME', 'HELLO')).toBe(
      `-ERR Syntax error in HELLO option 'FOO'\r\n$2\r\nab\r\n${helloReply(2)}`,
    );
  });

  test('authenticates', async () => {
    clients.limits.requirePass = 'pw';
    ({ session, transport } = MemoryTransport.open(clients));
    const refusal =
      '-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option ' +
      'can be used to authenticate the client and select the RESP protocol version at the same time\r\n';
    expect(await run('HELLO')).toBe(refusal);
    expect(await run('HELLO 3')).toBe(refusal);
    expect(await run('HELLO 3 AUTH default no')).toBe(WRONG_PASSWORD);
    expect(await run('HELLO 3 AUTH default pw SETNAME me', 'CLIENT GETNAME')).toBe(`${helloReply(3, 2)}$2\r\nme\r\n`);
  });
});

test('RESET puts back database, protocol, name, replies and authentication', async () => {
  clients.limits.requirePass = 'pw';
  ({ session, transport } = MemoryTransport.open(clients));
  await run('AUTH pw', 'HELLO 3 SETNAME me', 'SELECT 3', 'CLIENT REPLY OFF');
  expect(await run('RESET')).toBe('+RESET\r\n');
  expect(await run('PING')).toBe('-NOAUTH Authentication required.\r\n');
  expect(await run('AUTH pw', 'CLIENT GETNAME')).toBe('+OK\r\n$-1\r\n');
  expect(session.db).toBe(0);
  expect(session.protocol).toBe(2);
});

test('SELECT holds for the commands behind it and for later batches', async () => {
  await run('SELECT 3');
  expect(session.db).toBe(3);
  await run('PING');
  expect(executor.call.db).toBe(3);
});

describe('CLIENT REPLY', () => {
  test.each<[string[], string]>([
    [['CLIENT REPLY OFF', 'PING', 'CLIENT REPLY ON'], '+OK\r\n'],
    [['CLIENT REPLY OFF', 'PING'], ''],
    [['CLIENT REPLY SKIP', 'PING', 'PING'], '+PONG\r\n'],
    [['CLIENT REPLY SKIP', 'NOSUCH', 'PING'], '+PONG\r\n'],
    [['CLIENT REPLY SKIP', 'CLIENT REPLY ON', 'PING'], '+OK\r\n+PONG\r\n'],
    [['CLIENT REPLY OFF', 'CLIENT REPLY SKIP', 'PING', 'PING'], ''],
    [['CLIENT REPLY off', 'CLIENT FOO', 'PING', 'CLIENT REPLY on'], '+OK\r\n'],
  ])('%j', async (commands, reply) => expect(await run(...commands)).toBe(reply));

  test('holds across batches', async () => {
    await run('CLIENT REPLY SKIP');
    expect(await run('PING', 'PING')).toBe('+PONG\r\n');
    await run('CLIENT REPLY OFF');
    expect(await run('PING')).toBe('');
    expect(await run('CLIENT REPLY ON')).toBe('+OK\r\n');
  });
});

describe('CLIENT LIST and INFO', () => {
  const FIELDS =
    'id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll omem ' +
    'tot-mem events cmd user redir resp';

  test('have the fields of Redis 7.0, in its order', async () => {
    const reply = await run('CLIENT INFO');
    expect(reply).toMatch(/^\$\d+\r\nid=1 addr=127\.0\.0\.1:50000 laddr=127\.0\.0\.1:6379 fd=7 name= .*\n\r\n$/);
    const line = reply.split('\r\n')[1].trim();
    expect(line.split(' ').map((field) => field.split('=')[0])).toEqual(FIELDS.split(' '));
    expect(line).toContain(' qbuf=26 ');
    expect(line).toContain(' argv-mem=10 ');
    expect(line).toContain(' cmd=client|info user=default redir=-1 resp=2');
  });

  test('show what a session has set', async () => {
    await run(
      'SELECT 3',
      'CLIENT SETNAME me',
      'CLIENT SETINFO lib-name lib',
      'CLIENT SETINFO lib-ver 1',
      'CLIENT NO-EVICT ON',
    );
    const other = MemoryTransport.open(clients);
    send(session, '*1\r\n$4\r\nPI');
    const reply = await runAs(other, 'CLIENT LIST');
    expect(reply.split('\n').filter((line) => line.startsWith('id=')).length).toBe(2);
    expect(reply).toMatch(
      /id=1 .*name=me .*flags=e db=3 .*qbuf=10 .*cmd=client\|no-evict .*resp=2 lib-name=lib lib-ver=1\n/,
    );
  });

  test('by id, and in RESP3 as verbatim text', async () => {
    expect(await run('CLIENT LIST ID 1 77 1')).toMatch(/^\$\d+\r\nid=1 [^\n]+\nid=1 [^\n]+\n\r\n$/);
    expect(await run('HELLO 3', 'CLIENT LIST ID 77')).toBe(`${helloReply(3)}=4\r\ntxt:\r\n`);
  });

  test('a client that has run nothing', async () => {
    const other = MemoryTransport.open(clients);
    expect(await run(`CLIENT LIST ID ${other.session.id}`)).toContain(' cmd=NULL ');
  });
});

describe('CLIENT KILL', () => {
  test('by address, the old way, also itself', async () => {
    expect(await run('CLIENT KILL 127.0.0.1:50000', 'PING')).toBe('+OK\r\n');
    expect(transport.closed).toBe('closed');
  });

  test('spares the caller unless told otherwise', async () => {
    const other = MemoryTransport.open(clients);
    expect(await run('CLIENT KILL TYPE normal')).toBe(':1\r\n');
    expect(other.transport.closed).toBe('destroyed');
    expect(transport.closed).toBe('no');
    expect(await run('CLIENT KILL USER default SKIPME no', 'PING')).toBe(':1\r\n');
    expect(transport.closed).toBe('closed');
  });

  test('by id and local address', async () => {
    const other = MemoryTransport.open(clients);
    expect(await run(`CLIENT KILL ID ${other.session.id} LADDR 1.1.1.1:1`)).toBe(':0\r\n');
    expect(await run(`CLIENT KILL ID ${other.session.id} LADDR 127.0.0.1:6379`)).toBe(':1\r\n');
    expect(executor.forgotten).toEqual([other.session.id]);
  });
});

describe('CLIENT PAUSE', () => {
  test('WRITE holds writes back, in order, until UNPAUSE', async () => {
    const other = MemoryTransport.open(clients);
    expect(await run('CLIENT PAUSE 100000 WRITE')).toBe('+OK\r\n');
    expect(await runAs(other, 'GET a', 'SET a 1', 'GET a')).toBe('$-1\r\n');
    expect(clients.postponedCount).toBe(1);
    expect(await run('CLIENT UNPAUSE')).toBe('+OK\r\n');
    await turn();
    expect(other.transport.output).toBe('$-1\r\n+OK\r\n$1\r\n1\r\n');
  });

  test('ALL holds everything back, UNPAUSE too, until its time is over', async () => {
    const startMs = performance.now();
    expect(await run('CLIENT PAUSE 100', 'CLIENT UNPAUSE', 'PING')).toBe('+OK\r\n');
    while (transport.output !== '+OK\r\n+OK\r\n+PONG\r\n') await turn();
    expect(performance.now() - startMs).toBeGreaterThan(90);
  });

  test('is not made shorter or weaker by a second one', async () => {
    await run('CLIENT PAUSE 300 WRITE');
    const startMs = performance.now();
    await run('CLIENT PAUSE 100 ALL');
    await run('PING');
    while (!transport.output.endsWith('+PONG\r\n')) await turn();
    expect(performance.now() - startMs).toBeGreaterThan(250);
  });
});
