/** Reads the lines of syntax-table.ts and writes them as the argument lists of COMMAND DOCS. Main thread, cold. */
import type { Reply } from '../../engine/reply.ts';

export interface Argument {
  name: string;
  type: string;
  keySpec: number | undefined;
  token: string | undefined;
  since: string | undefined;
  deprecatedSince: string | undefined;
  flags: string[];
  parts: Argument[];
}

const TYPES: Record<string, string> = {
  k: 'key',
  s: 'string',
  i: 'integer',
  d: 'double',
  p: 'pattern',
  t: 'unix-time',
};
const SPACE = /^ +/;
/** A word before an argument: `LIMIT=`. */
const TOKEN = /^([A-Z0-9-]+)=/;
/** `name:s`, where the name itself may have a colon; `name!WORD`; a name before ( or {; `WORD`. */
const VALUE = /^([^\s[\](){}!@+]+):([ksidpt])(\d*)(?=[\s\])}@+-]|$)/;
const NAMED_WORD = /^([^\s[\](){}!]+)!([^\s\])}@+]+)/;
const GROUP = /^([^\s[\](){}!:@+]+)([({])/;
const WORD = /^[^\s[\](){}!:@+]+/;
const COUNT = /^\+{1,2}/;
const SINCE = /^@([\d.]+)/;
const DEPRECATED_SINCE = /^-([\d.]+)/;

/** A line and how far it is read. */
class Reader {
  rest: string;

  constructor(line: string) {
    this.rest = line;
  }

  take(pattern: RegExp): RegExpExecArray | undefined {
    const found = pattern.exec(this.rest);
    if (found === null) return undefined;
    this.rest = this.rest.slice(found[0].length);
    return found;
  }

  /** Arguments up to the closing bracket, which is taken, or to the end. */
  list(close: string): Argument[] {
    const found: Argument[] = [];
    for (;;) {
      this.take(SPACE);
      if (this.rest === '' || this.rest[0] === close) break;
      found.push(this.argument());
    }
    if ((close === '') !== (this.rest === '')) throw new Error(`syntax: a bracket is not closed before '${this.rest}'`);
    this.rest = this.rest.slice(close.length);
    return found;
  }

  private argument(): Argument {
    if (this.rest[0] !== '[') return this.required();
    this.rest = this.rest.slice(1);
    const argument = this.required();
    argument.flags.unshift('optional');
    if (this.rest[0] !== ']') throw new Error(`syntax: ] expected before '${this.rest}'`);
    this.rest = this.rest.slice(1);
    return argument;
  }

  private required(): Argument {
    const token = this.take(TOKEN)?.[1];
    const argument = this.base();
    argument.token ??= token;
    const count = this.take(COUNT)?.[0];
    if (count !== undefined) argument.flags.push('multiple');
    if (count === '++') argument.flags.push('multiple_token');
    argument.since = this.take(SINCE)?.[1];
    argument.deprecatedSince = this.take(DEPRECATED_SINCE)?.[1];
    return argument;
  }

  private base(): Argument {
    const value = this.take(VALUE);
    if (value !== undefined) {
      const isKey = value[2] === 'k' || value[3] !== '';
      return { ...empty(value[1], TYPES[value[2]]), keySpec: isKey ? Number(value[3]) : undefined };
    }
    const named = this.take(NAMED_WORD);
    if (named !== undefined) return { ...empty(named[1], 'pure-token'), token: named[2] };
    const group = this.take(GROUP);
    if (group !== undefined) {
      const isChoice = group[2] === '(';
      return { ...empty(group[1], isChoice ? 'oneof' : 'block'), parts: this.list(isChoice ? ')' : '}') };
    }
    const word = this.take(WORD)?.[0];
    if (word === undefined) throw new Error(`syntax: no argument at '${this.rest}'`);
    return { ...empty(word.toLowerCase(), 'pure-token'), token: word };
  }
}

function empty(name: string, type: string): Argument {
  return {
    name,
    type,
    keySpec: undefined,
    token: undefined,
    since: undefined,
    deprecatedSince: undefined,
    flags: [],
    parts: [],
  };
}

export function parseSyntax(line: string): Argument[] {
  return new Reader(line).list('');
}

export function writeArguments(reply: Reply, list: readonly Argument[]): void {
  reply.arrayHeader(list.length);
  for (const argument of list) writeArgument(reply, argument);
}

function writeArgument(reply: Reply, argument: Argument): void {
  const mark = reply.open();
  let fields = 0;
  const text = (name: string, value: string | undefined): void => {
    if (value === undefined) return;
    fields++;
    reply.bulkString(name);
    reply.bulkString(value);
  };
  text('name', argument.name);
  text('type', argument.type);
  if (argument.keySpec !== undefined) {
    fields++;
    reply.bulkString('key_spec_index');
    reply.int(argument.keySpec);
  }
  text('token', argument.token);
  text('since', argument.since);
  text('deprecated_since', argument.deprecatedSince);
  if (argument.flags.length > 0) {
    fields++;
    reply.bulkString('flags');
    reply.setHeader(argument.flags.length);
    for (const flag of argument.flags) reply.simple(flag);
  }
  if (argument.parts.length > 0) {
    fields++;
    reply.bulkString('arguments');
    writeArguments(reply, argument.parts);
  }
  reply.closeMap(mark, fields);
}
