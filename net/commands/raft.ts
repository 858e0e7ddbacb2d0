/**
 * RAFT: what operators ask of the group and tell it. STATUS and HASH on any node, the others on the one that leads. Main thread;
 * cold but for HASH, which holds all shards while it goes over every key.
 */
import type { Call } from '../../engine/call.ts';
import { ADMIN, type CommandRow, NOSCRIPT, SCOPE_NONE, STALE } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { ERR } from '../../engine/errors.ts';
import type { Reply } from '../../engine/reply.ts';
import { stateHash } from '../../engine/statehash.ts';
import type { Node } from '../node.ts';
import { AddressError, PEER_PORT_DISTANCE, parseAddress } from '../replica/addresses.ts';
import type { Group } from '../replica/group.ts';
import {
  clientAddressOf,
  isLeaseHeld,
  leaderOf,
  type MemberStatus,
  membersNamed,
  membersOf,
  roleOf,
} from '../replica/status.ts';
import { replyWhen, type WriteReply } from './later.ts';
import { sessionOf } from './names.ts';
import { containerRow, subcommandSyntax } from './subcommands.ts';

/** How long an operator waits for a change of members or of the leader. */
const CHANGE_MS = 10_000;
/** How long HASH waits for an entry. */
const ENTRY_MS = 5000;
const SINCE = '0.1.0';

const HELP = [
  'STATUS',
  '    What this node knows of itself, of the group and of its members.',
  'TRANSFER <id|name>',
  '    Hands leadership to another voter, and waits until it leads.',
  'ADD <name> <host:peerport> [<host:clientport>]',
  '    Expects a node of this name: it becomes a learner, and a voter when it has caught up. The node itself is to be started',
  '    with --join; usually that alone suffices, as it asks to be added.',
  'REMOVE <id|name>',
  '    Takes a node out of the group, and waits until that is so.',
  'HASH [<index>]',
  '    The index of the last entry applied here and a hash of the state it led to, the same on every replica. With an index',
  '    waits until that entry is applied; an error when the state is past it.',
];

const NO_GROUP_TEXT = 'ERR This node is not in a group (initial-cluster, join)';

/** Values of the reply to STATUS: texts as bulk strings, true and false as 1 and 0. */
type Fields = readonly (readonly [name: string, value: string | number | boolean | readonly Fields[]])[];

function writeFields(reply: Reply, fields: Fields): void {
  reply.mapHeader(fields.length);
  for (const [name, value] of fields) {
    reply.bulkString(name);
    if (typeof value === 'string') {
      reply.bulkString(value);
    } else if (typeof value === 'object') {
      reply.arrayHeader(value.length);
      for (const each of value) writeFields(reply, each);
    } else {
      reply.int(Number(value));
    }
  }
}

function memberFields(member: MemberStatus): Fields {
  return [
    ['id', member.id],
    ['name', member.name],
    ['client-address', member.clientAddress],
    ['peer-address', member.peerAddress],
    ['role', member.role],
    ['match', member.match],
    ['next', member.next],
    ['state', member.state],
    ['connected', member.connected],
    ['rtt-ms', member.rttMs.toFixed(3)],
    ['pending-bytes', member.pendingBytes],
    ['last-heard-ms', Math.round(member.lastHeardMs)],
  ];
}

function statusFields(node: Node, group: Group): Fields {
  const { replica, identity } = group;
  const { state } = replica.core;
  const { config, log } = state;
  const leader = leaderOf(group);
  return [
    ['cluster-id', identity.clusterId],
    ['node-id', identity.nodeId],
    ['name', group.name],
    ['replica', identity.replica],
    ['role', roleOf(group)],
    ['term', state.term],
    ['leader', state.leader],
    ['leader-name', leader?.name ?? ''],
    ['leader-address', clientAddressOf(leader)],
    ['commit', state.commit],
    ['applied', replica.applier.appliedIndex],
    ['last-index', log.lastIndex],
    ['first-index', log.baseIndex + 1],
    ['voters', config.voters.join(' ')],
    ['outgoing', config.outgoing.join(' ')],
    ['learners', config.learners.join(' ')],
    ['log', node.config.get('appendonly') ? 'disk' : 'memory'],
    ['log-bytes', group.logBytes],
    ['lease', isLeaseHeld(group)],
    ['elections', replica.elections],
    ['members', membersOf(group).map(memberFields)],
  ];
}

export function raftRow(node: Node): CommandRow {
  /** The group, or undefined after an error. */
  function groupOf(call: Call): Group | undefined {
    const { group } = node.persistence;
    if (group === undefined) call.reply.error(NO_GROUP_TEXT);
    return group;
  }

  /** The group if this node leads it, or undefined after an error that says who does. */
  function ledGroup(call: Call): Group | undefined {
    const group = groupOf(call);
    if (group === undefined || group.replica.isLeader) return group;
    call.reply.error(notLeader(group));
    return undefined;
  }

  /** The one member that argument i names, or undefined after an error. */
  function memberAt(call: Call, i: number, group: Group): MemberStatus | undefined {
    const found = membersNamed(group, call.str(i));
    if (found.length === 1) return found[0];
    call.reply.error(
      found.length === 0
        ? `ERR There is no member '${call.shown(i)}'`
        : `ERR Several members are called so: ${found.map(({ id }) => id).join(' ')}; say which by its id`,
    );
    return undefined;
  }

  function status(call: Call): void {
    const group = groupOf(call);
    if (group !== undefined) writeFields(call.reply, statusFields(node, group));
  }

  function transfer(call: Call): void {
    const group = ledGroup(call);
    const target = group === undefined ? undefined : memberAt(call, 2, group);
    if (group === undefined || target === undefined) return;
    const { replica } = group;
    const { state } = replica.core;
    if (target.id === state.id) return call.reply.ok();
    if (target.role !== 'voter') return call.reply.error(`ERR ${target.name} is no voter, so it cannot lead`);
    const { term } = state;
    replica.core.transferTo(target.id);
    replica.drive();
    const failed = (): WriteReply => (reply) => reply.error(`ERR ${target.name} did not take over in time`);
    const look = (): WriteReply | undefined => {
      if (state.leader === target.id) return (reply) => reply.ok();
      if (replica.isLeader && state.transferee === target.id) return undefined;
      if (replica.isLeader || (state.leader !== 0 && state.term > term)) return failed();
      return undefined;
    };
    replyWhen(node, call, CHANGE_MS, look, failed());
  }

  function add(call: Call): void {
    if (call.argc > 5) return subcommandSyntax(call);
    const group = ledGroup(call);
    if (group?.membership === undefined) return;
    const [nodeName, peerAddress, clientAddress] = [call.str(2), call.str(3), call.argc === 5 ? call.str(4) : ''];
    if (nodeName === '' || /[\s,=]/.test(nodeName)) return call.reply.error('ERR That is no name of a node');
    if (membersNamed(group, nodeName).length > 0) return call.reply.error('ERR A member is called so already');
    let client = clientAddress;
    try {
      const { host, port } = parseAddress(peerAddress);
      if (client === '') client = `${host}:${Math.max(1, port - PEER_PORT_DISTANCE)}`;
      parseAddress(client);
    } catch (error) {
      if (!(error instanceof AddressError)) throw error;
      return call.reply.error(`ERR ${error.message}`);
    }
    const reply = node.dispatcher.defer(sessionOf(call));
    group.membership.add({ nodeId: '', nodeName, peerAddress, clientAddress: client }).then(
      (id) => reply((to) => to.int(id)),
      (error: Error) => reply((to) => to.error(`ERR ${error.message}`)),
    );
  }

  function remove(call: Call): void {
    const group = ledGroup(call);
    const target = group === undefined ? undefined : memberAt(call, 2, group);
    if (group?.membership === undefined || target === undefined) return;
    const { state } = group.replica.core;
    const refusal = group.membership.remove(target.id);
    if (refusal !== '') return call.reply.error(`ERR ${refusal}`);
    replyWhen(
      node,
      call,
      CHANGE_MS,
      () => {
        const { config, configs, commit } = state;
        const isDone = !config.members.includes(target.id) && configs.currentIndex <= commit;
        return isDone ? (reply) => reply.ok() : undefined;
      },
      (reply) => reply.error('ERR The change is not finished yet, and may be undone by the next leader'),
    );
  }

  function hash(call: Call): void {
    if (call.argc > 3) return subcommandSyntax(call);
    const group = groupOf(call);
    if (group === undefined) return;
    const { applier } = group.replica;
    let wanted = -1;
    if (call.argc === 3) {
      if (!call.long(2) || call.num < 0) return call.reply.error(ERR.NOT_INTEGER);
      wanted = call.num;
    }
    const isPast = (): boolean => wanted >= 0 && applier.appliedIndex > wanted;
    const past: WriteReply = (reply) => reply.error(`ERR The state is that of entry ${applier.appliedIndex} already`);
    let taken: WriteReply | undefined;
    let isAsked = false;
    const look = (): WriteReply | undefined => {
      if (isPast()) return past;
      if (!isAsked && applier.appliedIndex >= wanted) {
        isAsked = true;
        void node.dispatcher.exclusively(() => {
          const text = isPast() ? '' : `${applier.appliedIndex} ${hashOf(node, group)}`;
          taken = text === '' ? past : (reply) => reply.bulkString(text);
        });
      }
      return taken;
    };
    replyWhen(node, call, wanted < 0 ? 0 : ENTRY_MS, look, (reply) =>
      reply.error(`ERR Entry ${wanted} did not come; the state is that of entry ${applier.appliedIndex}`),
    );
  }

  const row = rowMaker('server', [], SCOPE_NONE);
  const flags = ADMIN | NOSCRIPT | STALE;
  const perKey = 'O(N) where N is the number of elements in all keys';
  return containerRow('raft', SINCE, 'A container for commands about the group of replicas', SINCE, HELP, [
    row('raft|add', -4, flags, NO_KEYS, SINCE, 'O(1)', 'Makes a node a member that is still to come', add),
    row('raft|hash', -2, flags, NO_KEYS, SINCE, perKey, 'Tells a hash of the state', hash),
    row('raft|remove', 3, flags, NO_KEYS, SINCE, 'O(1)', 'Takes a node out of the group', remove),
    row('raft|status', 2, flags, NO_KEYS, SINCE, 'O(1)', 'Tells the state of the group as seen here', status),
    row('raft|transfer', 3, flags, NO_KEYS, SINCE, 'O(1)', 'Hands leadership to another node', transfer),
  ]);
}

function notLeader(group: Group): string {
  const leader = leaderOf(group);
  if (leader === undefined) return 'NOTLEADER This node does not lead, and does not know who does';
  return `NOTLEADER ${leader.name} leads, at ${clientAddressOf(leader)}`;
}

/** All that replicas must have alike: the keys, and what is remembered of ONCE. Under all locks. */
function hashOf(node: Node, group: Group): string {
  return `${stateHash(node.shards, group.replica.applier.nowMs)}${group.state.once.hash()}`;
}
