/**
 * ZUNION, ZINTER, ZDIFF, their STORE forms and ZINTERCARD. Sources are sorted sets or sets, whose members count as having
 * score 1, in whatever shards; the result is gathered outside the arenas (member-list.ts), then replied or stored.
 * Handlers run under the locks of their keys' shards.
 */
import { type Arena, type Offset, WORD_SEED0, WORD_SEED1 } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR, noInputKey } from '../errors.ts';
import { lookupRead } from '../keyspace.ts';
import type { Request } from '../request.ts';
import { MemberList } from '../types/member-list.ts';
import { isSource, SourceWalk, sourceScore, sourceSize } from '../types/zset-source.ts';
import { storeList } from './zset-range.ts';

const UNION = 0;
const INTER = 1;
const DIFF = 2;

const SUM = 0;
const MIN = 1;
const MAX = 2;

/** One source of the command at hand: the record (0: no such key) in its arena. */
interface Source {
  arena: Arena;
  record: Offset;
  size: number;
  weight: number;
}

const list = new MemberList();
const walk = new SourceWalk();

/** The options of the command at hand. */
const options = {
  operation: UNION,
  aggregate: SUM,
  withScores: false,
  /** Of ZINTERCARD; 0: no limit. */
  limit: 0,
};

/** Pushes the positions of the keys of `COMMAND numkeys key [key …] …`. */
export function keysAfterCount(request: Request, out: number[]): boolean {
  return pushKeys(request, 1, out);
}

/** Pushes the positions of the keys of `COMMAND destination numkeys key [key …] …`. */
export function storeKeysAfterCount(request: Request, out: number[]): boolean {
  out.push(1);
  return pushKeys(request, 2, out);
}

function pushKeys(request: Request, numkeys: number, out: number[]): boolean {
  if (!request.long(numkeys) || request.num < 1 || request.num > request.argc - numkeys - 1) return false;
  const count = request.num;
  for (let i = 0; i < count; i++) out.push(numkeys + 1 + i);
  return true;
}

export function zunion(c: Call): void {
  replyCombined(c, UNION);
}

export function zinter(c: Call): void {
  replyCombined(c, INTER);
}

export function zdiff(c: Call): void {
  replyCombined(c, DIFF);
}

export function zunionstore(c: Call): void {
  storeCombined(c, UNION);
}

export function zinterstore(c: Call): void {
  storeCombined(c, INTER);
}

export function zdiffstore(c: Call): void {
  storeCombined(c, DIFF);
}

/** ZINTERCARD: counts, and stops at LIMIT. */
export function zintercard(c: Call): void {
  const sources = parse(c, 1, INTER, true, false);
  if (sources !== undefined) c.reply.int(intersect(sources, true));
}

function replyCombined(c: Call, operation: number): void {
  const sources = parse(c, 1, operation, false, false);
  if (sources === undefined) return;
  combine(c, sources);
  const { reply } = c;
  const nested = options.withScores && reply.protocol === 3;
  reply.arrayHeader(options.withScores && !nested ? list.count * 2 : list.count);
  for (let i = 0; i < list.count; i++) {
    const entry = list.order[i];
    if (nested) reply.arrayHeader(2);
    reply.bulk(list.bytes, list.starts[entry], list.lengths[entry]);
    if (options.withScores) reply.double(list.scores[entry]);
  }
  clear(c);
}

function storeCombined(c: Call, operation: number): void {
  const sources = parse(c, 2, operation, false, true);
  if (sources === undefined) return;
  combine(c, sources);
  storeList(c, 1, list);
  clear(c);
}

function clear(c: Call): void {
  list.clear(c.arena.u32[WORD_SEED0], c.arena.u32[WORD_SEED1]);
}

/** Reads numkeys in argument `at`, the sources behind it and the options; undefined after an error reply. */
function parse(c: Call, at: number, operation: number, count: boolean, store: boolean): Source[] | undefined {
  options.operation = operation;
  options.aggregate = SUM;
  options.withScores = false;
  options.limit = 0;
  const sources: Source[] = [];
  let error = readSources(c, at, sources);
  if (error === '') error = parseOptions(c, at + 1 + sources.length, sources, count, store);
  if (error === '') return sources;
  c.reply.error(error);
  return undefined;
}

/** Looks the sources up; the error, '' for none. */
function readSources(c: Call, at: number, sources: Source[]): string {
  if (!c.long(at)) return ERR.NOT_INTEGER;
  const count = c.num;
  if (count < 1) return noInputKey(c.row?.name ?? '');
  if (count > c.argc - at - 1) return ERR.SYNTAX;
  for (let i = at + 1; i <= at + count; i++) {
    const record = lookupRead(c, i);
    if (record !== 0 && !isSource(c.arena, record)) return ERR.WRONGTYPE;
    sources.push({ arena: c.arena, record, size: record === 0 ? 0 : sourceSize(c.arena, record), weight: 1 });
  }
  return '';
}

/** The error in the options from argument `from` on, '' for none. */
function parseOptions(c: Call, from: number, sources: Source[], count: boolean, store: boolean): string {
  const weighs = options.operation !== DIFF && !count;
  for (let i = from; i < c.argc; i++) {
    const left = c.argc - i - 1;
    if (weighs && left >= sources.length && c.is(i, 'WEIGHTS')) {
      for (const source of sources) {
        source.weight = c.double(++i);
        if (Number.isNaN(source.weight)) return ERR.WEIGHT_NOT_FLOAT;
      }
    } else if (weighs && left >= 1 && c.is(i, 'AGGREGATE')) {
      i++;
      if (c.is(i, 'SUM')) options.aggregate = SUM;
      else if (c.is(i, 'MIN')) options.aggregate = MIN;
      else if (c.is(i, 'MAX')) options.aggregate = MAX;
      else return ERR.SYNTAX;
    } else if (!store && !count && c.is(i, 'WITHSCORES')) {
      options.withScores = true;
    } else if (count && left >= 1 && c.is(i, 'LIMIT')) {
      if (!c.long(++i) || c.num < 0) return ERR.LIMIT_NEGATIVE;
      options.limit = c.num;
    } else {
      return ERR.SYNTAX;
    }
  }
  return '';
}

/** Sets `list` to the sorted result. */
function combine(c: Call, sources: Source[]): void {
  clear(c);
  if (options.operation === UNION) unite(sources);
  else if (options.operation === INTER) intersect(sources, false);
  else subtract(sources);
  list.sort();
}

/** Smallest first, as Redis does, so that sums of fractions are rounded in the same order. */
function sortBySize(sources: Source[]): void {
  sources.sort((one, other) => one.size - other.size);
}

function weigh(source: Source, score: number): number {
  const weighed = source.weight * score;
  return Number.isNaN(weighed) ? 0 : weighed;
}

function aggregate(score: number, other: number): number {
  if (options.aggregate === MIN) return other < score ? other : score;
  if (options.aggregate === MAX) return other > score ? other : score;
  const sum = score + other;
  return Number.isNaN(sum) ? 0 : sum;
}

function unite(sources: Source[]): void {
  sortBySize(sources);
  for (const source of sources) {
    if (source.size === 0) continue;
    const a = source.arena;
    walk.start(a, source.record);
    while (walk.next(a)) {
      const score = weigh(source, walk.score);
      const entry = list.find(walk.buf, walk.at, walk.length);
      if (entry < 0) list.push(walk.buf, walk.at, walk.length, score);
      else list.scores[entry] = aggregate(list.scores[entry], score);
    }
  }
}

/** Pushes the members of all sources, or only counts them, up to the limit; returns how many there are. */
function intersect(sources: Source[], count: boolean): number {
  sortBySize(sources);
  const smallest = sources[0];
  if (smallest.size === 0) return 0;
  let found = 0;
  walk.start(smallest.arena, smallest.record);
  while (walk.next(smallest.arena)) {
    let score = weigh(smallest, walk.score);
    let i = 1;
    for (; i < sources.length; i++) {
      const source = sources[i];
      const value = sourceScore(source.arena, source.record, walk.buf, walk.at, walk.length);
      if (Number.isNaN(value)) break;
      score = aggregate(score, value * source.weight);
    }
    if (i < sources.length) continue;
    found++;
    if (!count) list.push(walk.buf, walk.at, walk.length, score);
    else if (found === options.limit) break;
  }
  return found;
}

function subtract(sources: Source[]): void {
  const first = sources[0];
  if (first.size === 0) return;
  walk.start(first.arena, first.record);
  while (walk.next(first.arena)) {
    let i = 1;
    for (; i < sources.length; i++) {
      const { arena, record, size } = sources[i];
      if (size > 0 && !Number.isNaN(sourceScore(arena, record, walk.buf, walk.at, walk.length))) break;
    }
    if (i === sources.length) list.push(walk.buf, walk.at, walk.length, walk.score);
  }
}
