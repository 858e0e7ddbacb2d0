/**
 * The commands of clients that know of replicas: ROLE, WAIT, READFENCE, and the prefixes ONCE and READ, whose rows are here and whose work
 * is done before any handler (net/replica/front.ts, net/dispatch.ts). Main thread, no shard. On a node without a group
 * everything a connection reads is the newest there is, so fences hold by themselves, and there is nobody to wait for.
 */
import type { Call } from '../../engine/call.ts';
import {
  type CommandRow,
  FAST,
  LOADING,
  MOVABLE_KEYS,
  NOSCRIPT,
  READONLY,
  SCOPE_KEYS,
  SCOPE_NONE,
  STALE,
  WRITE,
} from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { ERR } from '../../engine/errors.ts';
import type { Node } from '../node.ts';
import { keysBehind, ONCE_WORDS } from '../replica/once.ts';
import { BOUNDED, levelOf } from '../replica/reads.ts';
import { holdersOf, holdersOfAll, isMaster, replicationOf } from '../replica/status.ts';
import { replyWhen } from './later.ts';
import { sessionOf } from './names.ts';

/** As long as the head of a cluster's id that a fence has. */
const NO_CLUSTER = '00000000';
const FENCE = /^([0-9a-f]{8})-(\d{1,10})-(\d{1,16})$/;
const BAD_FENCE_TEXT = 'ERR READFENCE: that is no token of READFENCE';
const WAIT_ELSEWHERE_TEXT = 'ERR WAIT for more replicas than a majority has to be sent to the node that leads';
const OTHER_CLUSTER_TEXT = 'ERR READFENCE: that token is of another cluster';

export function replicaRows(node: Node): CommandRow[] {
  /** Those that hold the connection's last write; it was answered, so it is committed. */
  function wait(call: Call): void {
    if (!call.long(1)) return call.reply.error(ERR.NOT_INTEGER);
    const wanted = call.num;
    if (!call.long(2)) return call.reply.error(ERR.TIMEOUT_NOT_INTEGER);
    if (call.num < 0) return call.reply.error('ERR timeout is negative');
    const { group } = node.persistence;
    if (group === undefined) return call.reply.int(0);
    if (!isMaster(group) && wanted > holdersOfAll(group)) return call.reply.error(WAIT_ELSEWHERE_TEXT);
    const session = sessionOf(call);
    const holders = (): number => holdersOf(group, session.fence);
    replyWhen(
      node,
      call,
      call.num,
      () => {
        const count = holders();
        return count >= wanted ? (reply) => reply.int(count) : undefined;
      },
      (reply) => reply.int(holders()),
    );
  }

  function readFence(call: Call): void {
    const session = sessionOf(call);
    const { group } = node.persistence;
    const cluster = group === undefined ? NO_CLUSTER : group.identity.clusterId.slice(0, NO_CLUSTER.length);
    if (call.argc > 2) return call.reply.error(ERR.SYNTAX);
    if (call.argc === 1) {
      const index = group === undefined ? 0 : Math.max(session.fence, group.replica.applier.appliedIndex);
      return call.reply.bulkString(`${cluster}-${group?.identity.replica ?? 0}-${index}`);
    }
    const parts = FENCE.exec(call.str(1));
    if (parts === null || Number(parts[3]) > Number.MAX_SAFE_INTEGER) return call.reply.error(BAD_FENCE_TEXT);
    if (parts[1] !== cluster) return call.reply.error(OTHER_CLUSTER_TEXT);
    session.settled(Number(parts[3]));
    call.reply.ok();
  }

  function once(call: Call): void {
    call.reply.error('ERR ONCE needs a node of a group (initial-cluster)');
  }

  /** For an argument list that the dispatcher does not take for a prefix. */
  function read(call: Call): void {
    call.reply.error(ERR.SYNTAX);
  }

  function role(call: Call): void {
    const { reply } = call;
    const { group } = node.persistence;
    const { role, replicas, leader, isConnected, offset } = replicationOf(group);
    reply.arrayHeader(role === 'master' ? 3 : 5);
    reply.bulkString(role);
    if (role === 'slave') {
      reply.bulkString(leader?.host ?? '');
      reply.int(leader?.clientPort ?? 0);
      reply.bulkString(isConnected ? 'connected' : 'connect');
      reply.int(offset);
      return;
    }
    reply.int(offset);
    reply.arrayHeader(replicas.length);
    for (const { host, port, offset: match } of replicas) {
      reply.arrayHeader(3);
      reply.bulkString(host);
      reply.bulkString(String(port));
      reply.bulkString(String(match));
    }
  }

  const keyed = rowMaker('generic', [], SCOPE_KEYS);
  const server = rowMaker('server', ['connection'], SCOPE_NONE);
  const generic = rowMaker('generic', ['connection'], SCOPE_NONE);
  const dangerous = rowMaker('server', ['admin', 'dangerous'], SCOPE_NONE);
  const waits = 'Waits until replicas have the writes so far';
  const inner = 'That of the command';
  const always = NOSCRIPT | LOADING | STALE | FAST;
  return [
    dangerous('role', 1, always, NO_KEYS, '2.8.12', 'O(1)', 'Tells the role in replication', role),
    generic('wait', 3, NOSCRIPT, NO_KEYS, '3.0.0', 'O(1)', waits, wait),
    server(
      'readfence',
      -1,
      NOSCRIPT,
      NO_KEYS,
      '0.1.0',
      'O(1)',
      'Carries what was seen to another connection',
      readFence,
    ),
    {
      ...keyed('once', -4, WRITE | MOVABLE_KEYS, NO_KEYS, '0.1.0', inner, 'Runs a write unless it ran before', once),
      keys: (request, out) => keysBehind(request, ONCE_WORDS, node.table, out),
    },
    {
      ...generic('read', -3, READONLY | MOVABLE_KEYS, NO_KEYS, '0.1.0', inner, 'Reads at a level of consistency', read),
      keys: (request, out) => keysBehind(request, levelOf(request, 1) === BOUNDED ? 3 : 2, node.table, out),
    },
  ];
}
