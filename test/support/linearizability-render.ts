/**
 * A history that is not linearizable, as text: one line per operation in the order of the calls, with a bar from its call to
 * its return. Called by linearizability.ts.
 *
 * ```
 *   client 1 |<==>                | SET a -> OK
 *   client 2 |     <====>         | SET b -> OK
 * ! client 1 |            <=>     | GET -> a
 * ```
 */
import type { Operation } from './linearizability.ts';
import type { Failure } from './linearizability-search.ts';

/** The bars' width in characters, and how many operations are shown: the last ones called, and whatever was pending then. */
const WIDTH = 60;
const OPERATIONS_SHOWN = 24;
/** Characters of a command or a state. */
const TEXT_SHOWN = 120;

export function renderFailure(key: string, { prefix, unexplained, states }: Failure): string {
  const from = prefix[Math.max(0, prefix.length - OPERATIONS_SHOWN)].call;
  const shown = prefix.filter((operation) => operation.return >= from || operation === unexplained);
  const start = Math.min(...shown.map((operation) => operation.call));
  const scale = (WIDTH - 1) / Math.max(unexplained.return - start, Number.MIN_VALUE);
  const column = (time: number): number => Math.round((Math.min(time, unexplained.return) - start) * scale);
  const clientWidth = Math.max(...shown.map((operation) => String(operation.client).length));
  const lines = shown.map((operation) => {
    const mark = operation === unexplained ? '!' : ' ';
    const who = String(operation.client).padStart(clientWidth);
    return `${mark} client ${who} |${bar(operation, unexplained.return, column)}| ${renderOperation(operation)}`;
  });
  const left = prefix.length - shown.length;
  return [
    `key ${key} is not linearizable: nothing explains ${renderOperation(unexplained)}, by client ${unexplained.client},`,
    `called at ${unexplained.call}, returned at ${unexplained.return}. All before it can be explained (${left} not shown):`,
    ...lines,
    ...states.map((state) => `before it, perhaps: ${shorten(state)}`),
  ].join('\n');
}

export function renderOperation(operation: Operation): string {
  const unknown = operation.return === Number.POSITIVE_INFINITY;
  const answer = unknown
    ? '?'
    : typeof operation.answer === 'string'
      ? operation.answer
      : JSON.stringify(operation.answer);
  return `${shorten(operation.command.join(' '))} -> ${shorten(answer)}`;
}

/** `<` call, `>` return; what returned after the last return shown, or never, stays open. */
function bar(operation: Operation, lastReturn: number, column: (time: number) => number): string {
  const first = column(operation.call);
  const last = column(operation.return);
  const open = operation.return > lastReturn;
  const body = first === last && !open ? '|' : `<${'='.repeat(Math.max(0, last - first - 1))}${open ? '=' : '>'}`;
  return `${' '.repeat(first)}${body}`.slice(0, WIDTH).padEnd(WIDTH);
}

function shorten(text: string): string {
  return text.length <= TEXT_SHOWN ? text : `${text.slice(0, TEXT_SHOWN)}... (${text.length})`;
}
