/** The commands about replicas without a group, and what stands behind ONCE and READ: arguments, errors, keys. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Call } from '../../engine/call.ts';
import { CommandTable } from '../../engine/command.ts';
import { engineRows } from '../../engine/commands/index.ts';
import type { Request } from '../../engine/request.ts';
import { Settings } from '../../engine/settings.ts';
import { Shards } from '../../engine/shards.ts';
import { Clients } from '../../net/clients.ts';
import { raftRow } from '../../net/commands/raft.ts';
import { replicaRows } from '../../net/commands/replica.ts';
import type { Node } from '../../net/node.ts';
import { keysBehind, onceRow } from '../../net/replica/once.ts';
import { requestOf } from '../../net/replica/proposals.ts';
import type { Session } from '../../net/session.ts';
import { MapExecutor } from '../support/map-executor.ts';
import { MemoryTransport, request, send, turn } from '../support/memory-transport.ts';

/** A request of words divided by spaces; '' is an empty one. */
function words(text: string): Request {
  return requestOf(text.split(' ').map((word) => (word === "''" ? '' : word)));
}

const node = { persistence: { group: undefined } } as unknown as Node;
const rows = [raftRow(node), ...replicaRows(node)];
const table = new CommandTable([...engineRows, ...rows]);
Object.assign(node, { table });

describe('the command behind ONCE', () => {
  const number = 'ERR ONCE: a sequence number is a whole number from 1 to 2^53 - 1';
  const client = 'ERR ONCE: a client id has 1 to 256 bytes';

  it.each([
    ['once c 1 incr n', 'incr'],
    ['once c 9007199254740991 MSET a 1 b 2', 'mset'],
    [`once ${'x'.repeat(256)} 7 flushall`, 'flushall'],
    ['once c 1 getex n', 'getex'],
  ])('%s', (text, name) => {
    expect(onceRow(words(text), table)).toMatchObject({ name });
  });

  it.each([
    ["once '' 1 incr n", client],
    [`once ${'x'.repeat(257)} 1 incr n`, client],
    ['once c 0 incr n', number],
    ['once c -1 incr n', number],
    ['once c 1.5 incr n', number],
    ['once c 01 incr n', number],
    ['once c x incr n', number],
    ['once c 9007199254740992 incr n', number],
    ['once c 9223372036854775807 incr n', number],
    ['once c 1 get n', 'ERR ONCE takes a command that writes'],
    ['once c 1 readfence', 'ERR ONCE takes a command that writes'],
    ['once c 1 spop s', 'ERR ONCE does not take SPOP'],
    ['once c 1 blpop l 0', 'ERR ONCE does not take BLPOP'],
    ['once c 1 once c 1 incr n', 'ERR ONCE does not take ONCE'],
    ['once c 1 incr', "ERR wrong number of arguments for 'incr' command"],
    ['once c 1 nosuch a', "ERR unknown command 'nosuch', with args beginning with: 'a' "],
    ['once c 1 raft foo', "ERR unknown subcommand 'foo'. Try RAFT HELP."],
  ])('%s', (text, error) => {
    expect(onceRow(words(text), table)).toBe(error);
  });
});

describe('keys behind a prefix', () => {
  it.each([
    ['once c 1 set k v', [4]],
    ['once c 1 mset a 1 b 2', [4, 6]],
    ['once c 1 zunionstore d 2 a b', [4, 6, 7]],
    ['once c 1 flushall', []],
    ['read stale get k', [3]],
    ['read bounded 50 mget a b', [4, 5]],
    ['read linearizable sort x by y', [3]],
    ['once c 1 once c 1 set k v', undefined],
    ['once c 1 nosuch k', undefined],
    ['once c 1 set k', undefined],
    ['read stale read stale get k', undefined],
    ['read bounded 50', undefined],
  ])('%s', (text, expected) => {
    const asked = words(text);
    const found: number[] = [];
    const isFound = table.resolve(asked)!.keys!(asked, found);
    expect(isFound ? found : undefined).toEqual(expected);
  });

  it('leaves the places that are there already', () => {
    const found = [99];
    expect(keysBehind(words('once c 1 del a b'), 3, table, found)).toBe(true);
    expect(found).toEqual([99, 4, 5]);
  });
});

describe('without a group', () => {
  const call = new Call(Shards.create(1, 16 * 1024 * 1024, 16, [1, 2]), new Settings());
  let fences: number[] = [];

  function run(text: string): string {
    const asked = words(text);
    const row = table.resolve(asked)!;
    Object.assign(call, { session: { fence: 0, settled: (index: number) => fences.push(index) } });
    call.buf = asked.buf;
    call.reserveArgs(asked.argc);
    call.argc = asked.argc;
    call.off.set(asked.off.subarray(0, asked.argc));
    call.len.set(asked.len.subarray(0, asked.argc));
    call.begin(row);
    const mark = call.reply.length;
    row.run(call);
    const reply = Buffer.from(call.reply.u8.subarray(mark, call.reply.length)).toString();
    call.reply.rewind(mark);
    return reply;
  }

  beforeEach(() => {
    fences = [];
  });

  it.each([
    ['role', '*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n'],
    ['wait 1 0', ':0\r\n'],
    ['wait x 0', '-ERR value is not an integer or out of range\r\n'],
    ['wait 1 x', '-ERR timeout is not an integer or out of range\r\n'],
    ['wait 1 -1', '-ERR timeout is negative\r\n'],
    ['once c 1 incr n', '-ERR ONCE needs a node of a group (initial-cluster)\r\n'],
    ['read stale', '-ERR syntax error\r\n'],
    ['readfence', '$12\r\n00000000-0-0\r\n'],
    ['readfence 00000000-0-0', '+OK\r\n'],
    ['readfence a b', '-ERR syntax error\r\n'],
    ['readfence 0123abcd-1-5', '-ERR READFENCE: that token is of another cluster\r\n'],
    ['readfence 0000000-1-5', '-ERR READFENCE: that is no token of READFENCE\r\n'],
    ['readfence 00000000-1-9007199254740992', '-ERR READFENCE: that is no token of READFENCE\r\n'],
    ['readfence 00000000-1-', '-ERR READFENCE: that is no token of READFENCE\r\n'],
  ])('%s', (text, expected) => {
    expect(run(text)).toBe(expected);
  });

  it.each(['raft status', 'raft hash', 'raft hash 5', 'raft transfer n1', 'raft remove 1', 'raft add n4 h:1'])(
    '%s is of no use',
    (text) => {
      expect(run(text)).toBe('-ERR This node is not in a group (initial-cluster, join)\r\n');
    },
  );

  it('helps all the same', () => {
    expect(run('raft help')).toContain('--join');
  });
});

describe('CLIENT CONSISTENCY', () => {
  let clients: Clients;
  let session: Session;
  let transport: MemoryTransport;

  beforeEach(() => {
    clients = new Clients(new MapExecutor());
    ({ session, transport } = MemoryTransport.open(clients));
  });

  afterEach(() => clients.close());

  async function run(...commands: string[]): Promise<string> {
    const before = transport.output.length;
    send(session, commands.map((command) => request(...command.split(' '))).join(''));
    await turn();
    return transport.output.slice(before);
  }

  it('is linearizable at first, and after RESET', async () => {
    expect(await run('CLIENT CONSISTENCY')).toBe('$12\r\nlinearizable\r\n');
    await run('client consistency BOUNDED 500');
    expect([session.consistency, session.maxAgeMs]).toEqual([2, 500]);
    expect(await run('CLIENT CONSISTENCY')).toBe('$11\r\nbounded 500\r\n');
    expect(await run('RESET', 'CLIENT CONSISTENCY')).toBe('+RESET\r\n$12\r\nlinearizable\r\n');
    expect([session.consistency, session.maxAgeMs]).toEqual([0, 0]);
  });

  it.each(['linearizable', 'session', 'stale'])('%s', async (level) => {
    await run('CLIENT CONSISTENCY bounded 5');
    expect(await run(`CLIENT CONSISTENCY ${level.toUpperCase()}`, 'CLIENT CONSISTENCY')).toBe(
      `+OK\r\n$${level.length}\r\n${level}\r\n`,
    );
    expect(session.maxAgeMs).toBe(0);
  });

  const syntax = "-ERR unknown subcommand or wrong number of arguments for 'CONSISTENCY'. Try CLIENT HELP.\r\n";

  it.each([
    ['CLIENT CONSISTENCY strong', '-ERR syntax error\r\n'],
    ['CLIENT CONSISTENCY bounded', syntax],
    ['CLIENT CONSISTENCY bounded 5 5', syntax],
    ['CLIENT CONSISTENCY stale 5', syntax],
    ['CLIENT CONSISTENCY bounded x', '-ERR value is out of range, must be positive\r\n'],
    ['CLIENT CONSISTENCY bounded -1', '-ERR value is out of range, must be positive\r\n'],
  ])('%s changes nothing', async (text, error) => {
    await run('CLIENT CONSISTENCY session');
    expect(await run(text)).toBe(error);
    expect(session.consistency).toBe(1);
  });
});
