/**
 * XINFO: what a stream is made of. Handlers, run under the lock of the key's shard. There are no consumer groups, so the
 * lists of them are empty.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { type CommandRow, LOADING, READONLY, SCOPE_NONE, STALE } from '../command.ts';
import { ERR } from '../errors.ts';
import { lookupRead } from '../keyspace.ts';
import { recordType, TYPE_STREAM, valueWord } from '../record.ts';
import {
  addedWord,
  deletedIdWord,
  firstIdWord,
  lastIdWord,
  replyEdge,
  replyRange,
  streamLength,
} from '../types/stream.ts';
import { ID_WORDS, maximumId, replyId } from '../types/stream-id.ts';
import { indexNodes } from '../types/stream-index.ts';
import { radixNodes } from '../types/stream-radix.ts';
import { type KeyPositions, NO_KEYS, rowMaker } from './rows.ts';

const FULL_COUNT = 10;

const lowest = new Uint32Array(ID_WORDS);
const highest = new Uint32Array(ID_WORDS);
maximumId(highest, 0);

/** The root of the stream in argument 2; 0 after an error reply. */
function lookupStream(c: Call): Offset {
  const record = lookupRead(c, 2);
  if (record !== 0 && recordType(c.arena, record) === TYPE_STREAM) return valueWord(c.arena, record);
  c.reply.error(record === 0 ? ERR.NO_SUCH_KEY : ERR.WRONGTYPE);
  return 0;
}

function stream(c: Call): void {
  const root = lookupStream(c);
  if (root === 0) return;
  const a = c.arena;
  const { reply } = c;
  if (c.argc === 3) {
    reply.mapHeader(10);
    common(c, a, root);
    reply.bulkString('groups');
    reply.int(0);
    reply.bulkString('first-entry');
    replyEdge(a, root, false, reply);
    reply.bulkString('last-entry');
    return replyEdge(a, root, true, reply);
  }
  const count = fullCount(c);
  if (count < 0) return;
  reply.mapHeader(9);
  common(c, a, root);
  reply.bulkString('entries');
  replyRange(a, root, lowest, 0, highest, 0, count, false, reply);
  reply.bulkString('groups');
  reply.arrayHeader(0);
}

/** Reads `FULL [COUNT n]`; -1 after an error reply. */
function fullCount(c: Call): number {
  const isFull = (c.argc === 4 || c.argc === 6) && c.is(3, 'FULL');
  if (!isFull || (c.argc === 6 && !c.is(4, 'COUNT'))) {
    c.reply.error(`ERR unknown subcommand or wrong number of arguments for '${c.shown(1)}'. Try XINFO HELP.`);
    return -1;
  }
  if (c.argc === 4) return FULL_COUNT;
  if (c.long(5)) return c.num < 0 ? FULL_COUNT : c.num;
  c.reply.error(ERR.NOT_INTEGER);
  return -1;
}

/** The seven fields that both forms begin with. */
function common(c: Call, a: Arena, root: Offset): void {
  const { reply } = c;
  reply.bulkString('length');
  reply.int(streamLength(a, root));
  reply.bulkString('radix-tree-keys');
  reply.int(indexNodes(a, root));
  reply.bulkString('radix-tree-nodes');
  reply.int(radixNodes(a, root));
  reply.bulkString('last-generated-id');
  replyId(reply, a.u32, lastIdWord(root));
  reply.bulkString('max-deleted-entry-id');
  replyId(reply, a.u32, deletedIdWord(root));
  reply.bulkString('entries-added');
  // Redis prints its unsigned counter as a signed number.
  reply.bigInt(BigInt.asIntN(64, (BigInt(a.u32[addedWord(root)]) << 32n) | BigInt(a.u32[addedWord(root) + 1])));
  reply.bulkString('recorded-first-entry-id');
  replyId(reply, a.u32, firstIdWord(root));
}

function groups(c: Call): void {
  if (lookupStream(c) !== 0) c.reply.arrayHeader(0);
}

function consumers(c: Call): void {
  if (lookupStream(c) !== 0) {
    c.reply.error(`NOGROUP No such consumer group '${c.shown(3)}' for key name '${c.shown(2)}'`);
  }
}

const HELP = [
  'XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
  'CONSUMERS <key> <groupname>',
  '    The consumers of a group.',
  'GROUPS <key>',
  '    The consumer groups of a stream.',
  'STREAM <key> [FULL [COUNT <count>]]',
  '    How long a stream is, its first and last entry; with FULL all entries or the first <count>.',
  'HELP',
  '    This text.',
];

function help(c: Call): void {
  c.reply.arrayHeader(HELP.length);
  for (const line of HELP) c.reply.simple(line);
}

const KEY: KeyPositions = [2, 2, 1];
const row = rowMaker('stream');
const keyless = rowMaker('stream', [], SCOPE_NONE);
const container = rowMaker('stream', [], SCOPE_NONE);

/** The container's own handler never runs: a request names a subcommand or has too few arguments. */
export const xinfoRow: CommandRow = {
  ...container('xinfo', -2, 0, NO_KEYS, '5.0.0', 'By subcommand', 'Tells about streams', (c) => {
    c.reply.error(ERR.SYNTAX);
  }),
  subcommands: [
    row('xinfo|consumers', 4, READONLY, KEY, '5.0.0', 'O(1)', 'Lists the consumers of a group', consumers),
    row('xinfo|groups', 3, READONLY, KEY, '5.0.0', 'O(1)', 'Lists the consumer groups of a stream', groups),
    keyless('xinfo|help', 2, LOADING | STALE, NO_KEYS, '5.0.0', 'O(1)', 'Explains the subcommands', help),
    row(
      'xinfo|stream',
      -3,
      READONLY,
      KEY,
      '5.0.0',
      'O(n) for n nodes of the stream',
      'Tells how a stream is kept, and its first and last entry',
      stream,
    ),
  ],
};
