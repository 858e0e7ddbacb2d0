/** What all that makes trouble in a simulated world has in common: when it comes, whom it strikes, and that calm ends it. */
import { TICK_MS } from './profile.ts';
import type { SimReplica } from './replica.ts';
import type { World } from './world.ts';

export class Mischief {
  protected readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  protected get electionMs(): number {
    return this.world.profile.electionTicks * TICK_MS;
  }

  protected every(meanMs: number, what: () => void): void {
    if (meanMs !== Number.POSITIVE_INFINITY) this.world.repeat(meanMs, what);
  }

  /** Goes on with what was begun, unless there is calm by then. */
  protected later(delayMs: number, what: () => void): void {
    const { world } = this;
    world.events.after(delayMs, () => {
      if (!world.isCalm) what();
    });
  }

  /** Mostly one that runs; leaders more often than others. */
  protected someone(): SimReplica {
    const { world } = this;
    const { leaders } = world;
    if (leaders.length > 0 && world.chance.percent(40)) return world.chance.pick(leaders);
    return world.chance.pick(world.present);
  }

  /** Mends what was just cut, in a while. */
  protected healLater(): void {
    const { world } = this;
    const { network } = world;
    const links = network.takeFresh();
    this.later(world.chance.wait(world.profile.cutForMs), () => {
      network.mend(links);
      world.say(() => `still cut: ${[...network.cut.keys()].join(' ')}`);
    });
  }
}
