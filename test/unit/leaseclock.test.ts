import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LeaseClock } from '../../net/replica/leaseclock.ts';

let monotonicMs = 500;
let wallMs = 1_700_000_000_000;

beforeEach(() => {
  vi.spyOn(performance, 'now').mockImplementation(() => monotonicMs);
  vi.spyOn(Date, 'now').mockImplementation(() => Math.floor(wallMs));
});

afterEach(() => {
  vi.restoreAllMocks();
});

function pass(ms: number): void {
  monotonicMs += ms;
  wallMs += ms;
}

it('counts whole ticks', () => {
  const clock = new LeaseClock(30);
  expect(clock.ticks()).toBe(0);
  for (let i = 0; i < 1000; i++) {
    pass(2.9);
    clock.ticks();
  }
  expect(clock.ticks()).toBe(96);
});

it('goes on while the machine is suspended, and never back', () => {
  const clock = new LeaseClock(30);
  pass(60);
  wallMs += 3000;
  expect(clock.ticks()).toBe(102);
  wallMs -= 10_000;
  expect(clock.ticks()).toBe(102);
  pass(30);
  expect(clock.ticks()).toBe(103);
  wallMs += 300;
  expect(clock.ticks()).toBe(113);
});

it('follows a wall clock that is drawn forward little by little', () => {
  const clock = new LeaseClock(30);
  for (let i = 0; i < 100; i++) {
    pass(1);
    wallMs += 1;
    clock.ticks();
  }
  expect(clock.ticks()).toBeGreaterThanOrEqual(6);
});
