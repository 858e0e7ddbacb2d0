/**
 * The command that stands in a request behind words of our own: `ONCE client seq command …`, `READ level [ms] command …`. Finds
 * its row and its keys, and says what is wrong with an ONCE before it goes into the log, where nothing may be wrong. Main
 * thread; a check costs a copy of the arguments' places.
 */
import {
  arityFits,
  BLOCKING,
  type CommandRow,
  type CommandTable,
  unknownCommand,
  WRITE,
} from '../../engine/command.ts';
import { wrongArity } from '../../engine/errors.ts';
import { Request } from '../../engine/request.ts';

/** `ONCE client seq`. */
export const ONCE_WORDS = 3;
const CLIENT_BYTES = 256;
/** Commands whose effect is chosen when they are proposed cannot be told apart from their repetition. */
const NOT_ONCE = new Set(['once', 'spop']);

const BAD_NUMBER_TEXT = 'ERR ONCE: a sequence number is a whole number from 1 to 2^53 - 1';

const inner = new Request();

/** The request without its first words. Valid until the next call; the bytes are those of `request`. */
function behind(request: Request, words: number): Request {
  const count = request.argc - words;
  inner.buf = request.buf;
  inner.reserveArgs(count);
  inner.argc = count;
  for (let i = 0; i < count; i++) {
    inner.off[i] = request.off[i + words];
    inner.len[i] = request.len[i + words];
  }
  return inner;
}

/** The row of the command that the ONCE in `request` is to run, or the error to reply. */
export function onceRow(request: Request, table: CommandTable): CommandRow | string {
  const { len } = request;
  if (len[1] < 1 || len[1] > CLIENT_BYTES) return `ERR ONCE: a client id has 1 to ${CLIENT_BYTES} bytes`;
  if (!request.long(2) || request.num < 1 || request.num > Number.MAX_SAFE_INTEGER) return BAD_NUMBER_TEXT;
  const command = behind(request, ONCE_WORDS);
  const row = table.resolve(command);
  if (row === undefined) return unknownCommand(table, command);
  if (!arityFits(row, command.argc)) return wrongArity(row.name);
  if (NOT_ONCE.has(row.name) || (row.flags & BLOCKING) !== 0) return `ERR ONCE does not take ${row.name.toUpperCase()}`;
  return (row.flags & WRITE) === 0 ? 'ERR ONCE takes a command that writes' : row;
}

/** Pushes the places of the keys of the command behind so many words; false when it is not one, or malformed. */
export function keysBehind(request: Request, words: number, table: CommandTable, out: number[]): boolean {
  if (request.argc <= words) return false;
  const command = behind(request, words);
  const row = table.resolve(command);
  // A prefix within a prefix has no keys: there is only one place for the command behind.
  if (row === undefined || !arityFits(row, command.argc) || row.name === 'once' || row.name === 'read') return false;
  const from = out.length;
  if (row.keys !== undefined) {
    if (!row.keys(command, out)) return false;
  } else if (row.firstKey > 0) {
    const last = row.lastKey < 0 ? command.argc + row.lastKey : row.lastKey;
    for (let i = row.firstKey; i <= last; i += row.keyStep) out.push(i);
  }
  for (let i = from; i < out.length; i++) out[i] += words;
  return true;
}
