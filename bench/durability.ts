/**
 * A durable node beside redis-server with the same settings: `npm run bench:durability`, `-- --help` for the options.
 *
 * - everysec, always: SET with a log that is synced every second, and before each reply
 * - snapshot: latencies, pauses and memory while 1 GiB is written to a snapshot under load
 * - restart: how soon a node with 1 GiB of data serves again
 *
 * Every round starts the servers anew and measures both, one right after the other. Servers have core 0, the load and this
 * program core 1, where there are two and taskset; `always` is measured on all cores too.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chosen, MAX_COUNT, MAX_PORT, readArguments, whole } from '../test/support/arguments.ts';
import { measureDisk } from './durability-disk.ts';
import { type DurabilityResults, durabilityReport } from './durability-report.ts';
import { measureRestarts } from './durability-restart.ts';
import { type Plan, progress, SIDES, tell } from './durability-servers.ts';
import { measureSnapshots, snapshotSpec } from './durability-snapshot.ts';
import { loadCommand, logSpec, measureThroughput } from './durability-throughput.ts';
import { LOAD_CORE, pinned, run, SERVER_CORE } from './proc.ts';
import { machine, ownVersion } from './report.ts';

const RESULTS = fileURLToPath(new URL('DURABILITY.md', import.meta.url));
const PARTS = ['everysec', 'always', 'snapshot', 'restart'] as const;
type Part = (typeof PARTS)[number];
const ROUNDS: Record<Part, number> = { everysec: 5, always: 5, snapshot: 3, restart: 3 };
const SYNCS = 200;
const QUICK_SYNCS = 20;

const HELP = `Usage: npm run bench:durability -- [options]

  --quick       one round, little data: only to see that it works
  --rounds N    rounds (${PARTS.map((part) => `${part} ${ROUNDS[part]}`).join(', ')})
  --only a,b    of ${PARTS.join(', ')} (all)
  --port N      first of two ports to use (20300)
  --out FILE    where to write the report (bench/DURABILITY.md for a whole run, else nowhere)

The servers' directories are made where TMPDIR says.
`;

const { values: options } = readArguments(HELP, {
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string', default: PARTS.join(',') },
    port: { type: 'string', default: '20300' },
    out: { type: 'string' },
  },
});

const firstPort = whole('--port', options.port, 1, MAX_PORT);
const rounds = options.rounds === undefined ? undefined : whole('--rounds', options.rounds, 1, MAX_COUNT);
const parts = chosen('--only', options.only, PARTS);

function planOf(part: Part): Plan {
  return { quick: options.quick, rounds: rounds ?? (options.quick ? 1 : ROUNDS[part]), firstPort };
}

/** The measuring program must not take from the servers; its children are put on their cores one by one. */
function leaveServerCore(): void {
  if (pinned) spawnSync('taskset', ['-a', '-p', '-c', String(LOAD_CORE), String(process.pid)]);
}

async function setting(): Promise<string[]> {
  const theirVersion = /v=(\S+)/.exec(await run(['redis-server', '--version']))?.[1] ?? 'unknown';
  const commands = (make: typeof snapshotSpec): string => SIDES.map((side) => `\`${tell(make(side))}\``).join(', ');
  return [
    new Date().toISOString().slice(0, 10),
    ...machine(),
    `Millrace ${ownVersion()}, Redis ${theirVersion}`,
    `\`npm run bench:durability${process.argv
      .slice(2)
      .map((word) => ` ${word}`)
      .join('')}\`${options.quick ? ': a quick run, whose numbers mean nothing' : ''}`,
    `with a log: ${commands((side) => logSpec(side, 'everysec'))}, and \`always\``,
    `without one: ${commands(snapshotSpec)}`,
    `load on the log: \`${loadCommand(planOf('everysec'))}\` and the like`,
    `rounds: ${PARTS.map((part) => `${part} ${planOf(part).rounds}`).join(', ')}; each with fresh servers, measured in turn`,
    pinned ? `servers on core ${SERVER_CORE}, load on core ${LOAD_CORE}` : 'nothing pinned to cores',
  ];
}

async function main(): Promise<void> {
  leaveServerCore();
  const results: DurabilityResults = {
    setting: await setting(),
    disk: undefined,
    log: [],
    snapshots: undefined,
    restarts: undefined,
  };
  for (const policy of ['everysec', 'always'] as const) {
    if (!parts.includes(policy)) continue;
    if (policy === 'always') results.disk = measureDisk(options.quick ? QUICK_SYNCS : SYNCS);
    results.log.push(...(await measureThroughput(planOf(policy), policy, true)));
    // Where there is another core, the log's writer need not take turns with the main thread.
    if (policy === 'always' && pinned) results.log.push(...(await measureThroughput(planOf(policy), policy, false)));
  }
  if (parts.includes('snapshot')) results.snapshots = await measureSnapshots(planOf('snapshot'));
  if (parts.includes('restart')) results.restarts = await measureRestarts(planOf('restart'));
  progress('');

  const text = durabilityReport(results);
  process.stdout.write(text);
  const isWhole = parts.length === PARTS.length && !options.quick && rounds === undefined;
  const out = options.out ?? (isWhole ? RESULTS : undefined);
  if (out !== undefined) writeFileSync(out, text);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
