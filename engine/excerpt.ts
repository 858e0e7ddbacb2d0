/**
 * A request's arguments as the slow log keeps them: few and short, saying how much is left out. Any thread; only for
 * commands that were slow, so it may cost what it likes. A worker sends its excerpt along with the reply, since the
 * request's bytes are gone from the ring when the main thread hears how long the command took.
 */
import type { Request } from './request.ts';

const MAX_ARGUMENTS = 32;
const MAX_ARGUMENT_BYTES = 128;

/** At most 32 arguments of at most 128 bytes each, one character per byte. */
export function excerptArguments(request: Request): string[] {
  const { argc, buf, off, len } = request;
  const isCut = argc > MAX_ARGUMENTS;
  const shown = isCut ? MAX_ARGUMENTS - 1 : argc;
  const args: string[] = [];
  for (let i = 0; i < shown; i++) {
    const kept = Math.min(len[i], MAX_ARGUMENT_BYTES);
    const text = String.fromCharCode(...buf.subarray(off[i], off[i] + kept));
    args.push(len[i] > kept ? `${text}... (${len[i] - kept} more bytes)` : text);
  }
  if (isCut) args.push(`... (${argc - shown} more arguments)`);
  return args;
}

/** The excerpt as bytes, for a ring. */
export function packExcerpt(args: readonly string[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(args));
}

/** Undoes `packExcerpt`. Copies, since a TextDecoder does not read shared memory. */
export function unpackExcerpt(u8: Uint8Array, start: number, length: number): string[] {
  return JSON.parse(new TextDecoder().decode(u8.slice(start, start + length)));
}
