import { describe, expect, it } from 'vitest';
import { TickClock } from '../../engine/tickclock.ts';

const NOW = 1_800_000_000_123;

/** The main thread's end and a worker's. */
function pair(): { main: TickClock; worker: TickClock } {
  const main = new TickClock();
  main.enter(NOW);
  main.leave(NOW);
  return { main, worker: new TickClock(main.buffer) };
}

describe('TickClock', () => {
  it('lets a worker take its own time between turns, and the next turn begins there', () => {
    const { main, worker } = pair();
    expect(worker.settle(NOW + 5)).toBe(NOW + 5);
    expect(main.enter(NOW + 3)).toBe(NOW + 5);
  });

  it('lets it take no later time than the end of the last turn while one is under way', () => {
    const { main, worker } = pair();
    main.enter(NOW + 10);
    expect(worker.settle(NOW + 20)).toBe(NOW);
    main.leave(NOW + 10);
    expect(worker.settle(NOW + 20)).toBe(NOW + 20);
    expect(worker.isQuiet).toBe(true);
  });

  it('keeps the highest floor of several workers', () => {
    const { main, worker } = pair();
    const other = new TickClock(main.buffer);
    worker.settle(NOW + 9);
    expect(other.settle(NOW + 4)).toBe(NOW + 4);
    expect(main.enter(NOW)).toBe(NOW + 9);
  });

  it('is in a turn until the outermost ends', () => {
    const { main, worker } = pair();
    main.enter(NOW + 1);
    main.enter(NOW + 2);
    main.leave(NOW + 2);
    expect(worker.settle(NOW + 5)).toBe(NOW);
    main.leave(NOW + 2);
    expect(worker.settle(NOW + 5)).toBe(NOW + 5);
  });

  it('follows a clock that was set by more than its words can tell', () => {
    const { main, worker } = pair();
    const later = NOW + 40 * 24 * 3_600_000;
    expect(main.enter(later)).toBe(later);
    main.leave(later);
    expect(worker.settle(later + 7)).toBe(later + 7);
    expect(main.enter(later + 1)).toBe(later + 7);
  });
});
