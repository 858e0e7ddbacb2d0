/** What a row of the command table is, and how a command's name in a request finds its row. */
import type { Call } from './call.ts';
import type { Footprint } from './footprint.ts';
import type { Request } from './request.ts';

/** Flags, in Redis's words; COMMAND INFO prints them in this order. */
export const WRITE = 1 << 0;
export const READONLY = 1 << 1;
export const DENYOOM = 1 << 2;
export const ADMIN = 1 << 3;
export const PUBSUB = 1 << 4;
export const NOSCRIPT = 1 << 5;
export const BLOCKING = 1 << 6;
export const LOADING = 1 << 7;
export const STALE = 1 << 8;
export const SKIP_SLOWLOG = 1 << 9;
export const FAST = 1 << 10;
export const NO_AUTH = 1 << 11;
export const MOVABLE_KEYS = 1 << 12;
export const ALLOW_BUSY = 1 << 13;
export const NO_ASYNC_LOADING = 1 << 14;
export const NO_MULTI = 1 << 15;

export const FLAG_NAMES = [
  'write',
  'readonly',
  'denyoom',
  'admin',
  'pubsub',
  'noscript',
  'blocking',
  'loading',
  'stale',
  'skip_slowlog',
  'fast',
  'no_auth',
  'movablekeys',
  'allow_busy',
  'no_async_loading',
  'no_multi',
] as const;

/**
 * Of our own, and told to nobody: what a write may need beside its request's bytes. It takes some memory, though Redis runs it where there
 * is none (no `denyoom`); it makes something as large as the values of its keys.
 */
export const GROWS = 1 << 16;
export const COPIES = 1 << 17;

/** Which shards a command needs beside those of its keys. */
export const SCOPE_KEYS = 0;
/** Every shard (DBSIZE, FLUSHALL, SCAN, …): all locks, run in one place. */
export const SCOPE_ALL = 1;
/** None: about the connection or the server; runs on the main thread. */
export const SCOPE_NONE = 2;

export interface CommandRow {
  /** Lower case; a subcommand's row is named `config|get`. */
  name: string;
  /** Number of arguments with the name; negative: at least that many. */
  arity: number;
  flags: number;
  /** First key argument (0 = no keys), last (negative: from the end), and the step between them. */
  firstKey: number;
  lastKey: number;
  keyStep: number;
  /** The group as `COMMAND DOCS` names it: string, list, hash, set, sorted-set, stream, generic, connection, server. */
  group: string;
  /** ACL categories beside those that follow from flags and group, e.g. `dangerous`, `keyspace`. */
  categories?: readonly string[];
  scope: number;
  since: string;
  complexity: string;
  /** One line of our own. */
  summary: string;
  /** For commands whose key positions depend on their arguments: pushes the argument indexes of the keys; false if malformed. */
  keys?: (request: Request, out: number[]) => boolean;
  /**
   * For commands that may need far more memory than their arguments have bytes, but for `COPIES`: adds what the one in `call` makes.
   * `ahead` is what writes before it that have not run may have added. Under the locks of its shards.
   */
  makes?: (call: Call, ahead: number, to: Footprint) => void;
  subcommands?: readonly CommandRow[];
  /** Runs the command: reads `call`, writes exactly one reply into `call.reply`. */
  run: (call: Call) => void;
}

/**
 * A row as the table keeps it. Rows are written as literals of many shapes; here all have one, so that the dispatcher
 * reads any of them as fast as if there were one command.
 */
export class TableRow implements CommandRow {
  readonly name: string;
  readonly arity: number;
  readonly flags: number;
  readonly firstKey: number;
  readonly lastKey: number;
  readonly keyStep: number;
  readonly group: string;
  readonly categories: readonly string[] | undefined;
  readonly scope: number;
  readonly since: string;
  readonly complexity: string;
  readonly summary: string;
  readonly keys: CommandRow['keys'];
  readonly makes: CommandRow['makes'];
  subcommands: readonly TableRow[] | undefined;
  readonly run: (call: Call) => void;
  /** Index in the table; the same on every thread. */
  readonly id: number;

  constructor(row: CommandRow, id: number) {
    this.name = row.name;
    this.arity = row.arity;
    this.flags = row.flags;
    this.firstKey = row.firstKey;
    this.lastKey = row.lastKey;
    this.keyStep = row.keyStep;
    this.group = row.group;
    this.categories = row.categories;
    this.scope = row.scope;
    this.since = row.since;
    this.complexity = row.complexity;
    this.summary = row.summary;
    this.keys = row.keys;
    this.makes = row.makes;
    this.subcommands = undefined;
    this.run = row.run;
    this.id = id;
  }
}

const TABLE_SLOTS = 2048;
/** The bytes of a little-endian word that a name of so many letters fills. */
const WORD_MASKS = Int32Array.of(0, 0xff, 0xffff, 0xffffff, -1);

/** The command table: rows by id, and a case-blind lookup by the bytes of a name that makes no string. */
export class CommandTable {
  /** By id; a subcommand's row follows that of its container. */
  readonly rows: TableRow[] = [];
  private readonly slots = new Int16Array(TABLE_SLOTS).fill(-1);
  private readonly names: Uint8Array[] = [];
  /** The row last found by a name of up to four letters, the name as a word in lower case, and its length (0 = none). */
  private last = 0;
  private lastWord = 0;
  private lastLength = 0;

  constructor(rows: readonly CommandRow[]) {
    for (const row of rows) this.add(row);
  }

  /** The rows that can be called by name, without subcommands. */
  get topLevel(): TableRow[] {
    return this.rows.filter((row) => !row.name.includes('|'));
  }

  private number(row: CommandRow): TableRow {
    const kept = new TableRow(row, this.rows.length);
    this.rows.push(kept);
    return kept;
  }

  private add(row: CommandRow): void {
    const kept = this.number(row);
    const name = new TextEncoder().encode(row.name);
    this.names[kept.id] = name;
    let slot = nameHash(name, 0, name.length);
    while (this.slots[slot] >= 0) slot = (slot + 1) & (TABLE_SLOTS - 1);
    this.slots[slot] = kept.id;
    kept.subcommands = row.subcommands?.map((sub) => this.number(sub));
  }

  /**
   * The row that a request calls: of its subcommand where the command has some. Undefined when there is no such
   * command or subcommand; `unknownCommand` says which.
   */
  resolve(request: Request): TableRow | undefined {
    const start = request.off[0];
    const length = request.len[0];
    // A pipeline is mostly one short command over and over: its name is compared as one word.
    if (length === this.lastLength && start + 4 <= request.buf.length) {
      const word = (request.view.getInt32(start, true) | 0x20202020) & WORD_MASKS[length];
      if (word === this.lastWord) return this.rows[this.last];
    }
    const row = this.find(request.buf, start, length);
    if (row?.subcommands === undefined) {
      if (row !== undefined) this.remember(row, length);
      return row;
    }
    if (request.argc < 2) return row;
    for (const sub of row.subcommands) {
      if (request.is(1, sub.name.slice(row.name.length + 1).toUpperCase())) return sub;
    }
    return undefined;
  }

  /** The row of a name in any case, a subcommand's written `config|get`; undefined when there is none. Cold. */
  named(name: string): TableRow | undefined {
    const wanted = name.toLowerCase();
    return this.rows.find((row) => row.name === wanted);
  }

  private remember(row: TableRow, length: number): void {
    if (length > 4) return;
    const name = this.names[row.id];
    let word = 0;
    for (let i = 0; i < length; i++) word |= name[i] << (i * 8);
    // The shortcut tells letters only: a name with anything else in it must not be taken for one without.
    if (!/^[a-z]+$/.test(row.name)) return;
    this.last = row.id;
    this.lastWord = word;
    this.lastLength = length;
  }

  /** The row named by `length` bytes at `start`, in any case; undefined when there is none. About 10 ns. */
  find(buf: Uint8Array, start: number, length: number): TableRow | undefined {
    let slot = nameHash(buf, start, length);
    for (;;) {
      const id = this.slots[slot];
      if (id < 0) return undefined;
      if (sameName(this.names[id], buf, start, length)) return this.rows[id];
      slot = (slot + 1) & (TABLE_SLOTS - 1);
    }
  }
}

function nameHash(buf: Uint8Array, start: number, length: number): number {
  let hash = length;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ (buf[start + i] | 32), 0x01000193);
  return ((hash ^ (hash >>> 15)) & (TABLE_SLOTS - 1)) >>> 0;
}

function sameName(name: Uint8Array, buf: Uint8Array, start: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let i = 0; i < length; i++) {
    let byte = buf[start + i];
    if (byte >= 65 && byte <= 90) byte += 32;
    if (byte !== name[i]) return false;
  }
  return true;
}

const MAX_SHOWN_BYTES = 128;

/** The error for a request whose command, or subcommand, is not in the table. */
export function unknownCommand(table: CommandTable, request: Request): string {
  const name = request.shown(0, MAX_SHOWN_BYTES);
  if (table.find(request.buf, request.off[0], request.len[0]) !== undefined) {
    return `ERR unknown subcommand '${request.shown(1, MAX_SHOWN_BYTES)}'. Try ${name.toUpperCase()} HELP.`;
  }
  let shown = '';
  for (let i = 1; i < request.argc && shown.length < MAX_SHOWN_BYTES; i++) {
    shown += `'${request.shown(i, MAX_SHOWN_BYTES - shown.length)}' `;
  }
  return `ERR unknown command '${name}', with args beginning with: ${shown}`;
}

/** Whether the number of arguments fits the row. */
export function arityFits(row: CommandRow, argc: number): boolean {
  return row.arity >= 0 ? argc === row.arity : argc >= -row.arity;
}
