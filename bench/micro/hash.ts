/**
 * Hash commands in process on one thread: request to reply bytes with hashing and slot, without parsing or sockets.
 * `npm run bench:micro -- hash`. Fields are `element:` and 12 digits, as redis-benchmark makes them; the hashes have 10, 500
 * (both packed) or 1,000,000 fields, which do not fit the processor's caches.
 */

import { ELEMENT, ElementCommand } from '../elements.ts';
import type { MicroBench } from '../micro.ts';

const BATCH = 2000;

export default function hash(): MicroBench[] {
  const benches: MicroBench[] = [];
  for (const [name, key, range] of [
    ['10, packed', 'ten', 10],
    ['500, packed', 'packed', 500],
    ['1,000,000', 'large', 1_000_000],
  ] as const) {
    const add = (title: string, command: ElementCommand): void => {
      benches.push({ name: `${title} of ${name}`, operations: BATCH, fn: () => command.run(BATCH, range) });
    };
    const hset = new ElementCommand('hset', key, ELEMENT, 'xxx');
    for (let i = 0; i < range; i++) hset.runAt(i);
    add('HSET', hset);
    add('HGET', new ElementCommand('hget', key, ELEMENT));
    const hdel = new ElementCommand('hdel', key, ELEMENT);
    const churn = (): void => {
      for (let i = 0; i < BATCH / 2; i++) {
        const which = hset.draw(range);
        hdel.runAt(which);
        hset.runAt(which);
      }
    };
    benches.push({ name: `HDEL and HSET of ${name}`, operations: BATCH, fn: churn });
    if (range > 500) continue;
    const all = new ElementCommand('hgetall', key);
    benches.push({ name: `HGETALL of ${name}`, operations: 1, fn: () => all.runAt(0) });
  }
  const drop = new ElementCommand('del', 'filled');
  const fill = new ElementCommand('hset', 'filled', ELEMENT, 'xxx');
  const filling = (): void => {
    drop.runAt(0);
    for (let i = 0; i < BATCH * 10; i++) fill.runAt(i);
  };
  benches.push({ name: 'HSET of 20,000 new fields', operations: BATCH * 10, fn: filling });
  const count = new ElementCommand('hincrby', 'counters', ELEMENT, '1');
  benches.push({ name: 'HINCRBY of 10, packed', operations: BATCH, fn: () => count.run(BATCH, 10) });
  return benches;
}
