/**
 * What goes wrong in a simulated world besides messages that get lost: links and partitions, nodes that die or stand still,
 * clocks, disks. Each kind comes at random times, as often as the profile says, until there is to be calm. Leaders are struck
 * more often than others: most of what can go wrong begins with them.
 */
import type { Configuration } from '../../../engine/raft/config.ts';
import type { Loss } from '../simdisk.ts';
import { Mischief } from './mischief.ts';
import type { SimReplica } from './replica.ts';
import { Strikes } from './strikes.ts';

const LOSSES: readonly Loss[] = ['unsynced', 'torn', 'torn', 'nothing'];
/** Clients that ask once are forgotten after an hour: clocks that are further apart would be another test. */
const CLOCK_MS = 15 * 60_000;
/** Calls of the disk within which an injected fault strikes. */
const DISK_STEPS = 30;

export class Trouble extends Mischief {
  begin(): void {
    const { profile: p } = this.world;
    this.every(p.cutEveryMs, () => this.cutLink());
    this.every(p.partitionEveryMs, () => this.partition());
    new Strikes(this.world).begin();
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
