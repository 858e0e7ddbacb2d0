/**
 * Runs the same commands on an in-process engine and on redis-server and compares the replies byte for byte. Commands
 * whose reply order is free (SMEMBERS, HGETALL, KEYS …) are compared as sorted elements: name them in `unordered`.
 */
import { expect } from 'vitest';
import type { Arg, TestEngine } from './engine.ts';
import { type RawClient, replyEnd } from './redis.ts';

/** The parts of a reply: its strings, numbers and so on, and the heads of its arrays. */
function partsOf(reply: string): string[] {
  const bytes = Buffer.from(reply, 'latin1');
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const isHead = '*~%>|'.includes(reply[at]);
    const end = isHead ? reply.indexOf('\r\n', at) + 2 : replyEnd(bytes, at);
    parts.push(reply.slice(at, end));
    at = end;
  }
  return parts;
}

/** The elements of a flat array reply, sorted; with `pairs`, sorted by pair. */
export function sortedReply(reply: string, pairs: boolean): string {
  const elements = partsOf(reply);
  const head = elements.shift() ?? '';
  if (!pairs) return head + elements.sort().join('');
  const joined: string[] = [];
  for (let i = 0; i < elements.length; i += 2) joined.push(elements[i] + (elements[i + 1] ?? ''));
  return head + joined.sort().join('');
}

export interface DifferOptions {
  /** Lower-case names of commands compared as a set of elements. */
  unordered?: readonly string[];
  /** Lower-case names of commands compared as a set of pairs. */
  unorderedPairs?: readonly string[];
}

/** Runs `commands` on both sides; fails at the first difference, naming the command, its number and what led to it. */
export async function compare(
  engine: TestEngine,
  redis: RawClient,
  commands: readonly (readonly Arg[])[],
  options: DifferOptions = {},
): Promise<void> {
  const replies = await redis.pipeline(commands);
  for (let i = 0; i < commands.length; i++) {
    const name = String(commands[i][0]).toLowerCase();
    const ours = engine.run(...commands[i]);
    const pairs = options.unorderedPairs?.includes(name) ?? false;
    const free = pairs || (options.unordered?.includes(name) ?? false);
    const mine = free ? sortedReply(ours, pairs) : ours;
    const theirs = free ? sortedReply(replies[i], pairs) : replies[i];
    if (mine !== theirs && !(name === 'ttl' && withinOneSecond(mine, theirs))) {
      const before = commands
        .slice(Math.max(0, i - 20), i)
        .map((c) => c.map(String).join(' '))
        .join('\n  ');
      expect.fail(
        `command ${i}: ${commands[i].map(String).join(' ')}\n ours:  ${JSON.stringify(mine)}\n redis: ${JSON.stringify(theirs)}\n after:\n  ${before}`,
      );
    }
  }
}

/** The two sides run a command some milliseconds apart, and round: a TTL in seconds may be a neighbour. */
function withinOneSecond(mine: string, theirs: string): boolean {
  if (!/^:\d+\r\n$/.test(mine) || !/^:\d+\r\n$/.test(theirs)) return false;
  // Up to the largest 64-bit number of milliseconds, in seconds: above 2^53, where doubles skip every other number.
  const apart = BigInt(mine.slice(1, -2)) - BigInt(theirs.slice(1, -2));
  return apart >= -2n && apart <= 2n;
}
