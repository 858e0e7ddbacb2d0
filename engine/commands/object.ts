/**
 * OBJECT: what a Redis server would tell of how a key is kept, and when or how often it was used. Handlers; run under
 * the lock of the key's shard and leave the access clock alone.
 */
import { idleMs, lfuCounter } from '../access.ts';
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { type CommandRow, LOADING, READONLY, SCOPE_NONE, STALE } from '../command.ts';
import { ERR } from '../errors.ts';
import { lookupPeek } from '../keyspace.ts';
import { encodingName } from '../types/encoding.ts';
import { stringLength, stringStart } from '../types/string.ts';
import { type KeyPositions, NO_KEYS, rowMaker } from './rows.ts';

/** Redis keeps one object for each integer below this, and gives it a reference count that stands for "shared". */
const SHARED_INTEGERS = 10000;
const SHARED_REFERENCES = 2147483647;

const POLICY_NOTE =
  'Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.';
const NOT_LFU = `ERR An LFU maxmemory policy is not selected, access frequency not tracked. ${POLICY_NOTE}`;
const NOT_LRU = `ERR An LFU maxmemory policy is selected, idle time not tracked. ${POLICY_NOTE}`;

function encoding(c: Call): void {
  const record = lookupPeek(c, 2);
  if (record === 0) c.reply.nil();
  else c.reply.bulkString(encodingName(c.arena, record));
}

function refcount(c: Call): void {
  const record = lookupPeek(c, 2);
  if (record === 0) c.reply.nil();
  else c.reply.int(isSharedInteger(c, c.arena, record) ? SHARED_REFERENCES : 1);
}

function isSharedInteger(c: Call, a: Arena, record: Offset): boolean {
  if (encodingName(a, record) !== 'int') return false;
  c.longAt(a.u8, stringStart(a, record), stringLength(a, record));
  return c.num >= 0 && c.num < SHARED_INTEGERS;
}

function freq(c: Call): void {
  const record = lookupPeek(c, 2);
  if (record === 0) c.reply.nil();
  else if (!c.lfu) c.reply.error(NOT_LFU);
  else c.reply.int(lfuCounter(c, c.arena.u32[(record + 4) >>> 2]));
}

function idletime(c: Call): void {
  const record = lookupPeek(c, 2);
  if (record === 0) c.reply.nil();
  else if (c.lfu) c.reply.error(NOT_LRU);
  else c.reply.int(Math.floor(idleMs(c.arena, record, c.nowMs) / 1000));
}

const HELP = [
  'OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
  'ENCODING <key>',
  '    How a Redis server would keep the value.',
  'FREQ <key>',
  '    How often the key was used, on a logarithmic scale from 0 to 255.',
  'IDLETIME <key>',
  '    Seconds since the key was last used.',
  'REFCOUNT <key>',
  '    1, or 2147483647 for an integer that a Redis server would share.',
  'HELP',
  '    This text.',
];

function help(c: Call): void {
  c.reply.arrayHeader(HELP.length);
  for (const line of HELP) c.reply.simple(line);
}

const KEY: KeyPositions = [2, 2, 1];
const row = rowMaker('generic', ['keyspace']);
const keyless = rowMaker('generic', ['keyspace'], SCOPE_NONE);
const container = rowMaker('generic', [], SCOPE_NONE);

/** The container's own handler never runs: a request names a subcommand or has too few arguments. */
export const objectRow: CommandRow = {
  ...container('object', -2, 0, NO_KEYS, '2.2.3', 'By subcommand', 'How a key is kept and used', (c) => {
    c.reply.error(ERR.SYNTAX);
  }),
  subcommands: [
    row('object|encoding', 3, READONLY, KEY, '2.2.3', 'O(1)', 'Names the encoding of a value', encoding),
    row('object|freq', 3, READONLY, KEY, '4.0.0', 'O(1)', 'Returns how often a key was used', freq),
    keyless('object|help', 2, LOADING | STALE, NO_KEYS, '6.2.0', 'O(1)', 'Explains the subcommands', help),
    row(
      'object|idletime',
      3,
      READONLY,
      KEY,
      '2.2.3',
      'O(1)',
      'Returns the seconds since a key was last used',
      idletime,
    ),
    row('object|refcount', 3, READONLY, KEY, '2.2.3', 'O(1)', 'Returns the reference count of a value', refcount),
  ],
};
