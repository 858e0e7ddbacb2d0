/**
 * How a node becomes a replica: as one of the first, or by asking a leader to make it a member; and what a leader answers. Main
 * thread; the asking comes before the node has a replica.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Member } from '../../engine/raft/roster.ts';
import type { Identity } from '../../engine/raft/storage.ts';
import {
  JOIN,
  JOIN_DONE,
  JOIN_LATER,
  JOIN_NOT_LEADER,
  JOIN_REFUSED,
  JOIN_REPLY,
  type Join,
  type JoinReply,
} from '../../proto/messages.ts';
import type { Logger } from '../log.ts';
import { Peers } from '../peer/peers.ts';
import { type Address, clusterIdOf, formatAddress, PEER_PORT_DISTANCE, parseAddresses } from './addresses.ts';
import type { Started } from './group.ts';
import { JoinRefused } from './membership.ts';
import type { Replica } from './replica.ts';
import type { Self } from './self.ts';
import type { GroupState } from './state.ts';

/** So long it is waited for those who may know of a former life. */
const LOOK_MS = 1000;
/** Between two tries to join. */
const JOIN_RETRY_MS = 300;
/** A node that has lost what it promised asks for so long before it tells its operator that it may do so for ever. */
const EXPLAIN_MS = 10_000;
const BEGIN_ANEW =
  'stop all nodes, give all of them empty directories (keep the old ones as long as a snapshot in them may be of use), and start ' +
  'them again with --initial-cluster: that begins a new group, without data';
const SILENT_TEXT =
  'No member of the group answers. Members that are only away are to be started: then this node joins by itself, and nothing is ' +
  'lost. But if all members with a log in memory were stopped at the same time, or had their directories emptied, the group and its ' +
  `data are gone, and none of them will ever be taken in. Nothing is done about it by itself. If that is so: ${BEGIN_ANEW}`;
const LEADERLESS_TEXT =
  'Members of the group answer, but none leads, so none can take this node in. Voters that are only away are to be started. But if ' +
  'at least half of the voters have lost their logs, as this one has, the group can elect no leader any more. What the members that ' +
  'are left hold can still be read there (READ stale ...); nothing is done about it by itself. If that is so, copy it, then ' +
  `${BEGIN_ANEW}`;

export class Joining {
  private readonly self: Self;
  private readonly state: GroupState;
  private readonly log: Logger;

  constructor(self: Self, state: GroupState, log: Logger) {
    this.self = self;
    this.state = state;
    this.log = log;
  }

  /** Who the node is from now on, and the members that it knows of. */
  async begin(): Promise<Identity> {
    const { self } = this;
    const nodeId = randomBytes(16).toString('hex');
    if (self.joins) return this.ask(nodeId, self.hosts, false);
    const at = self.initial.findIndex(({ name }) => name === self.name);
    if (at < 0) throw new Error(`--name ${self.name} is not among the names of --initial-cluster`);
    self.placeFirstMembers(this.state.roster);
    return { clusterId: clusterIdOf(self.initial), nodeId, replica: at + 1 };
  }

  /**
   * Whether a member knows this replica as another node, so that the directory it had is gone: to be asked where this one is empty.
   * False where nobody says so within LOOK_MS.
   */
  async isReplaced({ nodeId, replica }: Identity): Promise<boolean> {
    const { self } = this;
    const request = { type: JOIN, nodeId, nodeName: self.name, peerAddress: '', clientAddress: '' } as const;
    const others = self.initial.filter(({ name }) => name !== self.name);
    const late = sleep(LOOK_MS, [], { ref: false });
    const ask = async (other: Address): Promise<JoinReply['members']> => {
      const reply = await Peers.askToJoin(other, request, self.secret, self.tls).catch(() => undefined);
      return reply?.members ?? [];
    };
    const answers = await Promise.all(others.map((other) => Promise.race([ask(other), late])));
    return answers.flat().some((m) => m.replica === replica && m.nodeId !== '' && m.nodeId !== nodeId);
  }

  /** The same node under a new id, since it cannot keep what it promised under the old one. */
  rejoin(identity: Identity): Promise<Identity> {
    const { self } = this;
    const known = this.state.roster.all().filter(({ replica }) => replica !== identity.replica);
    const addresses: Address[] = [
      ...known.map(({ host, peerPort }) => ({ host, port: peerPort })),
      ...self.initial.filter(({ name }) => name !== self.name),
      ...self.hosts,
    ];
    return this.ask(identity.nodeId, addresses, true);
  }

  /** Asks one after the other, again and again, until a leader makes this node a member. */
  private async ask(nodeId: string, addresses: readonly Address[], isLost: boolean): Promise<Identity> {
    const { self, state, log } = this;
    const request: Join = {
      type: JOIN,
      nodeId,
      nodeName: self.name,
      peerAddress: formatAddress({ host: self.host, port: self.peerPort }),
      clientAddress: formatAddress({ host: self.host, port: self.clientPort }),
    };
    const targets = addresses.flatMap(({ host, port }) => [
      { host, port: port + PEER_PORT_DISTANCE },
      { host, port },
    ]);
    let told = '';
    let trouble = '';
    let troubledMs = 0;
    let hasExplained = !isLost;
    for (let turn = 0; ; turn++) {
      let found = SILENT_TEXT;
      for (const target of targets) {
        if (target.port > 65535) continue;
        const reply = await Peers.askToJoin(target, request, self.secret, self.tls).catch(
          (error: Error): JoinReply | string => error.message,
        );
        if (typeof reply === 'string') {
          told = reply;
        } else if (reply.status === JOIN_DONE) {
          state.begin(reply.members.map(fromWire));
          return { clusterId: reply.clusterId, nodeId, replica: reply.replica };
        } else if (reply.status === JOIN_NOT_LEADER || reply.status === JOIN_LATER) {
          told = reply.text;
          found = reply.status === JOIN_LATER || reply.leader !== '' ? '' : LEADERLESS_TEXT;
          if (reply.leader !== '') targets.unshift(...parseAddresses(reply.leader));
          break;
        } else {
          throw new Error(`the group does not take this node: ${reply.text}`);
        }
      }
      targets.splice(8);
      if (turn % 10 === 0) log.write('notice', `Asking to join: ${told}`);
      const nowMs = performance.now();
      if (found !== trouble) {
        trouble = found;
        troubledMs = nowMs;
      } else if (trouble !== '' && !hasExplained && nowMs - troubledMs >= EXPLAIN_MS) {
        log.write('warning', trouble);
        hasExplained = true;
      }
      await sleep(JOIN_RETRY_MS);
    }
  }
}

/** What a member answers to a node that asks; only who leads can take it in. */
export async function answerJoin(request: Join, { replica, membership, peers, identity }: Started): Promise<JoinReply> {
  const { clusterId } = identity;
  const reply = (status: number, text: string, id = 0): JoinReply => ({
    type: JOIN_REPLY,
    status,
    replica: id,
    text,
    clusterId,
    leader: leaderAddress(replica),
    members: replica.state.roster.all().map((member) => {
      const { replica: id, nodeId } = member;
      return toWire({ ...member, nodeId: nodeId === '' && id !== identity.replica ? peers.nodeOf(id) : nodeId });
    }),
  });
  if (request.peerAddress === '') return reply(JOIN_LATER, 'only the members were asked for');
  if (!replica.isLeader) return reply(JOIN_NOT_LEADER, 'this node does not lead');
  try {
    const id = await membership.add(request);
    return reply(JOIN_DONE, '', id);
  } catch (error) {
    return reply(error instanceof JoinRefused ? JOIN_REFUSED : JOIN_LATER, (error as Error).message);
  }
}

function leaderAddress({ core, state }: Replica): string {
  const leader = state.roster.get(core.state.leader);
  return leader === undefined ? '' : formatAddress({ host: leader.host, port: leader.peerPort });
}

function toWire({ replica, nodeId, name, host, peerPort, clientPort }: Member): JoinReply['members'][number] {
  return {
    replica,
    nodeId,
    nodeName: name,
    peerAddress: formatAddress({ host, port: peerPort }),
    clientAddress: formatAddress({ host, port: clientPort }),
  };
}

function fromWire({ replica, nodeId, nodeName, peerAddress, clientAddress }: JoinReply['members'][number]): Member {
  const peer = parseAddresses(peerAddress)[0];
  const clientPort = Number(/:(\d+)$/.exec(clientAddress)?.[1] ?? 0);
  return { replica, nodeId, name: nodeName, host: peer.host, peerPort: peer.port, clientPort };
}
