/**
 * Replies that come when something is so: it is looked at now, and then every few milliseconds until it is, the time is over, or
 * the client has gone. For what operators wait for; a wait costs a timer. Main thread.
 */
import type { Call } from '../../engine/call.ts';
import type { Reply } from '../../engine/reply.ts';
import type { Node } from '../node.ts';
import { sessionOf } from './names.ts';

export type WriteReply = (reply: Reply) => void;

const LOOK_MS = 2;

/**
 * Replies to the command in `call` what `look` returns, as soon as it returns something; after `timeoutMs` (0: never) what `late` says.
 */
export function replyWhen(
  node: Node,
  call: Call,
  timeoutMs: number,
  look: () => WriteReply | undefined,
  late: WriteReply,
): void {
  const now = look();
  if (now !== undefined) return now(call.reply);
  const session = sessionOf(call);
  const { clients } = node;
  const reply = node.dispatcher.defer(session);
  const endMs = timeoutMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
  const timer = setInterval(() => {
    const isOver = performance.now() >= endMs || clients.get(session.id) !== session;
    const write = look() ?? (isOver ? late : undefined);
    if (write === undefined) return;
    clearInterval(timer);
    reply(write);
  }, LOOK_MS);
}
