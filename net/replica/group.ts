/**
 * A node as a member of a group, put together: who it is and where the others are, its storage, its peers, its replica. Main thread;
 * one per node.
 *
 * A node that has lost what it promised (its log was in memory, or its directory is new) does not take part under its old id.
 * It asks to join under a new one, as a learner; the leader makes it a voter in place of the old one when it has caught up.
 *
 * Behind this file: conditions.ts (where a replica can be), self.ts (what the node was told), joining.ts, replica.ts (the replica at
 * work), membership.ts, snapshots.ts, handover.ts, status.ts (what is told of it).
 */
import { randomInt } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { COUNTER_NEXT_EXPIRY } from '../../engine/arena.ts';
import { realDisk } from '../../engine/log/realdisk.ts';
import type { ReplicaId, SnapshotMeta } from '../../engine/raft/entry.ts';
import { MemoryStorage } from '../../engine/raft/memorystorage.ts';
import { DEFAULT_OPTIONS, firstStart, type RaftOptions, type Restored } from '../../engine/raft/options.ts';
import type { Identity, ReplicaStorage } from '../../engine/raft/storage.ts';
import type { BackgroundPool } from '../../engine/snapshot/pool.ts';
import type { Config } from '../config.ts';
import type { Dispatcher } from '../dispatch.ts';
import type { Logger } from '../log.ts';
import type { PeerHandlers, PeersOptions } from '../peer/api.ts';
import { Peers } from '../peer/peers.ts';
import { openRaftStorage } from '../raftstorage.ts';
import type { Loaded, Recovery } from '../recovery.ts';
import type { Saving } from '../saving.ts';
import type { WorkerPool } from '../workers.ts';
import { checkConditions } from './conditions.ts';
import { handOver, yieldLead } from './handover.ts';
import { answerJoin, Joining } from './joining.ts';
import { Membership } from './membership.ts';
import { Replica, type ReplicaHooks, TICK_MS } from './replica.ts';
import { GROUP, Self } from './self.ts';
import { Snapshots } from './snapshots.ts';
import { GroupState, memberWords } from './state.ts';

/** How often a node looks whether the roster says of it what is so. */
const INTRODUCE_MS = 300;
/** A lease in ticks is so much of the election timeout. */
const LEASE_PART = 0.75;

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

const REPLACED_TEXT =
  'the group knows this replica as a node with another directory, so what it had promised is lost: start this node again, and it ' +
  'joins under a new id';
const NOTHING_LOADED: Loaded = { index: 0, lastMs: 0, keys: 0, expiredKeys: 0, fromRdb: false };

/** What the directory holds of a replica, or its beginning. */
interface Past {
  identity: Identity;
  restored: Restored;
  loaded: Loaded;
}

/** A group at work. */
export interface Started {
  replica: Replica;
  peers: Peers;
  identity: Identity;
  membership: Membership;
}

export class Group {
  readonly state = new GroupState();
  private readonly parts: GroupParts;
  private readonly self: Self;
  private readonly joining: Joining;
  private storage!: ReplicaStorage;
  private snapshots!: Snapshots;
  private started: Started | undefined = undefined;
  private isLooking = false;
  private introducer: NodeJS.Timeout | undefined = undefined;

  constructor(parts: GroupParts) {
    this.parts = parts;
    this.self = new Self(parts.config);
    this.joining = new Joining(this.self, this.state, parts.log);
  }

  /** What this node is called. */
  get name(): string {
    return this.self.name;
  }

  get replica(): Replica {
    return this.running.replica;
  }

  /** Who this node is, once it has started. */
  get identity(): Identity {
    return this.running.identity;
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

  /** Bytes that the log has grown by since it was last cut. */
  get logBytes(): number {
    return this.snapshots.logBytes;
  }

  private get running(): Started {
    if (this.started === undefined) throw new Error('group: it has not started');
    return this.started;
  }

  // ---------------------------------------------------------------- start

  /** Opens what the directory holds, or joins, and begins to take part. Rejects with what an operator should read. */
  async open(recovery: Recovery, directory: string, logDirectory: string): Promise<Loaded> {
    checkConditions(this.parts.config, directory, logDirectory);
    mkdirSync(logDirectory, { recursive: true });
    this.snapshots = new Snapshots(this.parts, this.state, recovery, directory);
    const past = await this.openPast(recovery, logDirectory);
    await this.start(past, directory);
    return past.loaded;
  }

  private async openPast(recovery: Recovery, logDirectory: string): Promise<Past> {
    const { state, self, joining, snapshots } = this;
    this.storage = await this.openStorage(logDirectory);
    let loaded = NOTHING_LOADED;
    let identity: Identity;
    let base: SnapshotMeta;
    if (this.storage.identity === undefined) {
      identity = await joining.begin();
      await this.storage.begin(identity);
      base = firstStart(self.joins ? undefined : self.firstConfiguration()).snapshot;
    } else {
      identity = this.storage.identity;
      self.placeFirstMembers(state.roster);
      const newest = await snapshots.load();
      if (newest !== undefined) loaded = newest.loaded;
      base = newest?.meta ?? firstStart(self.firstConfiguration()).snapshot;
    }
    let restored = await this.storage.restore(base);
    const isEmpty = !restored.isLost && restored.log.lastIndex === 0;
    const isReplaced = isEmpty && (await joining.isReplaced(identity));
    if (restored.isLost || isReplaced) {
      const why = isReplaced ? 'its directory is a new one' : 'its log was in memory';
      this.parts.log.write('warning', `What this replica had promised is lost (${why}): it joins again under a new id`);
      identity = await joining.rejoin(identity);
      await this.storage.close();
      // First of all: under the new id nothing of the old life may be found, whenever this process ends.
      snapshots.setAside();
      this.storage = await this.openStorage(logDirectory);
      await this.storage.begin(identity);
      recovery.clear();
      restored = await this.storage.restore(firstStart().snapshot);
      loaded = NOTHING_LOADED;
    }
    return { identity, restored, loaded };
  }

  private async openStorage(logDirectory: string): Promise<ReplicaStorage> {
    const { config, die, troubled } = this.parts;
    const storage = config.get('appendonly')
      ? await openRaftStorage(logDirectory, config.get('appendfsync'), die)
      : new MemoryStorage(realDisk, logDirectory);
    storage.onTrouble = troubled;
    return storage;
  }

  private async start({ identity, restored, loaded }: Past, directory: string): Promise<void> {
    const { self, state, snapshots, storage } = this;
    const { dispatcher, workers, saving, log } = this.parts;
    const peers = new Peers(this.peersOptions(identity, directory), this.peerHandlers());
    const options = this.raftOptions(identity);
    const hooks = this.replicaHooks();
    const replica = new Replica(options, restored, storage, peers, dispatcher, workers.clock, state, hooks);
    replica.applier.nowMs = loaded.lastMs;
    const membership = new Membership(replica, state, log);
    this.started = { replica, peers, identity, membership };
    snapshots.serve(replica, peers, storage);
    state.onRoster = () => this.followRoster();
    dispatcher.replication = replica;
    dispatcher.writes.proposals = replica.proposals;
    saving.group = snapshots;
    await peers.listen(self.peerHost, self.peerPort);
    this.followRoster();
    replica.start();
    this.introducer = setInterval(() => this.introduce(), INTRODUCE_MS);
    const { voters, learners } = replica.core.state.config;
    log.write(
      'notice',
      `Replica ${identity.replica} of cluster ${identity.clusterId}, peers on port ${self.peerPort}; voters ${voters.join(' ') || 'not known yet'}${learners.length > 0 ? `, learners ${learners.join(' ')}` : ''}`,
    );
  }

  private peersOptions({ clusterId, nodeId, replica }: Identity, directory: string): PeersOptions {
    const { name, secret, tls } = this.self;
    const { pool, log } = this.parts;
    return {
      clusterId,
      nodeId,
      nodeName: name,
      replica,
      group: GROUP,
      secret,
      tls,
      directory: join(directory, 'receiving'),
      acquaintances: join(directory, 'acquaintances'),
      pool,
      log,
    };
  }

  /** Nothing comes before the replica is there: the peers do not listen yet. */
  private peerHandlers(): PeerHandlers {
    const { snapshots } = this;
    return {
      onMessage: (m) => this.replica.step(m),
      onTurn: () => this.replica.drive(),
      onAlive: (id) => this.replica.core.hears(id),
      onForward: (from, m) => this.replica.onForward(from, m),
      onForwardReply: (_from, m) => this.replica.onForwardReply(m),
      onUnreachable: (id) => this.replica.onUnreachable(id),
      onReachable: () => {},
      onSnapshotReceived: (m, path) => snapshots.received(m, path),
      onSnapshotSent: (id, index) => snapshots.sent(id, index),
      onSnapshotFailed: (id) => snapshots.failed(id),
      onJoin: (request) => {
        return answerJoin(request, this.running);
      },
    };
  }

  private raftOptions({ replica }: Identity): RaftOptions {
    const { config } = this.parts;
    const electionTicks = Math.max(3, Math.round(config.get('election-timeout') / TICK_MS));
    return {
      ...DEFAULT_OPTIONS,
      group: GROUP,
      id: replica,
      seed: randomInt(2 ** 31),
      incarnation: this.storage.incarnation,
      electionTicks,
      heartbeatTicks: 1,
      leaseTicks: config.get('leader-lease') ? Math.floor(electionTicks * LEASE_PART) : 0,
      stallTicks: electionTicks * 10,
    };
  }

  private replicaHooks(): ReplicaHooks {
    const { snapshots } = this;
    const { die } = this.parts;
    return {
      onLeader: (leader) => this.onLeader(leader),
      onSnapshotWanted: (id, atLeast) => snapshots.send(id, atLeast),
      onInstall: (meta) => void snapshots.install(meta),
      onFull: (index) =>
        die(
          `entry ${index} of the group's log needs more memory than a shard has left here, and other replicas may have had it: ` +
            'start this node again with a larger arena-size',
        ),
      onEntries: (bytes) => {
        snapshots.logBytes += bytes;
      },
      nextExpiryMs: () => this.nextExpiryMs(),
    };
  }

  private nextExpiryMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { f64 } of this.parts.dispatcher.call.shards.arenas) next = Math.min(next, f64[COUNTER_NEXT_EXPIRY]);
    return next;
  }

  // ---------------------------------------------------------------- members

  private followRoster(): void {
    const { peers } = this;
    if (peers === undefined) return;
    const members = this.state.roster.all();
    peers.setMembers(
      members.map(({ replica, nodeId, name, host, peerPort }) => ({
        replica,
        nodeId: nodeId === '' ? undefined : nodeId,
        name,
        host,
        port: peerPort,
      })),
    );
  }

  /** Sees to it that the roster says of this node what is so. */
  private introduce(): void {
    const { replica, identity, peers } = this.running;
    yieldLead(replica, peers);
    const { state } = replica.core;
    if (state.log.lastIndex === 0 && state.leader === 0) void this.lookForFormer();
    if (state.leader === 0 || !state.config.members.includes(identity.replica)) return;
    const own = this.self.asMember(identity);
    const there = this.state.roster.get(own.replica);
    if (replica.applier.isBehind || (there !== undefined && memberWords(there).join() === memberWords(own).join()))
      return;
    replica.introduce(memberWords(own));
  }

  /**
   * A first start, so far alone. If the others come to say that this replica is a node with a directory that is gone, they do not talk
   * to this one.
   */
  private async lookForFormer(): Promise<void> {
    if (this.isLooking) return;
    this.isLooking = true;
    const isReplaced = await this.joining.isReplaced(this.identity);
    this.isLooking = false;
    if (isReplaced && this.running.replica.core.state.log.lastIndex === 0) this.parts.die(REPLACED_TEXT);
  }

  private onLeader(leader: ReplicaId): void {
    const { replica } = this.running;
    const { log } = this.parts;
    const { term } = replica.core.state;
    if (leader !== 0) {
      const name = this.state.roster.get(leader)?.name ?? '';
      log.write('notice', `Term ${term}: ${leader === replica.id ? 'this node leads' : `${name} (${leader}) leads`}`);
    }
    if (leader !== replica.id) this.snapshots.stopSending();
  }

  /** While this node leads, writes get this error; '' for none. It tries not to lead for long. */
  refuseWrites(text: string): void {
    if (this.started === undefined) return;
    const { replica, peers } = this.started;
    replica.front.trouble = text;
    yieldLead(replica, peers);
  }

  // ---------------------------------------------------------------- end

  /** Lets somebody else lead, if this node does and one can, within an election timeout. */
  handOver(): Promise<void> {
    return handOver(this, this.parts.config.get('election-timeout'), this.parts.log);
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
