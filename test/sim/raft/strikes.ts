/**
 * Troubles with a plan: sequences of faults around a leader, each of them the way in which some real system lost data or served old
 * data, that chance alone would hardly ever put together. What happens in between is still left to chance.
 */
import type { ReplicaId } from '../../../engine/raft/entry.ts';
import { Message, TIMEOUT_NOW } from '../../../engine/raft/message.ts';
import { Mischief } from './mischief.ts';

export class Strikes extends Mischief {
  /** The leader that was usurped last. */
  private usurped: ReplicaId = 0;

  begin(): void {
    const { profile: p } = this.world;
    this.every(p.usurpEveryMs, () => this.usurp());
    this.every(p.restartVotersEveryMs, () => this.restartVoters());
    this.every(p.holdEveryMs, () => this.holdLinks());
    this.every(p.loseTailEveryMs, () => this.loseTail());
    this.every(p.loopEveryMs, () => this.loop());
  }

  private get changesMembers(): boolean {
    return this.world.profile.changeEveryMs !== Number.POSITIVE_INFINITY;
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
}
