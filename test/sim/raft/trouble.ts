/**
 * What goes wrong in a simulated world besides messages that get lost: links and partitions, nodes that die or stand still,
 * clocks, disks. Each kind comes at random times, as often as the profile says, until there is to be calm. Leaders are struck
 * more often than others: most of what can go wrong begins with them.
 */
import type { Configuration } from '../../../engine/raft/config.ts';
import type { ReplicaId } from '../../../engine/raft/entry.ts';
import { Message, TIMEOUT_NOW } from '../../../engine/raft/message.ts';
import type { Loss } from '../simdisk.ts';
import { TICK_MS } from './profile.ts';
import type { SimReplica } from './replica.ts';
import type { World } from './world.ts';

const LOSSES: readonly Loss[] = ['unsynced', 'torn', 'torn', 'nothing'];
/** Clients that ask once are forgotten after an hour: clocks that are further apart would be another test. */
const CLOCK_MS = 15 * 60_000;
/** Calls of the disk within which an injected fault strikes. */
const DISK_STEPS = 30;

export class Trouble {
  private readonly world: World;
  /** The leader that was usurped last. */
  private usurped: ReplicaId = 0;

  constructor(world: World) {
    this.world = world;
  }

  private get electionMs(): number {
    return this.world.profile.electionTicks * TICK_MS;
  }

  private get changesMembers(): boolean {
    return this.world.profile.changeEveryMs !== Number.POSITIVE_INFINITY;
  }

  begin(): void {
    const { profile: p } = this.world;
    this.every(p.cutEveryMs, () => this.cutLink());
    this.every(p.partitionEveryMs, () => this.partition());
    this.every(p.usurpEveryMs, () => this.usurp());
    this.every(p.restartVotersEveryMs, () => this.restartVoters());
    this.every(p.holdEveryMs, () => this.holdLinks());
    this.every(p.loseTailEveryMs, () => this.loseTail());
    this.every(p.loopEveryMs, () => this.loop());
    this.every(p.crashEveryMs, () => this.crash());
    this.every(p.crashAllEveryMs, () => this.crashAll());
    this.every(p.freezeEveryMs, () => this.freeze());
    this.every(p.clockEveryMs, () => this.moveClock());
    this.every(p.fullEveryMs, () => this.fillDisk());
    this.every(p.syncFailsEveryMs, () => this.failDisk());
    this.every(p.slowDiskEveryMs, () => this.slowDisk());
    this.every(p.slowApplyEveryMs, () => this.slowApply());
    this.every(p.wipeEveryMs, () => this.wipe());
  }

  /** Goes on with what was begun, unless there is calm by then. */
  private later(delayMs: number, what: () => void): void {
    const { world } = this;
    world.events.after(delayMs, () => {
      if (!world.isCalm) what();
    });
  }

  private every(meanMs: number, what: () => void): void {
    if (meanMs !== Number.POSITIVE_INFINITY) this.world.repeat(meanMs, what);
  }

  /** Mostly one that runs; leaders more often than others. */
  private someone(): SimReplica {
    const { world } = this;
    const { leaders } = world;
    if (leaders.length > 0 && world.chance.percent(40)) return world.chance.pick(leaders);
    return world.chance.pick(world.present);
  }

  // ---------------------------------------------------------------- network

  private cutLink(): void {
    const { network, chance, tally, present } = this.world;
    tally.add('links cut one way');
    const one = this.someone().id;
    const others = present.filter(({ id }) => id !== one);
    if (others.length === 0) return;
    // One link, or all that one sends, or all that it hears.
    const kind = chance.below(3);
    if (kind === 0) network.cutOneWay(one, chance.pick(others).id);
    else for (const { id } of others) kind === 1 ? network.cutOneWay(one, id) : network.cutOneWay(id, one);
    this.world.say(() => `cut: ${[...network.cut.keys()].join(' ')}`);
    this.healLater();
  }

  private partition(): void {
    const { network, chance, tally, present } = this.world;
    tally.add('partitions');
    const ids = present.map(({ id }) => id);
    const one = this.someone().id;
    const kind = chance.below(5);
    if (kind < 2) {
      network.split(
        [one],
        ids.filter((id) => id !== one),
      );
    } else if (kind === 2) {
      // Both sides still reach one bridge.
      const some = ids.filter((id) => id !== one && chance.percent(50));
      network.split(
        some,
        ids.filter((id) => id !== one && !some.includes(id)),
      );
    } else {
      const some = ids.filter(() => chance.percent(50));
      network.split(
        some,
        ids.filter((id) => !some.includes(id)),
      );
    }
    this.world.say(() => `cut: ${[...network.cut.keys()].join(' ')}`);
    this.healLater();
  }

  /**
   * Another is told to take over while the leader is being cut off, with writes that reach nobody, or only one: what makes logs
   * part, and part again (figure 8 of the paper).
   */
  private usurp(): void {
    const { world } = this;
    const { network, chance, tally, leaders, present } = world;
    if (leaders.length === 0) return;
    const leader = chance.pick(leaders);
    const others = present.filter((replica) => replica.isUp && replica !== leader);
    if (others.length === 0) return;
    tally.add('leaders usurped');
    // Who led before has the most to confuse with now.
    const former = others.find((replica) => replica.id === this.usurped);
    const heir = former !== undefined && chance.percent(50) ? former : chance.pick(others);
    this.usurped = leader.id;
    const friends = others.filter((replica) => replica !== heir && chance.percent(30));
    leader.input(() => {
      // It may have stood still until now.
      if (world.isCalm || !leader.core.isLeader) return;
      const { state } = leader.core;
      state.hasForfeited = true;
      const message = new Message(TIMEOUT_NOW, state.group, leader.id, heir.id, state.term);
      this.later(chance.wait(5), () => heir.receive(message));
      const side = [leader.id, ...friends.map(({ id }) => id)];
      const rest = present.filter(({ id }) => !side.includes(id)).map(({ id }) => id);
      if (chance.percent(80)) network.split(side, rest);
      for (let n = chance.below(4); n > 0; n--) leader.requests.write(['INCR', 'b'], false, () => {});
      if (this.changesMembers && chance.percent(40)) {
        // Both leaders begin changes of their own.
        world.operator.changeAt(leader);
        for (const elections of [0.2, 0.4, 0.7]) {
          this.later(this.electionMs * elections, () => world.operator.changeAt(heir));
        }
      }
      world.say(() => `n${heir.id} is to take the place of n${leader.id}, who is left with ${side}`);
      this.healLater();
    });
  }

  /** One loses touch with the leader; then the leader with all of them, while those who have just heard of it start again. */
  private restartVoters(): void {
    const { world } = this;
    const { network, chance, tally, leaders, present } = world;
    if (leaders.length === 0) return;
    const leader = chance.pick(leaders);
    const others = present.filter((replica) => replica !== leader);
    if (others.length === 0) return;
    tally.add('voters restarted around a leader');
    const heir = chance.pick(others);
    network.split([leader.id], [heir.id]);
    this.later(this.electionMs * chance.between(1.4, 2), () => {
      network.split(
        [leader.id],
        others.map(({ id }) => id),
      );
      for (const replica of others) {
        if (replica === heir) continue;
        replica.crash('nothing', 'to be restarted at once');
        this.later(1, () => replica.start());
      }
      for (const ms of [2, 8, 20]) this.later(ms, () => heir.campaign());
      this.healLater();
    });
  }

  /** What others answer to a leader, or what it says, comes much later: when it may be the leader of another term. */
  private holdLinks(): void {
    const { network, chance, tally, present } = this.world;
    tally.add('links held');
    const one = this.someone().id;
    const toIt = chance.percent(70);
    for (const { id } of present) {
      if (id !== one && chance.percent(60)) toIt ? network.hold(id, one) : network.hold(one, id);
    }
    this.later(chance.wait(chance.pick([1, 3, 6]) * this.electionMs), () => network.release());
  }

  /**
   * A leader whose disk is slow loses what a follower has acknowledged already, in an answer that it gets only when it leads again,
   * with other entries there; the follower is cut off meanwhile.
   */
  private loseTail(): void {
    const { world } = this;
    const { network, chance, tally, leaders, present } = world;
    if (leaders.length === 0) return;
    const leader = chance.pick(leaders);
    const others = present.filter((replica) => replica.isUp && replica !== leader);
    if (others.length === 0) return;
    tally.add('tails lost');
    const follower = chance.pick(others);
    leader.diskDelayMs = 3 * this.electionMs;
    network.hold(follower.id, leader.id);
    leader.input(() => {
      for (let n = 1 + chance.below(3); n > 0; n--) leader.requests.write(['INCR', 'b'], false, () => {});
    });
    this.later(chance.between(5, 40), () => {
      leader.diskDelayMs = 0;
      leader.crash('unsynced', 'before its disk had what others have');
      this.later(1, () => leader.start());
      network.split(
        [follower.id],
        present.filter((replica) => replica !== follower).map(({ id }) => id),
      );
      const links = network.takeFresh();
      for (const elections of [1.1, 1.5, 2]) {
        this.later(this.electionMs * elections, () => leader.campaign());
      }
      this.later(this.electionMs * chance.between(2, 4), () => {
        network.mend(links);
        network.release();
      });
    });
  }

  /** One that starts again and again, sooner than an election takes, and asks for reads in each of its short lives. */
  private loop(): void {
    const { chance, tally } = this.world;
    const replica = this.someone();
    if (replica.isGone) return;
    tally.add('restart loops');
    let atMs = 0;
    for (let lives = 2 + chance.below(6); lives > 0; lives--) {
      atMs += chance.wait(this.electionMs / 3);
      this.later(atMs, () => {
        replica.crash('nothing', 'again');
        this.later(1, () => replica.start());
        for (let reads = chance.below(6); reads > 0; reads--) {
          const ask = () => replica.requests.readLinearizable(['GET', 'b'], () => {});
          this.later(chance.wait(this.electionMs / 4), () => replica.input(ask));
        }
      });
    }
  }

  /** Mends what was just cut, in a while. */
  private healLater(): void {
    const { world } = this;
    const { network } = world;
    const links = network.takeFresh();
    this.later(world.chance.wait(world.profile.cutForMs), () => {
      network.mend(links);
      world.say(() => `still cut: ${[...network.cut.keys()].join(' ')}`);
    });
  }

  // ---------------------------------------------------------------- nodes

  private crash(): void {
    const { chance } = this.world;
    const replica = this.someone();
    if (!replica.isUp) return;
    const { disk } = replica.storage;
    if (chance.percent(50)) disk.failAt(disk.steps + 1 + chance.below(DISK_STEPS), 'crash');
    else replica.crash(chance.pick(LOSSES), 'by chance');
  }

  private crashAll(): void {
    const { chance, tally, replicas } = this.world;
    tally.add('crashes of all');
    const loss = chance.pick(LOSSES);
    for (const replica of replicas.values()) replica.crash(loss, 'all do');
  }

  private freeze(): void {
    const { chance, tally, profile } = this.world;
    const replica = this.someone();
    // A lease relies on a clock that goes on.
    const withoutTicks = profile.leaseTicks === 0 && chance.percent(30);
    tally.add(withoutTicks ? 'freezes without ticks' : 'nodes frozen');
    replica.freeze(chance.percent(50), withoutTicks);
    this.later(chance.wait(chance.pick([0.5, 2, 4]) * this.electionMs), () => replica.thaw());
  }

  private moveClock(): void {
    const { chance, tally, profile } = this.world;
    const replica = this.someone();
    tally.add('wall clocks moved');
    const farMs = chance.pick([20, 500, CLOCK_MS]);
    replica.wallOffsetMs = chance.between(-farMs, farMs);
    if (profile.leaseTicks === 0 && chance.percent(30)) replica.burst(chance.below(3 * profile.electionTicks));
  }

  /** Gone for good, with its disk; the operator is to replace it. Never so many that the others are no majority. */
  private wipe(): void {
    const { world } = this;
    const replica = this.someone();
    if (replica.isGone || !this.isDispensable(replica)) return;
    world.tally.add('nodes wiped');
    replica.crash('unsynced', 'its disk is gone');
    replica.isGone = true;
    // Some come up again and know that they have lost what they had promised.
    if (world.chance.percent(50)) replica.startLost();
  }

  /** Whether every group that anybody still believes in can do without it. */
  private isDispensable(replica: SimReplica): boolean {
    const { replicas } = this.world;
    const isThere = (id: number) => id !== replica.id && replicas.get(id)?.isGone === false;
    const isEnough = (ids: readonly number[]) => ids.filter(isThere).length * 2 > ids.length || ids.length === 0;
    const holds = ({ voters, outgoing }: Configuration) => isEnough(voters) && isEnough(outgoing);
    for (const other of replicas.values()) {
      if (other.isGone) continue;
      // What one that is down has in its log nobody knows.
      if (!other.isUp) return false;
      const { configs, config, commit } = other.core.state;
      if (!holds(config) || !holds(configs.at(commit))) return false;
    }
    return true;
  }

  // ---------------------------------------------------------------- disks

  private fillDisk(): void {
    const { chance } = this.world;
    const replica = this.someone();
    const { disk } = replica.storage;
    disk.capacityBytes = 0;
    this.later(chance.wait(2 * this.electionMs), () => {
      disk.capacityBytes = Number.POSITIVE_INFINITY;
    });
  }

  private failDisk(): void {
    const { disk } = this.someone().storage;
    disk.failAt(disk.steps + 1 + this.world.chance.below(DISK_STEPS), 'EIO');
  }

  private slowDisk(): void {
    const { chance } = this.world;
    const replica = this.someone();
    replica.diskDelayMs = chance.between(0.1, 2) * this.electionMs;
    this.later(chance.wait(3 * this.electionMs), () => {
      replica.diskDelayMs = 0;
    });
  }

  private slowApply(): void {
    const { chance, tally } = this.world;
    const replica = this.someone();
    tally.add('slow state machines');
    replica.applyDelayMs = chance.between(1, 40);
    this.later(chance.wait(3 * this.electionMs), () => {
      replica.applyDelayMs = 0;
    });
  }
}
