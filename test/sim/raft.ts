/**
 * Simulated groups from the command line; see USAGE. --json is for mutants.ts.
 */
import { MAX_COUNT, MAX_SEED, readArguments, refuse, whole } from '../support/arguments.ts';
import { runSeed } from './raft/run.ts';
import { HAPPENINGS, Tally } from './raft/tally.ts';

const SHOWN_LINES = 80;
const SEEDS = 300;
const LINE_MS = 15_000;

const USAGE = `Simulated groups of replicas: crashes, lost and late messages, torn disks, changes of members, one seed after the other.

  npm run sim                              ${SEEDS} seeds from 1
  npm run sim -- --seeds FROM COUNT        these; a line now and then, and every failure with its seed
  npm run sim -- --seed N [--trace]        one, with the last events before it broke, or all of them
  npm run sim:long -- [--from N]           20,000 seeds, from N on

  --stop   end at the first failure
  --json   print that and nothing else
The exit code is 1 when something broke.`;

const { values, positionals } = readArguments(USAGE, {
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    seeds: { type: 'boolean' },
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: `${SEEDS}` },
    trace: { type: 'boolean' },
    stop: { type: 'boolean' },
    json: { type: 'boolean' },
  },
});
if (values.seeds && positionals.length !== 2) refuse('--seeds is followed by FROM and COUNT');
if (!values.seeds && positionals.length > 0) refuse(`expected an option, found '${positionals[0]}'`);

if (values.seed !== undefined) showSeed(seedOf('--seed', values.seed));
else if (values.seeds) runSeeds(seedOf('FROM', positionals[0]), countOf('COUNT', positionals[1]));
else runSeeds(seedOf('--from', values.from), countOf('--count', values.count));

function seedOf(name: string, text: string): number {
  return whole(name, text, 0, MAX_SEED);
}

function countOf(name: string, text: string): number {
  return whole(name, text, 1, MAX_COUNT);
}

function showSeed(seed: number): void {
  const { failure, virtualMs, tally, lines } = runSeed(seed, values.trace ? 1e9 : SHOWN_LINES);
  if (failure === undefined) {
    if (values.trace) for (const line of lines) console.log(line);
    console.log(`seed ${seed}: ${Math.round(virtualMs)} virtual ms, all is well`);
    console.log([...tally.counts].map(([what, count]) => `${count} ${what}`).join(', '));
    return;
  }
  for (const line of lines) console.log(line);
  console.log(`seed ${seed}: ${failure.text}`);
  process.exitCode = 1;
}

function runSeeds(from: number, count: number): void {
  const tally = new Tally();
  const startedAt = performance.now();
  const cpuAtStart = process.cpuUsage();
  let spokeAt = startedAt;
  let virtualMs = 0;
  let failures = 0;
  for (let seed = from; seed < from + count; seed++) {
    const outcome = runSeed(seed);
    tally.addAll(outcome.tally);
    virtualMs += outcome.virtualMs;
    const now = performance.now();
    if (outcome.failure !== undefined) {
      failures++;
      process.exitCode = 1;
      if (values.json)
        console.log(
          JSON.stringify({ seed, tried: seed - from + 1, seconds: (now - startedAt) / 1000, ...outcome.failure }),
        );
      else console.log(`seed ${seed}: ${outcome.failure.text}`);
      if (values.stop) return;
    }
    if (!values.json && (now - spokeAt > LINE_MS || seed === from + count - 1)) {
      spokeAt = now;
      const done = seed - from + 1;
      const { user, system } = process.cpuUsage(cpuAtStart);
      const rate = ((done / (now - startedAt)) * 1000).toFixed(1);
      const cost = ((user + system) / 1000 / done).toFixed(0);
      const hours = (virtualMs / 3_600_000).toFixed(2);
      console.log(
        `${done} of ${count} seeds, up to ${seed}, ${rate} a second (${cost} ms each), ${hours} virtual hours, ${failures} failures`,
      );
    }
  }
  if (values.json) return;
  for (const what of HAPPENINGS) console.log(`${String(tally.of(what)).padStart(12)}  ${what}`);
}
