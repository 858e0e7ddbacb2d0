/**
 * Set commands in process on one thread: request to reply bytes with hashing and slot, without parsing or sockets.
 * `npm run bench:micro -- set`. Members are `element:` and 12 digits, as redis-benchmark makes them; the sets have 30 of them
 * (packed), 1,000 or 1,000,000, which do not fit the processor's caches; sets of integers have 500.
 */

import { ELEMENT, ElementCommand, NUMBER } from '../elements.ts';
import type { MicroBench } from '../micro.ts';

const PACKED = 30;
const INTEGERS = 500;
const SMALL = 1000;
const LARGE = 1_000_000;
const BATCH = 2000;

export default function set(): MicroBench[] {
  const benches: MicroBench[] = [];
  const add = (name: string, command: ElementCommand, range: number): void => {
    benches.push({ name, operations: BATCH, fn: () => command.run(BATCH, range) });
  };
  for (const [name, key, form, range] of [
    ['30, packed', 'packed', ELEMENT, PACKED],
    ['500 integers', 'integers', NUMBER, INTEGERS],
    ['1,000', 'small', ELEMENT, SMALL],
    ['1,000,000', 'large', ELEMENT, LARGE],
  ] as const) {
    const sadd = new ElementCommand('sadd', key, form);
    for (let i = 0; i < range; i++) sadd.runAt(i);
    add(`SISMEMBER of ${name}`, new ElementCommand('sismember', key, form), range);
    add(`SADD of a member of ${name}`, sadd, range);
    const srem = new ElementCommand('srem', key, form);
    const churn = (): void => {
      for (let i = 0; i < BATCH / 2; i++) {
        const which = sadd.draw(range);
        srem.runAt(which);
        sadd.runAt(which);
      }
    };
    benches.push({ name: `SREM and SADD of ${name}`, operations: BATCH, fn: churn });
    const spop = new ElementCommand('spop', key);
    let next = range;
    const pop = (): void => {
      for (let i = 0; i < BATCH / 2; i++) {
        spop.runAt(0);
        sadd.runAt(next++);
      }
    };
    benches.push({ name: `SPOP and SADD of ${name}`, operations: BATCH, fn: pop });
    add(`SRANDMEMBER of ${name}`, new ElementCommand('srandmember', key), range);
  }
  const drop = new ElementCommand('del', 'filled');
  const fill = new ElementCommand('sadd', 'filled', ELEMENT);
  const filling = (): void => {
    drop.runAt(0);
    for (let i = 0; i < BATCH * 10; i++) fill.runAt(i);
  };
  benches.push({ name: 'SADD of 20,000 new members', operations: BATCH * 10, fn: filling });
  for (const [key, from] of [
    ['one', 0],
    ['other', 500],
  ] as const) {
    const add = new ElementCommand('sadd', key, ELEMENT);
    for (let i = 0; i < SMALL; i++) add.runAt(from + i);
  }
  for (const name of ['sinter', 'sunion', 'sdiff']) {
    const command = new ElementCommand(name, 'one', 'other');
    benches.push({ name: `${name.toUpperCase()} of 1,000 and 1,000`, operations: 1, fn: () => command.runAt(0) });
  }
  return benches;
}
