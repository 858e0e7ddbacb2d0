/** The ACL categories of a command: what COMMAND INFO prints, COMMAND LIST filters by and ACL CAT lists. Cold. */
import { ADMIN, BLOCKING, type CommandRow, FAST, PUBSUB, READONLY, WRITE } from '../../engine/command.ts';

/** In the order in which Redis lists them. */
export const CATEGORIES: readonly string[] = [
  ...[
    'keyspace',
    'read',
    'write',
    'set',
    'sortedset',
    'list',
    'hash',
    'string',
    'bitmap',
    'hyperloglog',
    'geo',
    'stream',
  ],
  ...['pubsub', 'admin', 'fast', 'slow', 'blocking', 'dangerous', 'connection', 'transaction', 'scripting'],
];

/** Groups whose commands form a category; the other groups' rows name theirs. */
const OF_GROUP: Record<string, string> = {
  string: 'string',
  list: 'list',
  set: 'set',
  'sorted-set': 'sortedset',
  hash: 'hash',
  stream: 'stream',
  bitmap: 'bitmap',
  geo: 'geo',
  connection: 'connection',
};

export function categoriesOf(row: CommandRow): string[] {
  const found = new Set(row.categories);
  // A container is none of what its subcommands are.
  if (row.subcommands === undefined && OF_GROUP[row.group] !== undefined) found.add(OF_GROUP[row.group]);
  if (row.flags & WRITE) found.add('write');
  if (row.flags & READONLY) found.add('read');
  if (row.flags & ADMIN) found.add('admin').add('dangerous');
  if (row.flags & PUBSUB) found.add('pubsub');
  if (row.flags & BLOCKING) found.add('blocking');
  found.add(row.flags & FAST ? 'fast' : 'slow');
  return CATEGORIES.filter((category) => found.has(category));
}
