/**
 * Key specifications: Redis 7's description, for clients, of which arguments of a command are keys and how it uses them.
 * COMMAND INFO prints them, COMMAND GETKEYSANDFLAGS applies them. Cold. (The dispatcher goes by the rows themselves.)
 */
import type { CommandRow } from '../../engine/command.ts';
import type { Reply } from '../../engine/reply.ts';
import type { Request } from '../../engine/request.ts';
import { byName, KEY_RULES } from './command-facts.ts';

interface KeySpec {
  flags: readonly string[];
  begin: { type: 'index'; index: number } | { type: 'keyword'; keyword: string; from: number } | { type: 'unknown' };
  find: { type: 'range'; last: number; step: number; limit: number } | { type: 'keynum' } | { type: 'unknown' };
}

export interface KeyUse {
  argument: number;
  flags: readonly string[];
}

const PLACE =
  /^(?:(?<keyword>[A-Z]+)>)?(?<index>\d+)(?:(?<count>#)|\.\.(?<last>-?\d+)(?:\/(?<step>\d+))?(?:\/(?<limit>\d+))?)?$/;

function parseRule(text: string): KeySpec {
  const [place, ...flags] = text.split(' ');
  if (place === '?') return { flags, begin: { type: 'unknown' }, find: { type: 'unknown' } };
  const parts = PLACE.exec(place)?.groups;
  if (parts === undefined) throw new Error(`keyspecs: no place: ${place}`);
  const index = Number(parts.index);
  return {
    flags,
    begin:
      parts.keyword === undefined ? { type: 'index', index } : { type: 'keyword', keyword: parts.keyword, from: index },
    find:
      parts.count !== undefined
        ? { type: 'keynum' }
        : {
            type: 'range',
            last: Number(parts.last ?? 0),
            step: Number(parts.step ?? 1),
            limit: Number(parts.limit ?? 0),
          },
  };
}

const rules = byName(KEY_RULES);

export function keySpecsOf(name: string): readonly KeySpec[] {
  return rules.get(name)?.split(' | ').map(parseRule) ?? [];
}

export function writeKeySpecs(reply: Reply, name: string): void {
  const specs = keySpecsOf(name);
  reply.setHeader(specs.length);
  for (const { flags, begin, find } of specs) {
    reply.mapHeader(3);
    reply.bulkString('flags');
    reply.setHeader(flags.length);
    for (const flag of flags) reply.simple(flag);
    reply.bulkString('begin_search');
    if (begin.type === 'index') writeSearch(reply, begin.type, { index: begin.index });
    else if (begin.type === 'keyword')
      writeSearch(reply, begin.type, { keyword: begin.keyword, startfrom: begin.from });
    else writeSearch(reply, begin.type, {});
    reply.bulkString('find_keys');
    if (find.type === 'range')
      writeSearch(reply, find.type, { lastkey: find.last, keystep: find.step, limit: find.limit });
    else if (find.type === 'keynum') writeSearch(reply, find.type, { keynumidx: 0, firstkey: 1, keystep: 1 });
    else writeSearch(reply, find.type, {});
  }
}

function writeSearch(reply: Reply, type: string, spec: Record<string, string | number>): void {
  reply.mapHeader(2);
  reply.bulkString('type');
  reply.bulkString(type);
  reply.bulkString('spec');
  reply.mapHeader(Object.keys(spec).length);
  for (const [field, value] of Object.entries(spec)) {
    reply.bulkString(field);
    if (typeof value === 'number') reply.int(value);
    else reply.bulkString(value);
  }
}

/** Whether the row's command can have keys at all. */
export function mayHaveKeys(row: CommandRow): boolean {
  return row.firstKey > 0 || keySpecsOf(row.name).length > 0;
}

/**
 * The key arguments of a request and what the command does to them; undefined when the arguments are malformed. The
 * rules say where keys are, as they do for clients; what one of them cannot tell, the row knows.
 */
export function keysOf(row: CommandRow, request: Request): KeyUse[] | undefined {
  const specs = keySpecsOf(row.name);
  const found = specs.map((spec) => argumentsOf(spec, request));
  const flagsFor = variable(row, request);
  const used = new Map<number, readonly string[]>();
  specs.forEach((spec, i) => {
    for (const argument of found[i] ?? []) used.set(argument, flagsFor ?? spec.flags);
  });
  if (specs.length > 0 && found.every((keys) => keys !== undefined))
    return [...used].map(([argument, flags]) => ({ argument, flags }));
  const keys: number[] = [];
  if (row.keys === undefined || !row.keys(request, keys)) return undefined;
  if (keys.some((argument) => argument >= request.argc)) return undefined;
  // What no rule finds is what the last, vague one is about (SORT's STORE).
  const otherwise = specs.at(-1)?.flags ?? [];
  return keys.map((argument) => ({ argument, flags: used.get(argument) ?? otherwise }));
}

/** The arguments that a rule is about; undefined when it does not tell, or they are not there. */
function argumentsOf({ begin, find }: KeySpec, request: Request): number[] | undefined {
  if (begin.type === 'unknown' || find.type === 'unknown') return undefined;
  let first = begin.type === 'index' ? begin.index : begin.from;
  if (begin.type === 'keyword') {
    while (first < request.argc && !request.is(first, begin.keyword)) first++;
    first++;
  }
  let last = first;
  let step = 1;
  if (find.type === 'keynum') {
    if (first >= request.argc || !request.long(first) || request.num < 0) return undefined;
    last = first + request.num;
    first++;
  } else {
    step = find.step;
    if (find.last >= 0) last = first + find.last;
    else if (find.limit <= 1) last = request.argc + find.last;
    else last = first + Math.floor((request.argc - first) / find.limit) + find.last;
  }
  if (last >= request.argc || last < first) return undefined;
  const found: number[] = [];
  for (let i = first; i <= last; i += step) found.push(i);
  return found;
}

/** What a command does to its key where that depends on its options. */
function variable(row: CommandRow, request: Request): readonly string[] | undefined {
  if (row.name === 'set') {
    for (let i = 3; i < request.argc; i++) if (request.is(i, 'GET')) return ['RW', 'access', 'update'];
    return ['OW', 'update'];
  }
  if (row.name === 'bitfield') return bitfieldReadsOnly(request) ? ['RO', 'access'] : ['RW', 'access', 'update'];
  return undefined;
}

/** Whether a BITFIELD has only GET and OVERFLOW; what is malformed counts as a write. */
function bitfieldReadsOnly(request: Request): boolean {
  let i = 2;
  while (i < request.argc) {
    const left = request.argc - i - 1;
    if (request.is(i, 'GET') && left >= 2) i += 3;
    else if (request.is(i, 'OVERFLOW') && left >= 1) i += 2;
    else return false;
  }
  return true;
}
