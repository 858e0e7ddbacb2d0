/**
 * How good the simulator is: known bugs are put back one at a time, in a copy of the source, and seeds are run until one fails.
 *
 * ```
 * npm run sim:mutants                    all of them; writes the table to test/sim/MUTANTS.md
 * npm run sim:mutants -- NAME ...        these, and writes nothing
 *   --limit N                            seeds after which a bug counts as missed, 4000 unless told
 * ```
 *
 * The exit code is 1 when one was missed.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Change, MUTANTS, type Mutant } from './raft/mutants.ts';

const ROOT = join(import.meta.dirname, '../..');
const TABLE = join(import.meta.dirname, 'MUTANTS.md');
/** All that the simulator imports. */
const COPIED = ['engine', 'test/sim', 'test/support', 'package.json'];

interface Catch {
  readonly seed: number;
  readonly tried: number;
  readonly seconds: number;
  readonly invariant: string;
  readonly text: string;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { limit: { type: 'string', default: '4000' } },
});

const chosen = positionals.length === 0 ? MUTANTS : MUTANTS.filter(({ name }) => positionals.includes(name));
const copy = mkdtempSync(join(tmpdir(), 'millrace-mutants-'));
const rows: string[] = [];
const tries: number[] = [];
let missed = 0;
try {
  for (const path of COPIED) cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  for (const mutant of chosen) {
    const found = hunt(mutant);
    if (found === undefined) missed++;
    else tries.push(found.tried);
    const by = found === undefined ? '**missed**' : `${found.invariant} | ${found.tried} | ${found.seconds.toFixed(1)}`;
    console.log(
      `${mutant.name.padEnd(32)} ${by}${found === undefined ? '' : ` | ${found.text.split('\n')[0].slice(0, 110)}`}`,
    );
    rows.push(`| ${mutant.name} | ${mutant.what} | ${found === undefined ? 'missed | | ' : by} |`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
tries.sort((a, b) => a - b);
const summary = `${chosen.length - missed} of ${chosen.length} caught; seeds needed: median ${tries[tries.length >> 1]}, most ${tries[tries.length - 1]}`;
console.log(summary);
if (positionals.length === 0) writeTable();
process.exitCode = missed > 0 ? 1 : 0;

/** Runs seeds from 1 on until one fails. */
function hunt({ name, changes }: Mutant): Catch | undefined {
  const before = new Map<string, string>();
  try {
    for (const change of changes) apply(name, change, before);
    const args = [join(copy, 'test/sim/raft.ts'), '--seeds', '1', values.limit, '--stop', '--json'];
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

function writeTable(): void {
  const text = [
    '# Known bugs, and how soon the simulator finds them',
    '',
    'Written by `npm run sim:mutants`: each bug is put back by itself (`raft/mutants.ts`), and seeds are run from 1 on until one fails.',
    `What the letters mean: \`raft/broken.ts\`. ${summary}. Node ${process.versions.node}.`,
    '',
    '| bug | what is wrong | caught by | seeds | seconds |',
    '| --- | --- | --- | ---: | ---: |',
    ...rows,
    '',
  ];
  writeFileSync(TABLE, text.join('\n'));
}
