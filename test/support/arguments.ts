/**
 * The command lines of programs that people run here: the simulator, the tests at full length, the benches. Read strictly, as a run of
 * hours over a mistyped number proves nothing. A mistake is one line on standard error and exit code 1; `--help` prints the usage.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** Options, and the words that are none if `config` allows them. */
export function readArguments<T extends ParseArgsConfig>(usage: string, config: T): ReturnType<typeof parseArgs<T>> {
  const help = { type: 'boolean', short: 'h' } as const;
  try {
    const { values, positionals } = parseArgs({ ...config, options: { ...config.options, help } });
    if ((values as { help?: boolean }).help !== true) return { values, positionals } as ReturnType<typeof parseArgs<T>>;
  } catch (error) {
    refuse((error as Error).message.split('\n', 1)[0]);
  }
  console.log(usage.trimEnd());
  process.exit(0);
}

/** The value of an option that is a whole number. */
export function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  return refuse(`${name} takes a whole number from ${least} to ${most}, not '${text}'`);
}

/** The words of a comma-separated option, each of which has to be a known one. */
export function chosen(name: string, text: string, known: readonly string[]): string[] {
  const words = text.split(',');
  const strange = words.find((word) => !known.includes(word));
  return strange === undefined ? words : refuse(`${name}: '${strange}' is none of ${known.join(', ')}`);
}

/** `[rounds] [seed]`, as the tests at full length have them. */
export function roundsAndSeed(usage: string, rounds: number): { rounds: number; seed: number } {
  const { positionals } = readArguments(usage, { allowPositionals: true });
  if (positionals.length > 2) refuse(`expected [rounds] [seed], found '${positionals.join(' ')}'`);
  return {
    rounds: whole('rounds', positionals[0] ?? String(rounds), 1, MAX_COUNT),
    seed: whole('seed', positionals[1] ?? String(Date.now() % 1_000_000), 0, MAX_SEED),
  };
}

/** More than anybody waits for. */
export const MAX_COUNT = 1e9;
/** What generators are made from is 32 bits of it. */
export const MAX_SEED = 2 ** 32 - 1;
/** Of the programs that take several ports, the last of them has to exist, too. */
export const MAX_PORT = 65_000;

/** One line, and the end. */
export function refuse(message: string): never {
  console.error(message);
  process.exit(1);
}
