/**
 * A simulated group with its clients, network, disks, clocks and troubles, in one thread, from one seed. `run` is a life of it: some
 * seconds of trouble, then calm, in which the group must soon have a leader that stays, catch everybody up, and do what it is
 * asked. Whatever must never happen throws Broken, at the step in which it does (watch.ts).
 *
 * Read on in replica.ts (one node), requests.ts, client.ts, trouble.ts, strikes.ts, operator.ts.
 */
import { Configuration } from '../../../engine/raft/config.ts';
import type { ReplicaId } from '../../../engine/raft/entry.ts';
import type { Operation } from '../../support/linearizability.ts';
import { Broken } from './broken.ts';
import { Chance } from './chance.ts';
import { Client, LIST } from './client.ts';
import { Events } from './events.ts';
import { judgeHistory } from './judge.ts';
import { Network } from './network.ts';
import { Operator } from './operator.ts';
import { drawProfile, type Profile, TICK_MS } from './profile.ts';
import { SimReplica } from './replica.ts';
import { Tally } from './tally.ts';
import type { Trace } from './trace.ts';
import { Trouble } from './trouble.ts';
import { Watch } from './watch.ts';

/** What was sent in trouble arrives within this much of the calm, or never. */
const GRACE_MS = 100;
/** Within so many election time-outs of calm everything must be well. */
const CALM_ELECTIONS = 60;
/** For so many of them nothing may change then. */
const STEADY_ELECTIONS = 4;
const STEP_MS = 20;
/** Whoever has far to catch up gets so many times that. */
const LIMITS = 5;

export class World {
  readonly seed: number;
  readonly chance: Chance;
  readonly profile: Profile;
  readonly events = new Events();
  readonly tally = new Tally();
  readonly network: Network;
  readonly watch: Watch;
  readonly operator: Operator;
  readonly replicas = new Map<ReplicaId, SimReplica>();
  readonly history: Operation[] = [];
  isCalm = false;
  private readonly trace: Trace;
  private readonly clients: Client[] = [];
  private tokens = 0;

  constructor(seed: number, trace: Trace) {
    this.seed = seed;
    this.trace = trace;
    trace.clock = () => this.events.now;
    this.chance = new Chance(seed);
    const profile = drawProfile(this.chance);
    this.profile = profile;
    this.network = new Network(this.events, this.chance.fork(), profile, this.tally);
    const config = new Configuration(
      Array.from({ length: profile.voters }, (_, i) => i + 1),
      [],
      [],
      0,
    );
    this.watch = new Watch(this.replicas, config, this.tally);
    this.operator = new Operator(this, profile.voters);
    this.say(() => JSON.stringify(profile));
    for (const id of config.voters) this.replicas.set(id, new SimReplica(this, id, config));
    for (let i = 1; i <= profile.clients; i++) this.clients.push(new Client(this, i));
  }

  say(what: () => string): void {
    if (this.trace.isOn) this.trace.add(what());
  }

  nextToken(): number {
    return ++this.tokens;
  }

  get leaders(): SimReplica[] {
    return [...this.replicas.values()].filter((r) => r.isUp && r.core.isLeader);
  }

  /** Who is in the group, as the newest leader has it; without one, everybody who ever was. */
  get present(): SimReplica[] {
    const all = [...this.replicas.values()];
    const leader = this.newestLeader;
    if (leader === undefined || this.chance.percent(10)) return all;
    return all.filter(({ id }) => leader.core.state.config.members.includes(id));
  }

  /** Of the group, those who run. */
  get working(): ReplicaId[] {
    const ids = this.newestLeader?.core.state.config.members ?? [...this.replicas.keys()];
    return ids.filter((id) => this.replicas.get(id)?.isGone === false);
  }

  private get newestLeader(): SimReplica | undefined {
    let newest: SimReplica | undefined;
    for (const leader of this.leaders) {
      if (newest === undefined || leader.core.state.term > newest.core.state.term) newest = leader;
    }
    return newest;
  }

  /** Does something again and again until there is calm. */
  repeat(meanMs: number, what: () => void): void {
    this.events.after(this.chance.wait(meanMs), () => {
      if (this.isCalm) return;
      what();
      this.repeat(meanMs, what);
    });
  }

  /** A replica that knows nothing of the group, to be added by a change. */
  join(id: ReplicaId): void {
    const replica = new SimReplica(this, id);
    this.replicas.set(id, replica);
    this.events.after(this.chance.wait(10), () => replica.start());
  }

  planRestart(replica: SimReplica): void {
    const { life } = replica;
    this.events.after(this.isCalm ? 1 : this.chance.wait(this.profile.downForMs), () => {
      if (replica.life === life) replica.start();
    });
  }

  // ---------------------------------------------------------------- a run

  run(): void {
    for (const replica of this.replicas.values()) replica.start();
    for (const client of this.clients) client.think();
    new Trouble(this).begin();
    this.operator.begin();
    this.repeat(this.profile.pokeEveryMs, () => this.poke());
    this.pass(this.profile.troubleMs);
    this.calm();
    this.pass(GRACE_MS);
    const electionMs = (this.profile.electionTicks * TICK_MS) / 0.7;
    const limitMs = CALM_ELECTIONS * electionMs;
    this.await(limitMs, () => this.whatIsUnsettled());
    this.askForTheLast();
    this.await(limitMs, () => (this.clients.every((client) => client.isDone) ? '' : 'clients get no answers'));
    this.await(limitMs, () => this.whatIsUnsettled());
    this.staySteady(STEADY_ELECTIONS * electionMs);
    this.await(limitMs, () => this.whatIsUnsettled());
    this.countRemoved();
    this.compareAll();
    judgeHistory(this.history);
  }

  /**
   * Load that waits for nobody: writes where somebody believes to lead, so that logs part; reads anywhere, only their index being
   * looked at. Who leads without being the newest leader is asked first: nobody else can be so wrong.
   */
  private poke(): void {
    const { chance } = this;
    const newest = this.newestLeader;
    const old = this.leaders.filter((leader) => leader !== newest);
    const replica = chance.pick(
      old.length > 0 ? old : chance.percent(60) && newest !== undefined ? [newest] : this.present,
    );
    replica.input(() => {
      if (chance.percent(50)) replica.requests.readLinearizable(['GET', 'b'], () => {});
      else if (replica.core.isLeader) replica.requests.write(['INCR', 'b'], false, () => {});
    });
  }

  private pass(ms: number): void {
    const end = this.events.now + ms;
    let isOver = false;
    this.events.after(ms, () => {
      isOver = true;
    });
    while (!isOver && this.events.now <= end) this.events.step();
  }

  /** Passes time until `what` says nothing any more; `limitMs` without anything that is applied anywhere is too long, and so are many. */
  private await(limitMs: number, what: () => string): void {
    const end = this.events.now + limitMs * LIMITS;
    let since = this.events.now;
    let applied = 0;
    for (let left = what(); left !== ''; left = what()) {
      if (this.events.now > Math.min(end, since + limitMs))
        throw new Broken('A', `after ${Math.round(limitMs)} ms of calm ${left}`);
      this.pass(STEP_MS);
      let now = 0;
      for (const replica of this.replicas.values()) if (replica.isUp) now += replica.machine.appliedIndex;
      if (now > applied) since = this.events.now;
      applied = Math.max(applied, now);
    }
  }

  private calm(): void {
    this.say(() => '--- calm ---');
    this.isCalm = true;
    this.network.calm(GRACE_MS);
    for (const replica of this.replicas.values()) {
      replica.storage.disk.clearFaults();
      replica.storage.disk.capacityBytes = Number.POSITIVE_INFINITY;
      replica.diskDelayMs = 0;
      replica.applyDelayMs = 0;
      replica.thaw();
      replica.start();
    }
  }

  /** Those who were removed and do not know it, or do. */
  private countRemoved(): void {
    const { config } = this.newestLeader!.core.state;
    for (const { id, isUp } of this.replicas.values()) {
      if (isUp && !config.members.includes(id)) this.tally.add('removed nodes that go on');
    }
  }

  /** What is still missing; '' when everybody in the group has everything. */
  private whatIsUnsettled(): string {
    const { newestLeader: leader } = this;
    if (leader === undefined) return 'nobody leads';
    const { config, transferee, applied, commit, log } = leader.core.state;
    if (config.isJoint) return 'a change of members is not finished';
    if (transferee !== 0) return 'a transfer is not finished';
    if (commit < log.lastIndex) return `entry ${log.lastIndex} is not committed`;
    if (applied < commit) return `n${leader.id} has not applied entry ${commit}`;
    for (const id of config.members) {
      const member = this.replicas.get(id)!;
      if (member.isGone) continue;
      if (!member.isUp) return `n${id} does not start`;
      if (member.machine.appliedIndex < commit) return `n${id} has not applied entry ${commit}`;
    }
    return '';
  }

  /** Everybody writes once more, and reads everything. */
  private askForTheLast(): void {
    const keys = [...new Set(this.history.map(({ key }) => key))];
    const reads = keys.map((key) => (key.startsWith(LIST) ? ['LRANGE', key, '0', '-1'] : ['GET', key]));
    for (const [i, client] of this.clients.entries()) {
      client.finish([['SET', 'last', `${client.number}`], ...(i === 0 ? reads : [])]);
    }
  }

  /** In calm, whoever leads goes on, whatever removed replicas do, and one that hears everybody but the leader. */
  private staySteady(ms: number): void {
    const leader = this.newestLeader!;
    const { term, config } = leader.core.state;
    const alive = config.voters.filter((id) => this.replicas.get(id)?.isGone === false);
    if ((alive.length - 1) * 2 > config.voters.length) {
      const deaf = this.chance.pick(alive.filter((id) => id !== leader.id));
      this.say(() => `n${deaf} does not hear n${leader.id}`);
      this.network.cutOneWay(leader.id, deaf);
    }
    this.pass(ms);
    this.network.heal();
    if (!leader.isUp || !leader.core.isLeader || leader.core.state.term !== term) {
      throw new Broken('A', `n${leader.id} led in term ${term}, and in calm somebody took its place`);
    }
  }

  private compareAll(): void {
    for (const replica of this.replicas.values()) {
      if (!replica.isUp || replica.core.state.isLost) continue;
      replica.core.state.log.verify();
      this.watch.compare(replica);
    }
  }

  close(): void {
    for (const replica of this.replicas.values()) replica.close();
  }
}
