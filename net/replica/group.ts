/**
 * A node as a member of a group, put together: who it is and where the others are, its storage, its peers, its replica; how it
 * joins, how snapshots come and go, how members change. Main thread; one per node.
 *
 * A node that has lost what it promised (its log was in memory, or its directory is new) does not take part under its old id.
 * It asks to join under a new one, as a learner; the leader makes it a voter in place of the old one when it has caught up.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { COUNTER_NEXT_EXPIRY } from '../../engine/arena.ts';
import { realDisk } from '../../engine/log/realdisk.ts';
import { Configuration } from '../../engine/raft/config.ts';
import type { LogIndex, ReplicaId, SnapshotMeta } from '../../engine/raft/entry.ts';
import { MemoryStorage } from '../../engine/raft/memorystorage.ts';
import type { Message } from '../../engine/raft/message.ts';
import { DEFAULT_OPTIONS, firstStart } from '../../engine/raft/options.ts';
import type { Member } from '../../engine/raft/roster.ts';
import type { Identity, ReplicaStorage } from '../../engine/raft/storage.ts';
import { statePath } from '../../engine/raft/storestate.ts';
import { Settings } from '../../engine/settings.ts';
import type { SnapshotHeader } from '../../engine/snapshot/file.ts';
import type { BackgroundPool } from '../../engine/snapshot/pool.ts';
import { retain, snapshotName } from '../../engine/snapshot/retain.ts';
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
import type { Config } from '../config.ts';
import type { Dispatcher } from '../dispatch.ts';
import type { Logger } from '../log.ts';
import { Peers } from '../peer/peers.ts';
import { openRaftStorage } from '../raftstorage.ts';
import type { Loaded, Recovery } from '../recovery.ts';
import type { GroupSnapshots, Saving } from '../saving.ts';
import type { Covered } from '../snapshotter.ts';
import type { WorkerPool } from '../workers.ts';
import {
  type Address,
  clusterIdOf,
  formatAddress,
  type NamedAddress,
  parseAddresses,
  parseCluster,
} from './addresses.ts';
import { JoinRefused, Membership } from './membership.ts';
import { Replica, TICK_MS } from './replica.ts';
import { GroupState, memberWords } from './state.ts';
import { membersOf } from './status.ts';

const GROUP = 0;
/** A node's port for peers is so far from that for clients, unless it is said to be another. */
export const PEER_PORT_DISTANCE = 10_000;
/** Between two tries to join. */
const JOIN_RETRY_MS = 300;
/** How often a node looks whether the roster says of it what is so. */
const INTRODUCE_MS = 300;
/** A lease in ticks is so much of the election timeout. */
const LEASE_PART = 0.75;
const LATE_SNAPSHOT_RETRY_MS = 1000;
/** How often it is looked whether another leads. */
const HAND_OVER_LOOK_MS = 10;
const USUAL = new Settings();
/** Settings that writes depend on. */
export const SAME_EVERYWHERE = [
  'databases',
  'proto-max-bulk-len',
  'stream-node-max-bytes',
  'stream-node-max-entries',
] as const;

export interface GroupParts {
  config: Config;
  dispatcher: Dispatcher;
  workers: WorkerPool;
  log: Logger;
  pool: BackgroundPool;
  saving: Saving;
  die: (text: string) => void;
  /** The log cannot be written, for this reason; '': it can again. */
  troubled: (text: string) => void;
}

export function isReplicated(config: Config): boolean {
  return config.get('initial-cluster') !== '' || config.get('join') !== '';
}

export class Group implements GroupSnapshots {
  readonly state = new GroupState();
  logBytes = 0;
  private readonly parts: GroupParts;
  private readonly initial: readonly NamedAddress[];
  /** What this node is called. */
  readonly name: string;
  private storage!: ReplicaStorage & { setPolicy?(policy: string): void };
  private started: { replica: Replica; peers: Peers; identity: Identity; membership: Membership } | undefined =
    undefined;
  private recovery!: Recovery;
  private directory = '';
  /** The newest native snapshot of this node. */
  private newest: { path: string; meta: SnapshotMeta } | undefined = undefined;
  /** Members that wait for a snapshot newer than that. */
  private readonly snapshotsWanted = new Map<ReplicaId, LogIndex>();
  /** The snapshot that is to replace the state, while one does. */
  private wanted: SnapshotMeta | undefined = undefined;
  private introducer: NodeJS.Timeout | undefined = undefined;

  constructor(parts: GroupParts) {
    this.parts = parts;
    const { config } = parts;
    this.initial = parseCluster(config.get('initial-cluster'));
    this.name = config.get('name') || `${config.get('bind')[0]}:${config.get('port')}`;
  }

  get replica(): Replica {
    if (this.started === undefined) throw new Error('group: it has not started');
    return this.started.replica;
  }

  get peers(): Peers | undefined {
    return this.started?.peers;
  }

  get membership(): Membership | undefined {
    return this.started?.membership;
  }

  get hasStarted(): boolean {
    return this.started !== undefined;
  }

  /** Who this node is, once it has started. */
  get identity(): Identity {
    if (this.started === undefined) throw new Error('group: it has not started');
    return this.started.identity;
  }

  /** While this node leads, writes get this error; '' for none. It tries not to lead for long. */
  refuseWrites(text: string): void {
    if (this.started === undefined) return;
    this.replica.front.trouble = text;
    this.yieldLead();
  }

  /** Hands over to the voter that has the most, as long as the log cannot be written here. */
  private yieldLead(): void {
    const { replica, peers } = this.started!;
    const { state } = replica.core;
    if (replica.front.trouble === '' || !replica.isLeader || state.transferee !== 0) return;
    const connected = new Set(peers.status().map((peer) => (peer.connected ? peer.replica : 0)));
    let best: ReplicaId = 0;
    for (const { id, match } of state.peers.list) {
      if (id === state.id || !connected.has(id) || !state.config.voters.includes(id)) continue;
      if (best === 0 || match > state.peers.find(best)!.match) best = id;
    }
    if (best === 0) return;
    replica.core.transferTo(best);
    replica.drive();
  }

  // ---------------------------------------------------------------- start

  /** Opens what the directory holds, or joins, and begins to take part. Rejects with what an operator should read. */
  async open(recovery: Recovery, directory: string, logDirectory: string): Promise<Loaded> {
    const { config, dispatcher, workers, log, die } = this.parts;
    this.recovery = recovery;
    this.directory = directory;
    for (const name of SAME_EVERYWHERE) {
      if (config.settings.get(name) !== USUAL.get(name))
        throw new Error(`${name} cannot be changed on a replica: what writes do depends on it`);
    }
    if (!isReplicaDirectory(logDirectory)) refuseForeign(directory, logDirectory, config.get('dbfilename'));
    mkdirSync(logDirectory, { recursive: true });
    this.storage = await this.openStorage(logDirectory);
    this.storage.onTrouble = this.parts.troubled;
    const known = this.storage.identity;
    let loaded: Loaded = { index: 0, lastMs: 0, keys: 0, expiredKeys: 0, fromRdb: false };
    let identity: Identity;
    let base: SnapshotMeta = firstStart().snapshot;
    if (known === undefined) {
      const begun = await this.begin();
      identity = begun.identity;
      base = firstStart(begun.config).snapshot;
    } else {
      identity = known;
      this.placeFirstMembers();
      // A snapshot whose name may not be durable yet is not relied on before it is.
      realDisk.syncDirectory(directory);
      const newest = await recovery.loadNewest(directory);
      if (newest?.snapshot !== undefined) {
        loaded = newest;
        const { header, path } = newest.snapshot;
        const { index, term } = header.groups[0];
        const meta = this.state.decode(header.config, index, term);
        this.newest = { path, meta };
        base = meta;
      } else {
        base = firstStart(this.firstConfiguration()).snapshot;
      }
    }
    let restored = await this.storage.restore(base);
    if (restored.isLost) {
      log.write(
        'warning',
        'What this replica had promised is lost (its log was in memory): it joins again under a new id',
      );
      identity = await this.rejoin(identity);
      await this.storage.close();
      this.storage = await this.openStorage(logDirectory);
      this.storage.onTrouble = this.parts.troubled;
      await this.storage.begin(identity);
      recovery.clear();
      restored = await this.storage.restore(firstStart().snapshot);
      loaded = { ...loaded, index: 0, keys: 0 };
    }
    const secret = config.get('peer-secret');
    const peers = new Peers(
      {
        clusterId: identity.clusterId,
        nodeId: identity.nodeId,
        nodeName: this.name,
        replica: identity.replica,
        group: GROUP,
        secret,
        tls: this.tls,
        directory: join(directory, 'receiving'),
        pool: this.parts.pool,
        log,
      },
      {
        onMessage: (m) => replica.step(m),
        onTurn: () => replica.drive(),
        onForward: (from, m) => replica.onForward(from, m),
        onForwardReply: (_from, m) => replica.onForwardReply(m),
        onUnreachable: (id) => replica.onUnreachable(id),
        onReachable: () => {},
        onSnapshotReceived: (m, path) => this.received(m, path),
        onSnapshotSent: (id, index) => {
          replica.core.snapshotSent(id, index);
          replica.drive();
        },
        onSnapshotFailed: (id) => {
          replica.core.snapshotFailed(id);
          replica.drive();
        },
        onJoin: (request) => this.onJoin(request),
      },
    );
    const electionTicks = Math.max(3, Math.round(config.get('election-timeout') / TICK_MS));
    const replica: Replica = new Replica(
      {
        ...DEFAULT_OPTIONS,
        group: GROUP,
        id: identity.replica,
        seed: randomInt(2 ** 31),
        incarnation: this.storage.incarnation,
        electionTicks,
        heartbeatTicks: 1,
        leaseTicks: config.get('leader-lease') ? Math.floor(electionTicks * LEASE_PART) : 0,
        stallTicks: electionTicks * 10,
      },
      restored,
      this.storage,
      peers,
      dispatcher,
      workers.clock,
      this.state,
      {
        onLeader: (leader) => this.onLeader(leader),
        onSnapshotWanted: (id, atLeast) => this.sendSnapshot(id, atLeast),
        onInstall: (meta) => void this.install(meta),
        onFull: (index) =>
          die(
            `entry ${index} of the group's log needs more memory than a shard has left here, and other replicas may have had it: ` +
              'start this node again with a larger arena-size',
          ),
        onEntries: (bytes) => {
          this.logBytes += bytes;
        },
        nextExpiryMs: () => this.nextExpiryMs(),
      },
    );
    replica.applier.nowMs = loaded.lastMs;
    const membership = new Membership(replica, this.state, log);
    this.started = { replica, peers, identity, membership };
    this.state.onRoster = () => this.followRoster();
    dispatcher.replication = replica;
    dispatcher.writes.proposals = replica.proposals;
    this.parts.saving.group = this;
    await peers.listen(this.peerHost, this.peerPort);
    this.followRoster();
    replica.start();
    this.introducer = setInterval(() => this.introduce(), INTRODUCE_MS);
    const { voters, learners } = replica.core.state.config;
    log.write(
      'notice',
      `Replica ${identity.replica} of cluster ${identity.clusterId}, peers on port ${this.peerPort}; voters ${voters.join(' ') || 'not known yet'}${learners.length > 0 ? `, learners ${learners.join(' ')}` : ''}`,
    );
    return loaded;
  }

  private async openStorage(logDirectory: string): Promise<ReplicaStorage> {
    const { config, die } = this.parts;
    if (!config.get('appendonly')) return new MemoryStorage(realDisk, logDirectory);
    return openRaftStorage(logDirectory, config.get('appendfsync'), die);
  }

  /** Members as they begin, replica i + 1 being the node at place i of the list. */
  private firstConfiguration(): Configuration | undefined {
    const ids = this.initial.map((_, i) => i + 1);
    return ids.length === 0 ? undefined : new Configuration(ids, [], [], ids.length);
  }

  private async begin(): Promise<{ identity: Identity; config: Configuration | undefined }> {
    const at = this.initial.findIndex(({ name }) => name === this.name);
    const nodeId = randomBytes(16).toString('hex');
    let identity: Identity;
    let config: Configuration | undefined;
    if (this.parts.config.get('join') !== '') {
      identity = await this.askToJoin(nodeId, parseAddresses(this.parts.config.get('join')));
    } else {
      if (at < 0) throw new Error(`--name ${this.name} is not among the names of --initial-cluster`);
      identity = { clusterId: clusterIdOf(this.initial), nodeId, replica: at + 1 };
      config = this.firstConfiguration();
      this.placeFirstMembers();
    }
    await this.storage.begin(identity);
    return { identity, config };
  }

  /** Where the first members are, as the command line says, until they introduce themselves in the log. */
  private placeFirstMembers(): void {
    this.initial.forEach(({ name, host, port }, i) => {
      const clientPort = Math.max(0, port - PEER_PORT_DISTANCE);
      this.state.roster.set({ replica: i + 1, nodeId: '', name, host, peerPort: port, clientPort });
    });
  }

  private async rejoin(identity: Identity): Promise<Identity> {
    const known = this.state.roster.all().filter(({ replica }) => replica !== identity.replica);
    const addresses: Address[] = [
      ...known.map(({ host, peerPort }) => ({ host, port: peerPort })),
      ...this.initial.filter(({ name }) => name !== this.name),
      ...parseAddresses(this.parts.config.get('join')),
    ];
    return this.askToJoin(identity.nodeId, addresses);
  }

  /** Asks one after the other, again and again, until a leader makes this node a member. */
  private async askToJoin(nodeId: string, addresses: readonly Address[]): Promise<Identity> {
    const { config, log } = this.parts;
    const request: Join = {
      type: JOIN,
      nodeId,
      nodeName: this.name,
      peerAddress: formatAddress({ host: this.ownHost, port: this.peerPort }),
      clientAddress: formatAddress({ host: this.ownHost, port: config.get('port') }),
    };
    const targets = addresses.flatMap(({ host, port }) => [
      { host, port: port + PEER_PORT_DISTANCE },
      { host, port },
    ]);
    let told = '';
    for (let turn = 0; ; turn++) {
      for (const target of targets) {
        if (target.port > 65535) continue;
        const reply = await Peers.askToJoin(target, request, config.get('peer-secret'), this.tls).catch(
          (error: Error): JoinReply | string => error.message,
        );
        if (typeof reply === 'string') {
          told = reply;
        } else if (reply.status === JOIN_DONE) {
          for (const member of reply.members) this.state.roster.set(fromWire(member));
          return { clusterId: reply.clusterId, nodeId, replica: reply.replica };
        } else if (reply.status === JOIN_NOT_LEADER || reply.status === JOIN_LATER) {
          told = reply.text;
          if (reply.leader !== '') targets.unshift(...parseAddresses(reply.leader));
          break;
        } else {
          throw new Error(`the group does not take this node: ${reply.text}`);
        }
      }
      targets.splice(8);
      if (turn % 10 === 0) log.write('notice', `Asking to join: ${told}`);
      await sleep(JOIN_RETRY_MS);
    }
  }

  private get tls() {
    const { config } = this.parts;
    const cert = config.get('peer-tls-cert');
    return cert === '' ? undefined : { cert, key: config.get('peer-tls-key'), ca: config.get('peer-tls-ca') };
  }

  private get own(): NamedAddress | undefined {
    return this.initial.find(({ name }) => name === this.name);
  }

  private get ownHost(): string {
    return this.own?.host ?? this.parts.config.get('bind')[0].replace(/^-/, '');
  }

  private get peerHost(): string {
    return this.parts.config.get('peer-bind') || this.ownHost;
  }

  private get peerPort(): number {
    const { config } = this.parts;
    return this.own?.port ?? (config.get('peer-port') || config.get('port') + PEER_PORT_DISTANCE);
  }

  // ---------------------------------------------------------------- members

  private followRoster(): void {
    const { peers } = this;
    if (peers === undefined) return;
    const members = this.state.roster.all();
    peers.setMembers(members.map(({ replica, name, host, peerPort }) => ({ replica, name, host, port: peerPort })));
  }

  /** Sees to it that the roster says of this node what is so. */
  private introduce(): void {
    const { replica, identity } = this.started!;
    this.yieldLead();
    const { state } = replica.core;
    if (state.leader === 0 || !state.config.members.includes(identity.replica)) return;
    const own: Member = {
      replica: identity.replica,
      nodeId: identity.nodeId,
      name: this.name,
      host: this.ownHost,
      peerPort: this.peerPort,
      clientPort: this.parts.config.get('port'),
    };
    const there = this.state.roster.get(own.replica);
    if (replica.applier.isBehind || (there !== undefined && memberWords(there).join() === memberWords(own).join()))
      return;
    replica.introduce(memberWords(own));
  }

  private async onJoin(request: Join): Promise<JoinReply> {
    const { replica, identity, membership } = this.started!;
    const reply = (status: number, text: string, id = 0): JoinReply => ({
      type: JOIN_REPLY,
      status,
      replica: id,
      text,
      clusterId: identity.clusterId,
      leader: this.leaderAddress,
      members: this.state.roster.all().map(toWire),
    });
    if (!replica.isLeader) return reply(JOIN_NOT_LEADER, 'this node does not lead');
    try {
      const id = await membership.add(request);
      return reply(JOIN_DONE, '', id);
    } catch (error) {
      return reply(error instanceof JoinRefused ? JOIN_REFUSED : JOIN_LATER, (error as Error).message);
    }
  }

  private get leaderAddress(): string {
    const leader = this.state.roster.get(this.replica.core.state.leader);
    return leader === undefined ? '' : formatAddress({ host: leader.host, port: leader.peerPort });
  }

  private onLeader(leader: ReplicaId): void {
    const { log } = this.parts;
    const { term } = this.replica.core.state;
    if (leader !== 0) {
      const name = this.state.roster.get(leader)?.name ?? '';
      log.write(
        'notice',
        `Term ${term}: ${leader === this.replica.id ? 'this node leads' : `${name} (${leader}) leads`}`,
      );
    }
    if (leader !== this.replica.id) {
      this.peers?.stopSnapshots();
      this.snapshotsWanted.clear();
    }
  }

  private nextExpiryMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { f64 } of this.parts.dispatcher.call.shards.arenas) next = Math.min(next, f64[COUNTER_NEXT_EXPIRY]);
    return next;
  }

  // ---------------------------------------------------------------- snapshots

  cover(): Covered {
    const { core, applier } = this.replica;
    const meta = core.snapshotAt(applier.appliedIndex);
    return { index: meta.index, timeMs: applier.nowMs, term: meta.term, config: this.state.encode(meta) };
  }

  published(path: string, covered: Covered): void {
    const { core } = this.replica;
    const meta = core.snapshotAt(covered.index);
    this.newest = { path, meta };
    this.logBytes = 0;
    core.compact(covered.index);
    this.storage.compact(covered.index);
    for (const [replica, atLeast] of [...this.snapshotsWanted]) {
      this.snapshotsWanted.delete(replica);
      this.sendSnapshot(replica, atLeast);
    }
  }

  private sendSnapshot(to: ReplicaId, atLeast: LogIndex): void {
    const { replica } = this;
    if (this.newest !== undefined && this.newest.meta.index >= atLeast) {
      this.peers!.sendSnapshot(to, replica.core.state.term, this.newest.meta, this.newest.path);
      return;
    }
    this.snapshotsWanted.set(to, atLeast);
    const { saving, log } = this.parts;
    saving.begin('rewrite', true);
    void saving.finished('rewrite').then((error) => {
      if (error === '' || !this.snapshotsWanted.delete(to)) return;
      log.write('warning', `No snapshot for replica ${to}: ${error}`);
      setTimeout(() => {
        replica.core.snapshotFailed(to);
        replica.drive();
      }, LATE_SNAPSHOT_RETRY_MS);
    });
  }

  /** A leader's snapshot has arrived whole. It gets its name first, so that it is there when the replica relies on it. */
  private received(m: Message, path: string): void {
    const meta = m.snapshot as SnapshotMeta;
    const { replica } = this;
    if (meta.index <= replica.core.state.commit) {
      realDisk.unlink(path);
      replica.step(m);
    } else {
      const name = join(this.directory, snapshotName([{ group: GROUP, index: meta.index, term: meta.term }]));
      renameSync(path, name);
      realDisk.syncDirectory(this.directory);
      replica.step(m);
      // Of a leader that is none any more.
      if (replica.core.state.commit < meta.index) realDisk.unlink(name);
    }
    replica.drive();
  }

  /** The state is replaced by that of the newest snapshot, which is the one that was received; again, if another comes meanwhile. */
  private async install(meta: SnapshotMeta): Promise<void> {
    const isUnderWay = this.wanted !== undefined;
    this.wanted = meta;
    if (isUnderWay) return;
    const { dispatcher, saving, log, die } = this.parts;
    try {
      while (saving.running !== undefined) await saving.finished(saving.running);
      await dispatcher.exclusive.beginReplacing('LOADING A snapshot of the group is loaded');
      let header = await this.loadReceived();
      while (header.groups[0].index < this.wanted.index) header = await this.loadReceived();
      const { index } = header.groups[0];
      this.wanted = undefined;
      dispatcher.exclusive.endReplacing();
      retain(realDisk, this.directory, 1);
      this.logBytes = 0;
      log.write('notice', `The state is that of a snapshot of entry ${index} now`);
      this.replica.installed(index, header.timeMs);
    } catch (error) {
      die(`a snapshot of the group cannot be loaded: ${(error as Error).message}`);
    }
  }

  private async loadReceived(): Promise<SnapshotHeader> {
    const wanted = this.wanted as SnapshotMeta;
    this.recovery.clear();
    const snapshot = (await this.recovery.loadNewest(this.directory))?.snapshot;
    if (snapshot === undefined || snapshot.header.groups[0].index < wanted.index) {
      throw new Error(`the snapshot of entry ${wanted.index} is not there`);
    }
    const { header, path } = snapshot;
    const [{ index, term }] = header.groups;
    this.newest = { path, meta: this.state.decode(header.config, index, term) };
    return header;
  }

  // ---------------------------------------------------------------- end

  /** Lets somebody else lead, if this node does and one can, within an election timeout; then the gap is short. */
  async handOver(): Promise<void> {
    if (this.started === undefined || !this.replica.isLeader) return;
    const { replica } = this;
    const { state } = replica.core;
    const successor = membersOf(this)
      .filter(({ id, role, connected }) => id !== state.id && role === 'voter' && connected)
      .sort((a, b) => b.match - a.match)[0];
    if (successor === undefined || !replica.transferTo(successor.id)) return;
    const untilMs = performance.now() + this.parts.config.get('election-timeout');
    while ((replica.isLeader || state.leader === 0 || !replica.forwards.isEmpty) && performance.now() < untilMs) {
      await sleep(HAND_OVER_LOOK_MS);
    }
    this.parts.log.write(
      'notice',
      replica.isLeader ? `${successor.name} did not take over` : `${successor.name} takes over`,
    );
  }

  async close(): Promise<void> {
    clearInterval(this.introducer);
    if (this.started === undefined) return;
    this.started.membership.stop();
    this.started.replica.stop();
    this.started.peers.close();
    await this.storage.close();
  }
}

/** Whether a replica has begun in it. */
export function isReplicaDirectory(logDirectory: string): boolean {
  return existsSync(statePath(logDirectory));
}

/** A replica begins with nothing: what a node by itself has left would be hidden, or lost. */
function refuseForeign(directory: string, logDirectory: string, rdbFile: string): void {
  const isLog = existsSync(logDirectory) && readdirSync(logDirectory).some((name) => name.endsWith('.log'));
  const found = readdirSync(directory).find((name) => name === rdbFile || name.endsWith('.mrs'));
  if (!isLog && found === undefined) return;
  throw new Error(
    `the directory has data of a node that was no replica (${found ?? logDirectory}); start a replica in an empty one, and copy the data into the group by its clients`,
  );
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
