import { expect, test } from 'vitest';
import { ServerLimits } from '../../net/limits.ts';
import { Scheduler } from '../../net/scheduler.ts';
import type { Session } from '../../net/session.ts';
import { MapExecutor } from '../support/map-executor.ts';

const ENDLESS_MS = 1000;

test('a turn ends, and timers get theirs, even when sessions that run nothing queue again and again', async () => {
  const scheduler = new Scheduler(new ServerLimits(), new MapExecutor());
  const startedMs = performance.now();
  let fired = false;
  const session = {
    takeTurn: () => {
      if (!fired && performance.now() - startedMs < ENDLESS_MS) scheduler.enqueue(session);
    },
  } as unknown as Session;
  scheduler.enqueue(session);
  await new Promise<void>((resolve) => setTimeout(resolve, 10));
  fired = true;
  expect(performance.now() - startedMs).toBeLessThan(ENDLESS_MS / 2);
});
