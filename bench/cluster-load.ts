/**
 * The load of the catch-up, as a process of its own: half GET half SET over all keys at a fixed rate, whatever the node does
 * (durability-openloop.ts says how it counts):
 *
 *   node bench/cluster-load.ts --port 6379 --keys 1000000 --rate 5000
 *
 * Each line that comes in on standard input ends a phase and begins another; the end of the input ends the load. Prints one line of JSON:
 * what each phase was like.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { OpenLoop, open, type Phase } from './durability-openloop.ts';

const CONNECTIONS = 50;
const WARM_UP_MS = 2000;

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '6379' },
    keys: { type: 'string', default: '1000000' },
    rate: { type: 'string', default: '5000' },
  },
});

const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => open(Number(values.port))));
const load = new OpenLoop(sockets, Number(values.keys), Number(values.rate));
await sleep(WARM_UP_MS);
const phases: Phase[] = [];
for await (const _ of createInterface({ input: process.stdin })) {
  const last = phases.at(-1);
  if (last !== undefined) last.endMs = performance.now();
  phases.push(load.begin());
}
const last = phases.at(-1);
if (last !== undefined) last.endMs = performance.now();
await load.stop();
console.log(JSON.stringify(phases.map((phase) => phase.result())));
