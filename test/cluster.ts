/**
 * The full-length run of what test/process/cluster-*.test.ts do shortly: `npm run test:cluster -- [rounds] [seed]`.
 *
 * Each round is a cluster of its own, with logs on disk or in memory, its peers speaking straight, through proxies or through
 * namespaces of the kernel where those can be made, and a few faults of those that this can have, drawn from the seed. Prints a line
 * per round, then how often each fault was met and how long it took until writes were served again, and everything that is wrong; the
 * exit code is 1 then. Only what is drawn repeats with the seed: processes and networks have their own times.
 */
import { roundsAndSeed } from './support/arguments.ts';
import { DISK_FAULTS, type Fault, NAMESPACE_FAULTS, PROCESS_FAULTS, PROXY_FAULTS } from './support/cluster-faults.ts';
import { clusterRounds } from './support/cluster-rounds.ts';
import { available, unavailable } from './support/netns.ts';
import { seeded } from './support/seeded.ts';

const ROUNDS = 40;
const FAULTS = 6;
const DISK = ['--appendonly', 'yes', '--appendfsync', 'always', '--peer-secret', 'between us'];

interface Setting {
  readonly name: string;
  readonly through?: 'proxies' | 'namespaces';
  readonly flags: readonly string[];
  readonly faults: Record<string, Fault>;
}

const SETTINGS: readonly Setting[] = [
  { name: 'disk', flags: DISK, faults: { ...PROCESS_FAULTS, ...DISK_FAULTS } },
  { name: 'memory', flags: [], faults: PROCESS_FAULTS },
  { name: 'proxies', through: 'proxies', flags: DISK, faults: { ...PROCESS_FAULTS, ...DISK_FAULTS, ...PROXY_FAULTS } },
  { name: 'namespaces', through: 'namespaces', flags: DISK, faults: { ...DISK_FAULTS, ...NAMESPACE_FAULTS } },
];

const USAGE = `Usage: npm run test:cluster -- [rounds] [seed]

  rounds   how many clusters, one after the other (${ROUNDS})
  seed     what the settings and faults are drawn from (from the clock)
The exit code is 1 when something is wrong.`;

const { rounds, seed } = roundsAndSeed(USAGE, ROUNDS);
const settings = SETTINGS.filter(({ through }) => available || through !== 'namespaces');
console.log(`${rounds} rounds of ${FAULTS} faults, seed ${seed}, node ${process.versions.node}`);
if (!available) console.log(`without namespaces: ${unavailable}`);

/** By name of the fault: how often, and the times until writes were served again. */
const met = new Map<string, { count: number; resumedMs: number[] }>();
const total = { answered: 0, unknown: 0, notDone: 0 };
let wrong = 0;
for (let round = 0; round < rounds; round++) {
  const random = seeded(seed + round);
  const { name, through, flags, faults } = settings[round % settings.length];
  const names = Object.keys(faults);
  const drawn = Array.from({ length: FAULTS }, () => names[random.below(names.length)]);
  const startedAt = performance.now();
  const done = await clusterRounds({
    seed: seed + round,
    through,
    flags,
    faults: drawn.map((each) => [each, faults[each]]),
    onFault: (each, resumedAfterMs) => {
      const tally = met.get(each) ?? { count: 0, resumedMs: [] };
      tally.count++;
      if (resumedAfterMs !== undefined) tally.resumedMs.push(resumedAfterMs);
      met.set(each, tally);
    },
  });
  for (const key of ['answered', 'unknown', 'notDone'] as const) total[key] += done[key];
  const sec = Math.round((performance.now() - startedAt) / 1000);
  console.log(`${round + 1}: ${name}: ${drawn.join(' ')}: ${done.answered} answers, ${done.unknown} unknown, ${sec} s`);
  if (done.problems.length > 0) wrong++;
  for (const problem of done.problems) console.error(problem);
}

console.table(
  Object.fromEntries(
    [...met].sort().map(([name, { count, resumedMs }]) => {
      const sorted = resumedMs.sort((a, b) => a - b);
      const at = (part: number): number | string =>
        Math.round(sorted[Math.floor((sorted.length - 1) * part)] ?? 0) || '';
      return [name, { count, 'serving again, median ms': at(0.5), 'longest ms': at(1) }];
    }),
  ),
);
console.log(
  `${total.answered} commands answered, ${total.unknown} of unknown outcome, ${total.notDone} refused. ${
    wrong > 0
      ? `${wrong} rounds are wrong.`
      : 'All histories are linearizable, nothing acknowledged is lost, all replicas are the same.'
  }`,
);
process.exit(wrong > 0 ? 1 : 0);
