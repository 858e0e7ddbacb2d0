/** COMMAND: what the command table holds, told to clients in Redis's form. Main thread, cold. */
import type { Call } from '../../engine/call.ts';
import { arityFits, type CommandRow, FLAG_NAMES, LOADING, SCOPE_NONE, STALE } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { ERR } from '../../engine/errors.ts';
import { globMatch } from '../../engine/glob.ts';
import type { Reply } from '../../engine/reply.ts';
import { Request } from '../../engine/request.ts';
import type { Node } from '../node.ts';
import { categoriesOf } from './categories.ts';
import { writeDocs } from './command-docs.ts';
import { byName, TIPS } from './command-facts.ts';
import { type KeyUse, keysOf, mayHaveKeys, writeKeySpecs } from './keyspecs.ts';
import { containerRow } from './subcommands.ts';

const HELP = [
  '(no subcommand)',
  '    Details of every command.',
  'COUNT',
  '    How many commands there are.',
  'DOCS [<command> ...]',
  '    What the commands, or all, are for and how they are called.',
  'GETKEYS <command> [<argument> ...]',
  '    The keys among the arguments of a whole command.',
  'GETKEYSANDFLAGS <command> [<argument> ...]',
  '    The same, with what the command does to each key.',
  'INFO [<command> ...]',
  '    Details of the commands, or of all.',
  'LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]',
  '    The names of all commands, or of some.',
];

const tips = byName(TIPS);
const NO_MULTI_NAME = 'no_multi';

function flagsOf(row: CommandRow): string[] {
  const names = FLAG_NAMES.filter((_, bit) => (row.flags & (1 << bit)) !== 0) as string[];
  // Redis prints this one before allow_busy and movablekeys.
  if (!names.includes(NO_MULTI_NAME)) return names;
  const others = names.filter((name) => name !== NO_MULTI_NAME);
  const at = others.findIndex((name) => name === 'movablekeys' || name === 'allow_busy');
  return at < 0 ? names : [...others.slice(0, at), NO_MULTI_NAME, ...others.slice(at)];
}

function writeStatusSet(reply: Reply, words: readonly string[]): void {
  reply.setHeader(words.length);
  for (const word of words) reply.simple(word);
}

/** The ten elements of one command. */
function writeInfo(reply: Reply, row: CommandRow): void {
  reply.arrayHeader(10);
  reply.bulkString(row.name);
  reply.int(row.arity);
  writeStatusSet(reply, flagsOf(row));
  reply.int(row.firstKey);
  reply.int(row.lastKey);
  reply.int(row.keyStep);
  writeStatusSet(
    reply,
    categoriesOf(row).map((category) => `@${category}`),
  );
  const hints = tips.get(row.name)?.split(' ') ?? [];
  reply.setHeader(hints.length);
  for (const hint of hints) reply.bulkString(hint);
  writeKeySpecs(reply, row.name);
  if (row.subcommands === undefined) return reply.setHeader(0);
  reply.arrayHeader(row.subcommands.length);
  for (const sub of row.subcommands) writeInfo(reply, sub);
}

/** The command that stands in a request's arguments from 2 on, as a request of its own. */
function embedded(call: Call): Request {
  const inner = new Request();
  inner.buf = call.buf;
  inner.argc = call.argc - 2;
  inner.reserveArgs(inner.argc);
  inner.off.set(call.off.subarray(2, call.argc));
  inner.len.set(call.len.subarray(2, call.argc));
  return inner;
}

export function commandRow(node: Node): CommandRow {
  function all(call: Call): void {
    const rows = node.table.topLevel;
    call.reply.arrayHeader(rows.length);
    for (const row of rows) writeInfo(call.reply, row);
  }

  function count(call: Call): void {
    call.reply.int(node.table.topLevel.length);
  }

  function info(call: Call): void {
    if (call.argc === 2) return all(call);
    call.reply.arrayHeader(call.argc - 2);
    for (let i = 2; i < call.argc; i++) {
      const row = node.table.named(call.str(i));
      if (row === undefined) call.reply.nil();
      else writeInfo(call.reply, row);
    }
  }

  function docs(call: Call): void {
    const rows = call.argc === 2 ? node.table.topLevel : [];
    for (let i = 2; i < call.argc; i++) {
      const row = node.table.named(call.str(i));
      if (row !== undefined) rows.push(row);
    }
    call.reply.mapHeader(rows.length);
    for (const row of rows) writeDocs(call.reply, row);
  }

  function list(call: Call): void {
    const names = filteredNames(call);
    if (names === undefined) return call.reply.error(ERR.SYNTAX);
    call.reply.arrayHeader(names.length);
    for (const name of names) call.reply.bulkString(name);
  }

  function filteredNames(call: Call): string[] | undefined {
    const rows = node.table.rows;
    if (call.argc === 2) return rows.map((row) => row.name);
    if (call.argc !== 5 || !call.is(2, 'FILTERBY')) return undefined;
    // There are no modules.
    if (call.is(3, 'MODULE')) return [];
    if (call.is(3, 'ACLCAT')) {
      const wanted = call.str(4).toLowerCase();
      return rows.filter((row) => categoriesOf(row).includes(wanted)).map((row) => row.name);
    }
    if (!call.is(3, 'PATTERN')) return undefined;
    const matches = (name: string): boolean => {
      const bytes = Buffer.from(name);
      return globMatch(call.buf, call.off[4], call.len[4], bytes, 0, bytes.length, true);
    };
    return rows.map((row) => row.name).filter(matches);
  }

  /** The keys of the command in the arguments; undefined when it has replied an error. */
  function embeddedKeys(call: Call, inner: Request): KeyUse[] | undefined {
    const row = node.table.resolve(inner);
    let error = 'ERR Invalid arguments specified for command';
    if (row === undefined) error = 'ERR Invalid command specified';
    else if (!mayHaveKeys(row)) error = 'ERR The command has no key arguments';
    else if (!arityFits(row, inner.argc)) error = 'ERR Invalid number of arguments specified for command';
    else {
      const keys = keysOf(row, inner);
      if (keys !== undefined) return keys;
    }
    call.reply.error(error);
    return undefined;
  }

  function getKeys(call: Call): void {
    const inner = embedded(call);
    const keys = embeddedKeys(call, inner);
    if (keys === undefined) return;
    call.reply.arrayHeader(keys.length);
    for (const { argument } of keys) call.reply.bulk(inner.buf, inner.off[argument], inner.len[argument]);
  }

  function getKeysAndFlags(call: Call): void {
    const inner = embedded(call);
    const keys = embeddedKeys(call, inner);
    if (keys === undefined) return;
    call.reply.arrayHeader(keys.length);
    for (const { argument, flags } of keys) {
      call.reply.arrayHeader(2);
      call.reply.bulk(inner.buf, inner.off[argument], inner.len[argument]);
      writeStatusSet(call.reply, flags);
    }
  }

  const row = rowMaker('server', ['connection'], SCOPE_NONE);
  const flags = LOADING | STALE;
  const perCommand = 'O(N) where N is the number of commands';
  const perArgument = "O(N) where N is the number of the command's arguments";
  const container = containerRow('command', '2.8.13', 'Details of every command', '5.0.0', HELP, [
    row('command|count', 2, flags, NO_KEYS, '2.8.13', 'O(1)', 'Counts the commands', count),
    row('command|docs', -2, flags, NO_KEYS, '7.0.0', perCommand, 'Tells what commands are for', docs),
    row('command|getkeys', -4, flags, NO_KEYS, '2.8.13', perArgument, 'Finds the keys of a command', getKeys),
    row(
      'command|getkeysandflags',
      -4,
      flags,
      NO_KEYS,
      '7.0.0',
      perArgument,
      'Finds the keys of a command and what it does to them',
      getKeysAndFlags,
    ),
    row('command|info', -2, flags, NO_KEYS, '2.8.13', perCommand, 'Returns details of commands', info),
    row('command|list', -2, flags, NO_KEYS, '7.0.0', perCommand, 'Lists the names of commands', list),
  ]);
  // Unlike other containers it does something by itself, and is in the category of its subcommands, HELP included.
  const subcommands = container.subcommands?.map((sub) => ({ ...sub, categories: ['connection'] }));
  return { ...container, arity: -1, flags, categories: ['connection'], complexity: perCommand, run: all, subcommands };
}
