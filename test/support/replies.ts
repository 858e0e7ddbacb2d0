/**
 * Raw RESP replies taken apart, and compared as far as they are determined: byte for byte, or as a heap of elements where
 * the order is free, or with a tolerance where they tell a time.
 */
import type { Arg } from './engine.ts';

/** A reply as JavaScript has it: maps are flat lists of keys and values, nulls null, numbers and texts strings. */
export type Decoded = string | null | Decoded[];

interface Cursor {
  text: string;
  at: number;
}

/** Takes a raw reply (one character per byte) apart. */
export function decode(reply: string): Decoded {
  return next({ text: reply, at: 0 });
}

/** The same for a reply that is known to be a list. */
export function decodeList(reply: string): Decoded[] {
  const decoded = decode(reply);
  if (!Array.isArray(decoded)) throw new Error(`a list was expected: ${reply.slice(0, 200)}`);
  return decoded;
}

function next(from: Cursor): Decoded {
  const kind = from.text[from.at];
  const lineEnd = from.text.indexOf('\r\n', from.at);
  const line = from.text.slice(from.at + 1, lineEnd);
  from.at = lineEnd + 2;
  if (kind === '_') return null;
  if ('$=!'.includes(kind)) {
    const length = Number(line);
    if (length < 0) return null;
    const text = from.text.slice(from.at, from.at + length);
    from.at += length + 2;
    return kind === '=' ? text.slice(4) : text;
  }
  if (!'*~>%|'.includes(kind)) return line;
  const count = Number(line) * (kind === '%' || kind === '|' ? 2 : 1);
  if (count < 0) return null;
  const list: Decoded[] = [];
  for (let i = 0; i < count; i++) list.push(next(from));
  return list;
}

/** The replies that a run of bytes holds, each by itself; an unfinished one at the end is left out. */
export function splitReplies(text: string, from = 0): string[] {
  const replies: string[] = [];
  const cursor = { text, at: from };
  while (cursor.at < text.length) {
    const start = cursor.at;
    next(cursor);
    if (cursor.at > text.length || cursor.at <= start) break;
    replies.push(text.slice(start, cursor.at));
  }
  return replies;
}

/**
 * An aggregate's elements in a fixed order, its header in front; with `pairs`, keys stay with their values. What is
 * inside the elements is put in order too, so that a cursor with its elements, or pairs as lists, compare as well.
 */
export function sortedElements(reply: string, pairs: boolean): string {
  if (!'*~>%'.includes(reply[0]) || reply.startsWith('*-1')) return reply;
  const headEnd = reply.indexOf('\r\n') + 2;
  const elements = splitReplies(reply, headEnd).map((element) => sortedElements(element, pairs));
  if (pairs && elements.length % 2 === 0 && !elements.some((element) => '*~'.includes(element[0]))) {
    const joined: string[] = [];
    for (let i = 0; i < elements.length; i += 2) joined.push(elements[i] + elements[i + 1]);
    return reply.slice(0, headEnd) + joined.sort().join('');
  }
  return reply.slice(0, headEnd) + elements.sort().join('');
}

/** How a command's reply is compared. */
export interface Comparison {
  /** Lower-case names of commands whose elements come in any order. */
  unordered: readonly string[];
  /** The same with elements in pairs. */
  unorderedPairs: readonly string[];
  /** A command that changes nothing, to be sent before one that would otherwise hang on what redis-server did before. */
  before?: (command: readonly Arg[]) => Arg[] | undefined;
  /** Differences that are known and accepted. */
  alike?: (command: readonly Arg[], ours: string, theirs: string) => boolean;
}

/** Seconds that a relative expiry may differ by, being set and asked for at different moments on the two sides. */
const TOLERANCE_SEC = 5;
const TIMES: Record<string, number> = {
  ttl: TOLERANCE_SEC,
  expiretime: TOLERANCE_SEC,
  pttl: TOLERANCE_SEC * 1000,
  pexpiretime: TOLERANCE_SEC * 1000,
};

/** Whether two replies to one command mean the same. */
export function sameReply(command: readonly Arg[], ours: string, theirs: string, how: Comparison): boolean {
  if (ours === theirs) return true;
  const name = String(command[0]).toLowerCase();
  const tolerance = TIMES[name];
  if (tolerance !== undefined) {
    const [a, b] = [ours, theirs].map((reply) => (/^:\d+\r\n$/.test(reply) ? Number(reply.slice(1)) : -1));
    return a >= 0 && b >= 0 && Math.abs(a - b) <= tolerance;
  }
  if (how.alike?.(command, ours, theirs) === true) return true;
  const pairs = how.unorderedPairs.includes(name);
  if (!pairs && !how.unordered.includes(name)) return false;
  return sortedElements(ours, pairs) === sortedElements(theirs, pairs);
}

const MOST_ARGUMENTS = 40;

/** A command as one line for people, long arguments cut. */
export function shown(command: readonly Arg[]): string {
  const few = command.slice(0, MOST_ARGUMENTS).map((arg) => shownArgument(arg));
  if (command.length > few.length) few.push(`…(${command.length - few.length} more)`);
  return few.join(' ');
}

function shownArgument(arg: Arg): string {
  const text = typeof arg === 'object' ? Buffer.from(arg).toString('latin1') : String(arg);
  const short = text.length > 60 ? `${text.slice(0, 40)}…(${text.length} bytes)` : text;
  return /^[\x21-\x7e]+$/.test(short) && !short.includes('"') ? short : JSON.stringify(short);
}

/** Two replies from shortly before where they differ, for people. */
export function difference(ours: string, theirs: string): string {
  let at = 0;
  while (at < ours.length && ours[at] === theirs[at]) at++;
  const from = Math.max(0, at - 100);
  const excerpt = (reply: string): string => `${from > 0 ? '…' : ''}${JSON.stringify(reply.slice(from, at + 300))}`;
  return ` ours:  ${excerpt(ours)}\n redis: ${excerpt(theirs)}`;
}
