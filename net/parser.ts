/**
 * The RESP request parser: finds the next request in a buffer of received bytes and fills a `Request` with the ranges
 * of its arguments. One per connection, on the thread that reads the connection. It makes no strings and allocates
 * nothing; a GET costs about 20 ns.
 *
 * Two ways lead through it. `parse` runs over a whole multibulk request in one go and keeps no state. Whatever is not
 * plain (a request cut short, an odd length, an error) falls to `careful`, which remembers how far it came, so that a
 * request arriving in many pieces is looked at once, not once per piece. Positions it remembers count from the
 * request's first byte: the caller may move the bytes between two calls, but must then pass the same request again.
 *
 *     *2\r\n$3\r\nGET\r\n$3\r\nkey\r\n      argc 2, off [8, 17], len [3, 3]
 *
 * What follows a length's CR, and the two bytes after an argument, are not checked to be CR LF; Redis does not either.
 */
import type { Request } from '../engine/request.ts';

/** The request is not all there yet. */
export const INCOMPLETE = -1;
/** The bytes are no request: answer `error`, if there is one, and close the connection. */
export const PROTOCOL_ERROR = -2;

export interface ParserLimits {
  /** `proto-max-bulk-len`: the longest argument. */
  maxBulkBytes: number;
}

/** An inline request, or the line of a length, that has no end within so many bytes is refused. */
const MAX_LINE_BYTES = 64 * 1024;
const MAX_ARGS = 0x7fffffff;
/** What a client may send before it has authenticated. */
const MAX_ARGS_RESTRICTED = 10;
const MAX_BULK_RESTRICTED = 16 * 1024;
/** `$0\r\n\r\n` */
const MIN_ARG_BYTES = 6;
/** An array of argument positions longer than this is not kept for the next cut request. */
const KEPT_POSITIONS = 2048;

/** Four bytes as a little-endian word: `$`, a digit (masked), CR, LF; and `$`, two digits (masked), CR. */
const ONE_DIGIT = 0x0a0d0024;
const ONE_DIGIT_MASK = 0xffff00ff | 0;
const TWO_DIGITS = 0x0d000024;
const TWO_DIGITS_MASK = 0xff0000ff | 0;

const CR = 13;
const LF = 10;
const SPACE = 32;
const TAB = 9;
const DOUBLE_QUOTE = 34;
const SINGLE_QUOTE = 39;
const BACKSLASH = 92;
const DOLLAR = 36;
const STAR = 42;

const NO_POSITIONS = new Int32Array(0);

/** The arguments of a quoted inline request, unescaped; valid until the next one is parsed on this thread. */
let unquoted = new Uint8Array(0);

export class Parser {
  /** After PROTOCOL_ERROR: the reply's text, one character per byte; empty when the connection is closed without one. */
  error = '';
  /** After INCOMPLETE: how many bytes, from the request's first, must be there before another try can come further. */
  needed = 0;
  /** Whether the connection still has to authenticate, and may send only short requests. */
  restricted = false;
  private readonly limits: ParserLimits;
  /** How far `careful` came in the cut request: 0 when there is none. */
  private at = 0;
  /** Where it looks on for the end of the line that begins at `at`. */
  private scan = 0;
  /** Arguments announced (-1: not known yet), and those that are all there, as pairs of offset and length. */
  private count = -1;
  private done = 0;
  private positions: Int32Array = NO_POSITIONS;
  /** The length announced for the argument at `at`; -1: not known yet. */
  private bulk = -1;

  constructor(limits: ParserLimits) {
    this.limits = limits;
  }

  /** Forgets a cut request. */
  reset(): void {
    this.at = 0;
    this.scan = 0;
    this.count = -1;
    this.done = 0;
    this.bulk = -1;
    this.needed = 0;
    if (this.positions.length > KEPT_POSITIONS) this.positions = NO_POSITIONS;
  }

  /**
   * Parses the request that begins at `start`, in buf[start, end) with start < end. Returns the offset behind it, or
   * INCOMPLETE, or PROTOCOL_ERROR. A request without arguments (an empty line, `*0`) has argc 0 and asks for nothing.
   */
  parse(request: Request, buf: Uint8Array, start: number, end: number): number {
    if (this.at !== 0 || this.scan !== 0) return this.careful(request, buf, start, end);
    if (buf[start] !== STAR) return this.inline(request, buf, start, end);

    let at = start + 1;
    let count = 0;
    while (at < end) {
      const digit = buf[at] - 48;
      if (digit < 0 || digit > 9) break;
      count = count * 10 + digit;
      at++;
    }
    // Eight digits cannot overflow; a leading zero (also `*0`), a minus sign or no digit at all is not plain.
    if (at + 1 >= end || buf[at] !== CR || at - start > 9 || at - start < 2 || buf[start + 1] === 48) {
      return this.careful(request, buf, start, end);
    }
    at += 2;
    if (count * MIN_ARG_BYTES > end - at || (count > MAX_ARGS_RESTRICTED && this.restricted)) {
      return this.careful(request, buf, start, end);
    }
    if (count > request.off.length) request.reserveArgs(count);
    request.buf = buf;
    const view = request.view;
    const off = request.off;
    const len = request.len;
    for (let i = 0; i < count; i++) {
      if (at + 3 >= end) return this.careful(request, buf, start, end);
      // Lengths of one or two digits are recognized in one word: `$3 CR LF` and `$16 CR`.
      const word = view.getInt32(at, true);
      if ((word & ONE_DIGIT_MASK) === ONE_DIGIT) {
        const length = ((word >>> 8) & 255) - 48;
        if (length >= 0 && length <= 9) {
          off[i] = at + 4;
          len[i] = length;
          at += length + 6;
          continue;
        }
      } else if ((word & TWO_DIGITS_MASK) === TWO_DIGITS) {
        const tens = ((word >>> 8) & 255) - 48;
        const ones = ((word >>> 16) & 255) - 48;
        if (tens >= 1 && tens <= 9 && ones >= 0 && ones <= 9) {
          const length = tens * 10 + ones;
          off[i] = at + 5;
          len[i] = length;
          at += length + 7;
          continue;
        }
      }
      if (buf[at] !== DOLLAR) return this.careful(request, buf, start, end);
      const digitsFrom = ++at;
      let length = buf[at] - 48;
      if (length < 0 || length > 9) return this.careful(request, buf, start, end);
      for (at++; at < end; at++) {
        const digit = buf[at] - 48;
        if (digit < 0 || digit > 9) break;
        length = length * 10 + digit;
      }
      const digits = at - digitsFrom;
      if (digits > 9 || at + 1 >= end || buf[at] !== CR || (digits > 1 && buf[digitsFrom] === 48)) {
        return this.careful(request, buf, start, end);
      }
      if (length > MAX_BULK_RESTRICTED && (this.restricted || length > this.limits.maxBulkBytes)) {
        return this.careful(request, buf, start, end);
      }
      off[i] = at + 2;
      len[i] = length;
      at += length + 4;
    }
    if (at > end) return this.careful(request, buf, start, end);
    request.argc = count;
    return at;
  }

  /** The same for any request, resumable. Redis's order of checks, since it decides which error a client sees. */
  private careful(request: Request, buf: Uint8Array, start: number, end: number): number {
    if (buf[start] !== STAR) return this.inline(request, buf, start, end);
    if (this.count < 0) {
      const lineEnd = this.findLineEnd(buf, start, end, 'too big mbulk count string');
      if (lineEnd < 0) return lineEnd;
      if (!request.longAt(buf, start + 1, lineEnd - start - 1) || request.num > MAX_ARGS) {
        return this.fail('invalid multibulk length');
      }
      if (request.num > MAX_ARGS_RESTRICTED && this.restricted) return this.fail('unauthenticated multibulk length');
      this.count = Math.max(0, request.num);
      this.setAt(lineEnd + 2 - start);
    }
    while (this.done < this.count) {
      if (this.bulk < 0) {
        const from = start + this.at;
        const lineEnd = this.findLineEnd(buf, start, end, 'too big bulk count string');
        if (lineEnd < 0) return lineEnd;
        if (buf[from] !== DOLLAR) return this.fail(`expected '$', got '${printable(buf[from])}'`);
        if (!request.longAt(buf, from + 1, lineEnd - from - 1) || request.num < 0)
          return this.fail('invalid bulk length');
        if (request.num > this.limits.maxBulkBytes) return this.fail('invalid bulk length');
        if (request.num > MAX_BULK_RESTRICTED && this.restricted) return this.fail('unauthenticated bulk length');
        this.bulk = request.num;
        this.setAt(lineEnd + 2 - start);
      }
      const behind = this.at + this.bulk + 2;
      if (start + behind > end) {
        this.needed = behind;
        return INCOMPLETE;
      }
      this.push(this.at, this.bulk);
      this.bulk = -1;
      this.setAt(behind);
    }
    return this.finish(request, buf, start);
  }

  private setAt(at: number): void {
    this.at = at;
    this.scan = at;
  }

  /**
   * The offset of the CR that ends the line at `at`, when the byte behind it is there too. A NUL byte hides the rest of
   * the line, as from C's string functions.
   */
  private findLineEnd(buf: Uint8Array, start: number, end: number, tooLong: string): number {
    let i = start + this.scan;
    while (i < end && buf[i] !== CR && buf[i] !== 0) i++;
    this.scan = i - start;
    if (i < end && buf[i] === CR) {
      if (i + 1 < end) return i;
    } else if (end - start - this.at > MAX_LINE_BYTES) {
      return this.fail(tooLong);
    }
    this.needed = end - start + 1;
    return INCOMPLETE;
  }

  private push(offset: number, length: number): void {
    const index = this.done * 2;
    if (index === this.positions.length) {
      const grown = new Int32Array(Math.max(32, index * 2));
      grown.set(this.positions);
      this.positions = grown;
    }
    this.positions[index] = offset;
    this.positions[index + 1] = length;
    this.done++;
  }

  private finish(request: Request, buf: Uint8Array, start: number): number {
    const count = this.done;
    request.reserveArgs(count);
    for (let i = 0; i < count; i++) {
      request.off[i] = start + this.positions[i * 2];
      request.len[i] = this.positions[i * 2 + 1];
    }
    request.buf = buf;
    request.argc = count;
    const behind = start + this.at;
    this.reset();
    return behind;
  }

  private fail(what: string): number {
    this.reset();
    this.error = `ERR Protocol error: ${what}`;
    return PROTOCOL_ERROR;
  }

  /** A line of words, as typed into telnet. */
  private inline(request: Request, buf: Uint8Array, start: number, end: number): number {
    let lineEnd = start + this.scan;
    while (lineEnd < end && buf[lineEnd] !== LF && buf[lineEnd] !== 0) lineEnd++;
    if (lineEnd === end || buf[lineEnd] !== LF) {
      if (end - start > MAX_LINE_BYTES) return this.fail('too big inline request');
      this.scan = lineEnd - start;
      this.needed = end - start + 1;
      return INCOMPLETE;
    }
    this.reset();
    const wordsEnd = lineEnd > start && buf[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    if (!splitWords(request, buf, start, wordsEnd)) return this.fail('unbalanced quotes in request');
    // A browser made to post to this port: whatever else it sends is not for us.
    if (request.argc > 0 && (request.is(0, 'POST') || request.is(0, 'HOST:'))) {
      this.error = '';
      return PROTOCOL_ERROR;
    }
    return lineEnd + 1;
  }
}

/** A byte inside an error text: line ends become spaces, as in every error. */
function printable(byte: number): string {
  return byte === CR || byte === LF ? ' ' : String.fromCharCode(byte);
}

function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= TAB && byte <= CR);
}

/** What ends a word begun without a quote: fewer bytes than may stand between words. */
function endsWord(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === LF || byte === CR;
}

function addWord(request: Request, offset: number, length: number): void {
  if (request.argc === request.off.length) request.reserveArgs(request.argc + 1);
  request.off[request.argc] = offset;
  request.len[request.argc] = length;
  request.argc++;
}

/** Splits buf[start, end) into arguments; false when a quote is not closed, or something follows the closing one. */
function splitWords(request: Request, buf: Uint8Array, start: number, end: number): boolean {
  request.buf = buf;
  request.argc = 0;
  let at = start;
  for (;;) {
    while (at < end && isSpace(buf[at])) at++;
    if (at >= end) return true;
    const from = at;
    while (at < end && !endsWord(buf[at])) {
      if (buf[at] === DOUBLE_QUOTE || buf[at] === SINGLE_QUOTE) return splitQuoted(request, buf, start, end);
      at++;
    }
    addWord(request, from, at - from);
  }
}

/**
 * The same for a line with quotes. The words go to a buffer of their own, since the line may be parsed again
 * when its command could not run at once.
 */
function splitQuoted(request: Request, buf: Uint8Array, start: number, end: number): boolean {
  if (unquoted.length < end - start) unquoted = new Uint8Array(Math.max(4096, end - start));
  const out = unquoted;
  request.buf = out;
  request.argc = 0;
  let length = 0;
  let at = start;
  for (;;) {
    while (at < end && isSpace(buf[at])) at++;
    if (at >= end) return true;
    const from = length;
    while (at < end && !endsWord(buf[at])) {
      const byte = buf[at++];
      if (byte !== DOUBLE_QUOTE && byte !== SINGLE_QUOTE) {
        out[length++] = byte;
        continue;
      }
      while (at < end && buf[at] !== byte) {
        if (buf[at] !== BACKSLASH || at + 1 >= end) {
          out[length++] = buf[at++];
        } else if (byte === SINGLE_QUOTE) {
          if (buf[at + 1] === SINGLE_QUOTE) at++;
          out[length++] = buf[at++];
        } else if (buf[at + 1] === 120 && at + 3 < end && hexDigit(buf[at + 2]) >= 0 && hexDigit(buf[at + 3]) >= 0) {
          out[length++] = hexDigit(buf[at + 2]) * 16 + hexDigit(buf[at + 3]);
          at += 4;
        } else {
          out[length++] = escaped(buf[at + 1]);
          at += 2;
        }
      }
      if (at >= end) return false;
      at++;
      if (at < end && !isSpace(buf[at])) return false;
      // The closing quote ends the word, whatever kind of space follows.
      break;
    }
    addWord(request, from, length - from);
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** What a letter behind a backslash stands for; any other byte stands for itself. */
function escaped(byte: number): number {
  switch (byte) {
    case 110:
      return LF;
    case 114:
      return CR;
    case 116:
      return TAB;
    case 98:
      return 8;
    case 97:
      return 7;
    default:
      return byte;
  }
}
