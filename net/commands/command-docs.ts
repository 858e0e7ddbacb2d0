/** COMMAND DOCS: what a command is for and how it is called. Main thread, cold. */
import type { CommandRow } from '../../engine/command.ts';
import type { Reply } from '../../engine/reply.ts';

/** A command's name and the map of what is known of it. */
export function writeDocs(reply: Reply, row: CommandRow): void {
  reply.bulkString(row.name);
  reply.mapHeader(row.subcommands === undefined ? 4 : 5);
  writeField(reply, 'summary', row.summary);
  writeField(reply, 'since', row.since);
  writeField(reply, 'group', row.group);
  writeField(reply, 'complexity', row.complexity);
  if (row.subcommands === undefined) return;
  reply.bulkString('subcommands');
  reply.mapHeader(row.subcommands.length);
  for (const sub of row.subcommands) writeDocs(reply, sub);
}

function writeField(reply: Reply, name: string, value: string): void {
  reply.bulkString(name);
  reply.bulkString(value);
}
