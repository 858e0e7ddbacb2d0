/** COMMAND DOCS: what a command is for and how it is called. Main thread, cold. */
import type { CommandRow } from '../../engine/command.ts';
import type { Reply } from '../../engine/reply.ts';
import { parseSyntax, writeArguments } from './syntax.ts';
import { DEPRECATED, SYNTAX } from './syntax-table.ts';

/** About the server's inside: no application calls it. */
const SYSTEM = 'debug';

/** A command's name and the map of what is known of it. */
export function writeDocs(reply: Reply, row: CommandRow): void {
  reply.bulkString(row.name);
  const mark = reply.open();
  let fields = 0;
  const text = (name: string, value: string): void => {
    fields++;
    reply.bulkString(name);
    reply.bulkString(value);
  };
  text('summary', row.summary);
  text('since', row.since);
  text('group', row.group);
  text('complexity', row.complexity);
  const deprecated = DEPRECATED[row.name];
  if (deprecated !== undefined || row.name === SYSTEM) {
    fields++;
    reply.bulkString('doc_flags');
    reply.setHeader(1);
    reply.simple(deprecated === undefined ? 'syscmd' : 'deprecated');
  }
  if (deprecated !== undefined) {
    text('deprecated_since', deprecated[0]);
    text('replaced_by', deprecated[1]);
  }
  const syntax = SYNTAX[row.name];
  if (syntax !== undefined) {
    fields++;
    reply.bulkString('arguments');
    writeArguments(reply, parseSyntax(syntax));
  }
  if (row.subcommands !== undefined) {
    fields++;
    reply.bulkString('subcommands');
    reply.mapHeader(row.subcommands.length);
    for (const sub of row.subcommands) writeDocs(reply, sub);
  }
  reply.closeMap(mark, fields);
}
