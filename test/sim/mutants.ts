/**
 * How good the simulator is: known bugs are put back one at a time, in a copy of the source, and seeds are run until one fails;
 * see USAGE.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MAX_COUNT, readArguments, refuse, whole } from '../support/arguments.ts';
import { type Change, MUTANTS, type Mutant } from './raft/mutants.ts';

const ROOT = join(import.meta.dirname, '../..');
const TABLE = join(import.meta.dirname, 'MUTANTS.md');
const SHOWN_CHARACTERS = 110;
/** All that the simulator imports. */
const COPIED = ['engine', 'test/sim', 'test/support', 'package.json'];

interface Catch {
  readonly seed: number;
  readonly tried: number;
  readonly seconds: number;
  readonly invariant: string;
  readonly text: string;
}

const USAGE = `Known bugs are put back into Raft one at a time, and seeds are run until one fails.

  npm run sim:mutants                    all of them; writes the table to test/sim/MUTANTS.md
  npm run sim:mutants -- NAME ...        these; the other rows of the table stay

  --limit N   seeds after which a bug counts as missed (4000)
The exit code is 1 when one was missed.`;

const { values, positionals } = readArguments(USAGE, {
  allowPositionals: true,
  options: { limit: { type: 'string', default: '4000' } },
});
const limit = whole('--limit', values.limit, 1, MAX_COUNT);
const strange = positionals.find((wanted) => !MUTANTS.some(({ name }) => name === wanted));
if (strange !== undefined) refuse(`there is no bug '${strange}' in test/sim/raft/mutants.ts`);

const chosen = positionals.length === 0 ? MUTANTS : MUTANTS.filter(({ name }) => positionals.includes(name));
const copy = mkdtempSync(join(tmpdir(), 'millrace-mutants-'));
const rows = readTable();
try {
  for (const path of COPIED) cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  for (const mutant of chosen) {
    const found = hunt(mutant);
    const { name } = mutant;
    if (found === undefined) {
      rows.set(name, 'missed | | ');
      console.log(`${name.padEnd(32)} missed`);
      continue;
    }
    const { invariant, tried, seconds, text } = found;
    rows.set(name, `${invariant} | ${tried} | ${seconds.toFixed(1)}`);
    const start = text.split('\n')[0].slice(0, SHOWN_CHARACTERS);
    console.log(`${name.padEnd(32)} ${String(tried).padStart(5)} seeds ${seconds.toFixed(1).padStart(6)} s  ${start}`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
const summary = summarize();
console.log(summary);
writeTable();
process.exitCode = chosen.some(({ name }) => rows.get(name)!.startsWith('missed')) ? 1 : 0;

/** Runs seeds from 1 on until one fails. */
function hunt({ name, changes }: Mutant): Catch | undefined {
  const before = new Map<string, string>();
  try {
    for (const change of changes) apply(name, change, before);
    const args = [join(copy, 'test/sim/raft.ts'), '--seeds', '1', String(limit), '--stop', '--json'];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
    if (stderr.includes('Error')) throw new Error(`${name}: ${stderr}`);
    const line = stdout.split('\n')[0];
    return line === '' ? undefined : (JSON.parse(line) as Catch);
  } finally {
    for (const [path, text] of before) writeFileSync(path, text);
  }
}

function apply(name: string, { file, find, put }: Change, before: Map<string, string>): void {
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  if (!before.has(path)) before.set(path, text);
  const at = text.indexOf(find);
  if (at < 0 || text.indexOf(find, at + 1) >= 0) throw new Error(`${name}: ${file} does not have this once: ${find}`);
  writeFileSync(path, text.slice(0, at) + put + text.slice(at + find.length));
}

/** What is recorded: by name, the last three columns. */
function readTable(): Map<string, string> {
  const recorded = new Map<string, string>();
  if (!existsSync(TABLE)) return recorded;
  for (const line of readFileSync(TABLE, 'utf8').split('\n')) {
    const columns = line.split(' | ');
    if (columns.length >= 5) recorded.set(columns[0].slice(2), columns.slice(2).join(' | ').replace(/ \|$/, ''));
  }
  return recorded;
}

function summarize(): string {
  const results = MUTANTS.map(({ name }) => rows.get(name)).filter((row) => row !== undefined);
  const tries = results.filter((row) => !row.startsWith('missed')).map((row) => Number(row.split(' | ')[1]));
  tries.sort((a, b) => a - b);
  return `${tries.length} of ${results.length} caught; seeds needed: median ${tries[tries.length >> 1]}, most ${tries[tries.length - 1]}`;
}

function writeTable(): void {
  const recorded = MUTANTS.filter(({ name }) => rows.has(name));
  const text = [
    '# Known bugs, and how soon the simulator finds them',
    '',
    'Written by `npm run sim:mutants`: each bug is put back by itself (`raft/mutants.ts`), and seeds are run from 1 on until one fails.',
    `What the letters mean: \`raft/broken.ts\`. ${summary}. Node ${process.versions.node}.`,
    '',
    '| bug | what is wrong | caught by | seeds | seconds |',
    '| --- | --- | --- | ---: | ---: |',
    ...recorded.map(({ name, what }) => `| ${name} | ${what} | ${rows.get(name)} |`),
    '',
  ];
  writeFileSync(TABLE, text.join('\n'));
}
