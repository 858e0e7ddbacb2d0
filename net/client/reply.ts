/// <reference types="node" preserve="true" />
/**
 * Replies in RESP2 and RESP3 as values, from bytes that come in any pieces. One parser per connection; it makes a value per
 * reply, and looks again only at the element that was cut, never at the whole reply.
 *
 * | on the wire                    | value                                                    |
 * | ------------------------------ | -------------------------------------------------------- |
 * | `+text` `$5 bytes` `=5 txt:…`  | string; bulk and verbatim strings as Buffer when asked for |
 * | `:1` `,1.5`                    | number; an integer beyond 2^53 is a bigint               |
 * | `(123`                         | bigint                                                   |
 * | `#t`                           | boolean                                                  |
 * | `_` `$-1` `*-1`                | null                                                     |
 * | `*` `~`                        | array                                                    |
 * | `%`                            | Map                                                      |
 * | `-ERR text` `!9 ERR text`      | ReplyError                                               |
 * | `>`                            | Push, which answers nothing                              |
 * | <code>&#124;</code>            | left out: it describes the reply behind it               |
 */
import { ProtocolError, ReplyError } from './errors.ts';

export type Reply = string | Buffer | number | bigint | boolean | null | ReplyError | Reply[] | Map<Reply, Reply>;

/** What a node says without being asked. */
export class Push {
  readonly items: Reply[];

  constructor(items: Reply[]) {
    this.items = items;
  }
}

/** The next reply is not all there. */
export const INCOMPLETE = Symbol('incomplete');

/** Longest string, as `proto-max-bulk-len` has it; longest line of a simple type; most elements; deepest nesting. */
const MAX_BULK_BYTES = 512 * 1024 * 1024;
const MAX_LINE_BYTES = 64 * 1024;
const MAX_ELEMENTS = 0x7fffffff;
const MAX_DEPTH = 128;

const CR = 13;
const LF = 10;
const NOTHING = Buffer.alloc(0);

/** An aggregate of which some elements are there. */
interface Frame {
  kind: string;
  /** Elements to come; a map's keys and values count each. */
  left: number;
  items: Reply[];
}

export class ReplyParser {
  /** Whether strings of the reply that `next` gives are Buffers. To be set before the call that begins a reply. */
  asBuffers = false;
  private buffer: Buffer = NOTHING;
  private at = 0;
  /** What came while a long element is not all there, and how many bytes it wants: joined once, when it is. */
  private more: Buffer[] = [];
  private moreBytes = 0;
  private wantedBytes = 0;
  private readonly frames: Frame[] = [];

  /** Takes bytes over: the caller must not change them. */
  feed(bytes: Buffer): void {
    this.more.push(bytes);
    this.moreBytes += bytes.length;
  }

  /** The next whole reply, or INCOMPLETE. Throws ProtocolError; nothing may be asked of the parser after that. */
  next(): Reply | Push | typeof INCOMPLETE {
    const rest = this.buffer.length - this.at;
    if (rest + this.moreBytes < this.wantedBytes) return INCOMPLETE;
    this.wantedBytes = 0;
    if (this.more.length > 0) {
      const parts = rest === 0 ? this.more : [this.buffer.subarray(this.at), ...this.more];
      this.buffer = parts.length === 1 ? parts[0] : Buffer.concat(parts);
      this.at = 0;
      this.more = [];
      this.moreBytes = 0;
    }
    for (;;) {
      const element = this.element();
      if (element === INCOMPLETE) return INCOMPLETE;
      if (element === undefined) continue;
      const reply = this.fold(element);
      if (reply !== undefined) return reply;
    }
  }

  /** The next element that is no aggregate, or an empty one; undefined when an aggregate has begun. */
  private element(): Reply | Push | undefined | typeof INCOMPLETE {
    const from = this.at;
    const end = this.buffer.indexOf(CR, from);
    if (end < 0 || end + 1 >= this.buffer.length) {
      const bytes = this.buffer.length - from;
      if (bytes > MAX_LINE_BYTES) throw new ProtocolError('a line without an end');
      return this.wait(bytes + 1);
    }
    if (this.buffer[end + 1] !== LF) throw new ProtocolError('a line that does not end in CR LF');
    const kind = String.fromCharCode(this.buffer[from]);
    const line = this.buffer.toString('utf8', from + 1, end);
    if (kind === '$' || kind === '=' || kind === '!') {
      const bytes = lengthOf(line, MAX_BULK_BYTES);
      const stop = end + 2 + Math.max(bytes, -2);
      if (bytes >= 0 && stop + 2 > this.buffer.length) return this.wait(stop + 2 - from);
      this.at = bytes < 0 ? end + 2 : stop + 2;
      return bytes < 0 ? null : this.text(kind, end + 2, stop);
    }
    this.at = end + 2;
    switch (kind) {
      case '+':
        return line;
      case '-':
        return new ReplyError(line);
      case ':':
        return integerOf(line);
      case ',':
        return doubleOf(line);
      case '(':
        if (!/^[+-]?\d+$/.test(line)) throw new ProtocolError(`no number: ${line}`);
        return BigInt(line);
      case '#':
        return line === 't';
      case '_':
        return null;
      case '*':
      case '~':
      case '%':
      case '>':
      case '|':
        return this.begin(kind, lengthOf(line, MAX_ELEMENTS));
      default:
        throw new ProtocolError(`no reply begins with ${JSON.stringify(kind)}`);
    }
  }

  private begin(kind: string, count: number): Reply | Push | undefined {
    if (count < 0) return null;
    if (count === 0 && kind !== '|') return finished(kind, []);
    if (count === 0) return undefined;
    if (this.frames.length === MAX_DEPTH) throw new ProtocolError('replies nested too deeply');
    this.frames.push({ kind, left: kind === '%' || kind === '|' ? count * 2 : count, items: [] });
    return undefined;
  }

  /** Puts an element where it belongs, and what is complete by it; the reply when that was its last one. */
  private fold(element: Reply | Push): Reply | Push | undefined {
    for (;;) {
      if (this.frames.length === 0) return element;
      // A push within a reply does not exist in the protocol.
      if (element instanceof Push) throw new ProtocolError('a push inside of a reply');
      const frame = this.frames[this.frames.length - 1];
      frame.items.push(element);
      if (--frame.left > 0) return undefined;
      this.frames.pop();
      if (frame.kind === '|') return undefined;
      element = finished(frame.kind, frame.items);
    }
  }

  private text(kind: string, from: number, to: number): Reply {
    if (kind === '!') return new ReplyError(this.buffer.toString('utf8', from, to));
    // A verbatim string begins with three letters of its format and a colon.
    if (kind === '=') from = Math.min(from + 4, to);
    // A copy: a small value must not keep everything that came with it.
    if (this.asBuffers) return Buffer.from(this.buffer.subarray(from, to));
    return this.buffer.toString('utf8', from, to);
  }

  private wait(bytes: number): typeof INCOMPLETE {
    this.wantedBytes = bytes;
    return INCOMPLETE;
  }
}

function finished(kind: string, items: Reply[]): Reply | Push {
  if (kind === '>') return new Push(items);
  if (kind !== '%') return items;
  const map = new Map<Reply, Reply>();
  for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
  return map;
}

function lengthOf(line: string, most: number): number {
  const length = Number(line);
  if (!/^(-1|\d+)$/.test(line) || length > most) throw new ProtocolError(`no length: ${line.slice(0, 40)}`);
  return length;
}

function integerOf(line: string): number | bigint {
  if (!/^[+-]?\d+$/.test(line)) throw new ProtocolError(`no number: ${line.slice(0, 40)}`);
  const value = Number(line);
  return Number.isSafeInteger(value) ? value : BigInt(line);
}

function doubleOf(line: string): number {
  if (line === 'inf' || line === '-inf') return line === 'inf' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  return line === 'nan' ? Number.NaN : Number(line);
}
