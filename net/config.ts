/**
 * The configuration of a node: read from a redis.conf-style file and `--flag value` flags, changed by CONFIG SET,
 * written back by CONFIG REWRITE. Lives on the main thread; what other threads read at work is written through to
 * engine/settings.ts. Read net/config-options.ts for what there is, net/config-kinds.ts for how values are read.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { globMatch } from '../engine/glob.ts';
import { MAXMEMORY_POLICIES, SETTINGS, type SettingName, Settings } from '../engine/settings.ts';
import {
  ConfigError,
  type ConfigLine,
  firstWord,
  quoteWord,
  readConfigFile,
  readConfigInput,
  rewriteText,
  splitWords,
  withoutMark,
} from './config-file.ts';
import type { Parsed } from './config-kinds.ts';
import {
  NAMES,
  nearestName,
  OPTION_NAMES,
  OPTIONS,
  type Option,
  type OptionName,
  type OptionValue,
} from './config-options.ts';
import { replaceFile, systemMessage } from './files.ts';

export { ConfigError } from './config-file.ts';
export type { OutputLimit, OutputLimits } from './config-kinds.ts';
export type { OptionName, OptionValue } from './config-options.ts';

/** Called with the new value; a text it returns refuses the change, and CONFIG SET puts everything back. */
export type ChangeHook<N extends OptionName> = (value: OptionValue<N>) => string | undefined;

/** What the command line asks for. */
export type Action = 'run' | 'help' | 'version' | 'plan-repair' | 'repair' | 'export-rdb';

interface Entry {
  value: unknown;
  text: string;
}

const policies: readonly string[] = MAXMEMORY_POLICIES;
const settingNames: ReadonlySet<string> = new Set(SETTINGS.map((row) => row[0]));

/** An option's row, seen without its type: what the generic code below works on. */
function optionOf(name: OptionName): Option<unknown> {
  return OPTIONS[name] as unknown as Option<unknown>;
}

/** All unknown options at once: whoever comes with a configuration of Redis has many. */
function unknownText(lines: readonly ConfigLine[]): string {
  // What follows a '=' was meant as a value, and may be a password.
  const [name, ...more] = new Set(lines.map(({ words }) => words[0].replace(/=.*/s, '=')));
  const rest = more.length === 0 ? '' : `; unknown too: ${more.join(', ')}`;
  return `unknown option '${name}' ${lines[0].where}; ${hintOn(name)}${rest}`;
}

function hintOn(name: string): string {
  if (name.endsWith('=')) return 'there is a space between an option and its value';
  const near = nearestName(name);
  return near === undefined ? '--help lists all there are' : `did you mean '${near}'?`;
}

export class Config {
  readonly settings: Settings;
  /** Absolute path of the file the configuration came from; empty when there is none. */
  file = '';
  /** What was read, for people: the file, or 'standard input'; '' for nothing. */
  source = '';
  /** Absolute path of what export-rdb writes. */
  exportFile = '';
  private readonly entries = new Map<OptionName, Entry>();
  private readonly hooks = new Map<OptionName, ((value: never) => string | undefined)[]>();
  /** Options that a file included by the main one sets: CONFIG REWRITE has to overrule it at the end of the main file. */
  private readonly included = new Set<OptionName>();

  constructor(settings = new Settings()) {
    this.settings = settings;
    for (const name of OPTION_NAMES) this.store(name, defaultEntry(name));
  }

  get<N extends OptionName>(name: N): OptionValue<N> {
    return this.entry(name).value as OptionValue<N>;
  }

  /** The value as CONFIG GET shows it. */
  text(name: OptionName): string {
    return this.entry(name).text;
  }

  /** Sets an option from inside the server, past its check, and runs its hooks. */
  set<N extends OptionName>(name: N, value: OptionValue<N>): void {
    this.store(name, { value, text: optionOf(name).kind.format(value) });
    this.runHooks(name);
  }

  /** Has `hook` called after every change of an option at run time (not while files and flags are read). */
  onChange<N extends OptionName>(name: N, hook: ChangeHook<N>): void {
    const hooks = this.hooks.get(name) ?? [];
    hooks.push(hook);
    this.hooks.set(name, hooks);
  }

  /**
   * Reads the command line: an optional file first (`-` for standard input), then flags, which overrule it. Throws
   * ConfigError, whose message is the one line to print.
   */
  parseArgs(args: readonly string[]): Action {
    if (args[0] === 'export-rdb') return this.parseExport(args.slice(1));
    let from = 0;
    let action: Action = 'run';
    if (args.length > 0 && args[0] === '-') {
      this.source = 'standard input';
      this.apply(readConfigInput(this.source));
      from = 1;
    } else if (args.length > 0 && !args[0].startsWith('-')) {
      this.loadFile(args[0]);
      from = 1;
    }
    const flags: ConfigLine[] = [];
    for (let i = from; i < args.length; ) {
      if (args[i] === '--help' || args[i] === '-h') return 'help';
      if (args[i] === '--version' || args[i] === '-v') return 'version';
      if (args[i] === '--repair') {
        action = args[i + 1] === 'yes' ? 'repair' : 'plan-repair';
        i += action === 'repair' ? 2 : 1;
        continue;
      }
      if (!args[i].startsWith('--')) throw new ConfigError(`expected a --flag, found '${args[i]}' on the command line`);
      // As with Redis a flag and its value may come as one argument: '--port 7000'.
      const words = splitWords(args[i++].slice(2)) ?? [];
      if (words.length === 0) throw new ConfigError("expected the name of an option behind '--' on the command line");
      if (words.length === 1) {
        // The word behind a flag is its value even if it looks like a flag itself; only `--save` may stand alone.
        const alone = words[0].toLowerCase() === 'save' && (i === args.length || args[i].startsWith('--'));
        if (alone) words.push('');
        else if (i < args.length) words.push(args[i++]);
      }
      while (i < args.length && !args[i].startsWith('--')) words.push(args[i++]);
      flags.push({ words, where: 'on the command line', included: false });
    }
    this.apply(flags);
    if (this.get('workers') > this.get('shards')) {
      throw new ConfigError(`${this.get('workers')} workers need as many shards, but there are ${this.get('shards')}`);
    }
    return action;
  }

  /** `export-rdb [--option value ...] file`, the file first or last. */
  private parseExport(args: readonly string[]): Action {
    const isFirst = args.length > 0 && !args[0].startsWith('-');
    const file = isFirst ? args[0] : args[args.length - 1];
    const rest = isFirst ? args.slice(1) : args.slice(0, -1);
    if (args.includes('--help') || args.includes('-h')) return 'help';
    if (file === undefined || file.startsWith('-'))
      throw new ConfigError('export-rdb needs the name of a file to write');
    const action = this.parseArgs(rest);
    if (action !== 'run') throw new ConfigError('export-rdb takes options only');
    this.exportFile = resolve(file);
    return 'export-rdb';
  }

  /** Reads a configuration file, with what it includes. Throws ConfigError. */
  loadFile(path: string): void {
    this.file = resolve(path);
    this.source = this.file;
    this.apply(readConfigFile(this.file));
  }

  private apply(lines: readonly ConfigLine[]): void {
    const joined = joinSaveLines(lines);
    const unknown = joined.filter(({ words }) => !NAMES.has(words[0].toLowerCase()));
    if (unknown.length > 0) throw new ConfigError(unknownText(unknown));
    for (const { words, where, included } of joined) {
      const name = NAMES.get(words[0].toLowerCase()) as OptionName;
      const { kind, sensitive } = optionOf(name);
      // Several words may also be quoted as one: --bind '127.0.0.1 ::1'.
      const given = kind.many && words.length === 2 ? words[1].split(' ') : words.slice(1);
      if (given.length === 0 || (given.length > 1 && !kind.many)) {
        throw new ConfigError(`wrong number of arguments for '${words[0]}' ${where}; it takes ${kind.takes}`);
      }
      const parsed = this.parse(name, given);
      if ('error' in parsed) {
        const shown = sensitive ? '' : ` '${given.join(' ')}'`;
        const why = parsed.refused ? parsed.error : `it takes ${kind.takes}`;
        throw new ConfigError(`bad value${shown} for '${words[0]}' ${where}: ${why}`);
      }
      this.store(name, parsed);
      if (included) this.included.add(name);
    }
  }

  /** The name and text of every option that one of the patterns means, each once: the reply of CONFIG GET. */
  match(patterns: readonly string[]): [name: string, text: string][] {
    // By name in lower case, since the name in the reply is spelled as in the question.
    const found = new Map<string, [string, string]>();
    for (const pattern of patterns) {
      if (!/[*?[]/.test(pattern)) {
        const name = NAMES.get(pattern.toLowerCase());
        if (name !== undefined && !found.has(pattern.toLowerCase())) {
          found.set(pattern.toLowerCase(), [pattern, this.text(name)]);
        }
        continue;
      }
      const p = Buffer.from(pattern);
      for (const [known, name] of NAMES) {
        const t = Buffer.from(known);
        if (found.has(known) || !globMatch(p, 0, p.length, t, 0, t.length, true)) continue;
        found.set(known, [known, this.text(name)]);
      }
    }
    return [...found.values()];
  }

  /** CONFIG SET: all pairs or none. Undefined when they are set, else the error reply. */
  setMany(pairs: readonly (readonly [name: string, value: string])[]): string | undefined {
    const failed = (typed: string, reason: string): string =>
      `ERR CONFIG SET failed (possibly related to argument '${typed}') - ${reason}`;
    const seen = new Set<string>();
    const wanted: { typed: string; name: OptionName; value: string }[] = [];
    for (const [typed, value] of pairs) {
      const name = NAMES.get(typed.toLowerCase());
      if (name === undefined) return `ERR Unknown option or number of arguments for CONFIG SET - '${typed}'`;
      const { fixed } = optionOf(name);
      if (fixed !== undefined) return failed(typed, `can't set ${fixed} config`);
      if (seen.has(typed.toLowerCase())) return failed(typed, 'duplicate parameter');
      seen.add(typed.toLowerCase());
      wanted.push({ typed, name, value });
    }

    const before = new Map<OptionName, Entry>();
    const putBack = (): void => {
      for (const [name, entry] of before) this.store(name, entry);
    };
    for (const { typed, name, value } of wanted) {
      const parsed = this.parse(name, optionOf(name).kind.many ? value.split(' ') : [value]);
      if ('error' in parsed) {
        putBack();
        return failed(typed, parsed.error);
      }
      if (parsed.text === this.text(name)) continue;
      if (!before.has(name)) before.set(name, this.entry(name));
      this.store(name, parsed);
    }
    for (const name of before.keys()) {
      const refusal = this.runHooks(name);
      if (refusal === undefined) continue;
      putBack();
      for (const restored of before.keys()) this.runHooks(restored);
      return failed(wanted.findLast((each) => each.name === name)?.typed ?? name, refusal);
    }
    return undefined;
  }

  /** CONFIG REWRITE: writes the values of now into the file they were read from. Undefined when done, else the error reply. */
  rewrite(): string | undefined {
    if (this.file === '') return 'ERR The server is running without a config file';
    try {
      const text = withoutMark(readFileSync(this.file, 'latin1'));
      const inFile = new Set(text.split('\n').map((line) => NAMES.get(firstWord(line))));
      const wanted = new Map<string, { lines: string[]; atEnd: boolean }>();
      for (const name of OPTION_NAMES) {
        const atEnd = this.included.has(name);
        // The next start may be from elsewhere, so where this one was is always told.
        const isDefault = name !== 'dir' && this.isDefault(name);
        if (isDefault && !inFile.has(name) && !atEnd) continue;
        const lines = optionOf(name).kind.lines(this.get(name));
        wanted.set(name, { lines: lines.map((words) => [name, ...words.map(quoteWord)].join(' ')), atEnd });
      }
      replaceFile(
        this.file,
        rewriteText(text, (word) => NAMES.get(word), wanted),
      );
      return undefined;
    } catch (error) {
      return `ERR Rewriting config file: ${systemMessage(error)}`;
    }
  }

  isDefault(name: OptionName): boolean {
    return this.text(name) === defaultEntry(name).text;
  }

  private entry(name: OptionName): Entry {
    return this.entries.get(name) as Entry;
  }

  private parse(name: OptionName, words: readonly string[]): Parsed<unknown> {
    const { kind, check, adjust } = optionOf(name);
    const parsed = kind.parse(words, this.get(name));
    if ('error' in parsed) return parsed;
    const value = adjust === undefined ? parsed.value : adjust(parsed.value);
    const error = check?.(value);
    if (error !== undefined) return { error, refused: true };
    return value === parsed.value ? parsed : { value, text: kind.format(value) };
  }

  private store(name: OptionName, entry: Entry): void {
    this.entries.set(name, entry);
    if (!settingNames.has(name)) return;
    const number = name === 'maxmemory-policy' ? policies.indexOf(entry.text) : Number(entry.value);
    this.settings.set(name as SettingName, number);
  }

  private runHooks(name: OptionName): string | undefined {
    for (const hook of this.hooks.get(name) ?? []) {
      const refusal = hook(this.get(name) as never);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }
}

/** Lines of save points add up, up to one that is empty: all of them as one line, in the place of the last. */
function joinSaveLines(lines: readonly ConfigLine[]): readonly ConfigLine[] {
  const isSave = (line: ConfigLine): boolean => line.words[0].toLowerCase() === 'save';
  const saves = lines.filter(isSave);
  if (saves.length < 2) return lines;
  let points: string[] = [];
  for (const { words } of saves) {
    const given = words
      .slice(1)
      .flatMap((word) => word.split(' '))
      .filter((word) => word !== '');
    points = given.length === 0 ? [] : [...points, ...given];
  }
  const last = saves[saves.length - 1];
  const joined = { ...last, words: [last.words[0], ...(points.length === 0 ? [''] : points)] };
  return lines.filter((line) => !isSave(line) || line === last).map((line) => (line === last ? joined : line));
}

function defaultEntry(name: OptionName): Entry {
  const option = optionOf(name);
  const value = option.adjust === undefined ? option.default : option.adjust(option.default);
  return { value, text: option.kind.format(value) };
}

/** What `--help` prints. */
export function helpText(): string {
  const rows = OPTION_NAMES.map((name) => {
    const option = optionOf(name);
    const value = quoteWord(name === 'dir' ? '.' : option.kind.format(option.default));
    return `  --${name} <${option.kind.takes}>\n        ${option.help} (default ${value})`;
  });
  return [
    'Usage: millrace [file | -] [--option value ...]',
    '       millrace export-rdb [--dir <directory>] <file>',
    '',
    'The file is written like redis.conf; - reads it from standard input. Flags overrule it.',
    '  --help, -h     print this',
    '  --version, -v  print the version',
    '  --repair       say what is damaged in the directory, and what a repair would lose; exit code 1 if anything is',
    '  --repair yes   repair it; what is taken away stays beside the log as *.damaged',
    '',
    'export-rdb writes what a stopped node holds as a file that redis-server loads.',
    '',
    'Options:',
    ...rows,
    '',
  ].join('\n');
}
