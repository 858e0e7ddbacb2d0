/**
 * What a command is made of, checked before anything else is done with it: what comes from JavaScript may be anything, and a request
 * that is not what it says of its own lengths would shift every later reply of the connection to the wrong caller.
 */
import { isUint8Array } from 'node:util/types';

export type Argument = string | number | bigint | Uint8Array;

/** The arguments, as the client's own: bytes are copied, as the caller's may change while they are sent or sent again. Throws a TypeError. */
export function taken(args: readonly Argument[]): Argument[] {
  if (args.length === 0) throw new TypeError('a command has a name');
  return args.map((arg, i) => {
    if (typeof arg === 'string' || typeof arg === 'number' || typeof arg === 'bigint') return arg;
    // Not `instanceof`: arrays of other realms, as test runners have them, are as good.
    if (isUint8Array(arg)) return Buffer.from(arg);
    const what = i === 0 ? "a command's name" : `${nameOf(args)}: argument ${i}`;
    const type = Object.prototype.toString.call(arg).slice('[object '.length, -1);
    throw new TypeError(`${what} is of type ${type}, but must be a string, number, bigint or Uint8Array`);
  });
}

/** The command's name; only of arguments of which the first was checked. */
export function nameOf(args: readonly Argument[]): string {
  return typeof args[0] === 'object' ? Buffer.from(args[0]).toString() : String(args[0]);
}

/** A request's bytes. A long argument is a piece of its own, so that it is not copied again. */
export function encode(args: readonly Argument[]): (string | Uint8Array)[] {
  const pieces: (string | Uint8Array)[] = [];
  let text = `*${args.length}\r\n`;
  for (const arg of args) {
    if (typeof arg === 'object') {
      pieces.push(`${text}$${arg.length}\r\n`, arg);
      text = '\r\n';
    } else {
      const word = String(arg);
      text += `$${Buffer.byteLength(word)}\r\n${word}\r\n`;
    }
  }
  pieces.push(text);
  return pieces;
}
