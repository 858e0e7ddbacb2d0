/**
 * The reply of a command that was run for a client that reads RESP3, in RESP2: for one that asks again over another connection
 * (applier.ts). Main thread; a copy of the reply. What has no type in RESP2 becomes what Redis sends there in its place.
 */

const BULK = 0x24;
const ARRAY = 0x2a;
const NULL = 0x5f;
const DOUBLE = 0x2c;
const BOOLEAN = 0x23;
const BIG_NUMBER = 0x28;
const VERBATIM = 0x3d;
const MAP = 0x25;
const SET = 0x7e;
const CR = 13;
/** Of a verbatim string: `txt:`. */
const FORMAT_BYTES = 4;

/** Pairs are flat in RESP2: member, score, member, score. */
const FLAT = new Set(['zpopmin', 'zpopmax']);
const WITH_NULL_ARRAY = new Set(['lmpop', 'zmpop', 'lpop', 'rpop']);

class Translation {
  private readonly bytes: Buffer;
  private readonly parts: (Buffer | string)[] = [];
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  of(isFlat: boolean, nothing: string): Buffer {
    if (this.bytes[0] === NULL) return Buffer.from(nothing);
    if (isFlat && this.bytes[0] === ARRAY) this.pairs();
    else this.value();
    return Buffer.concat(this.parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
  }

  /** What stands behind the type, to the end of the line. */
  private line(): string {
    const end = this.bytes.indexOf(CR, this.at);
    const text = this.bytes.toString('latin1', this.at + 1, end);
    this.at = end + 2;
    return text;
  }

  private value(): void {
    const start = this.at;
    const type = this.bytes[start];
    const text = this.line();
    if (type === NULL) this.parts.push('$-1\r\n');
    else if (type === DOUBLE || type === BIG_NUMBER) this.bulk(text);
    else if (type === BOOLEAN) this.parts.push(`:${text === 't' ? 1 : 0}\r\n`);
    else if (type === BULK || type === VERBATIM) this.string(type, Number(text));
    else if (type === ARRAY || type === SET) this.values(Number(text));
    else if (type === MAP) this.values(Number(text) * 2);
    else this.parts.push(this.bytes.subarray(start, this.at));
  }

  private bulk(text: string): void {
    this.parts.push(`$${text.length}\r\n${text}\r\n`);
  }

  private string(type: number, length: number): void {
    const from = type === VERBATIM ? this.at + FORMAT_BYTES : this.at;
    const end = this.at + length;
    this.parts.push(`$${end - from}\r\n`, this.bytes.subarray(from, end + 2));
    this.at = end + 2;
  }

  private values(count: number): void {
    this.parts.push(`*${count}\r\n`);
    for (let i = 0; i < count; i++) this.value();
  }

  /** An array of members and scores, or of pairs of them. */
  private pairs(): void {
    const count = Number(this.line());
    if (count === 0 || this.bytes[this.at] !== ARRAY) {
      this.parts.push(`*${count}\r\n`);
      for (let i = 0; i < count; i++) this.value();
      return;
    }
    this.parts.push(`*${count * 2}\r\n`);
    for (let i = 0; i < count; i++) {
      for (let left = Number(this.line()); left > 0; left--) this.value();
    }
  }
}

/** `reply` is of the command with this name and so many arguments, its name among them. */
export function inResp2(reply: Uint8Array, name: string, argc: number): Uint8Array {
  const hasNullArray = WITH_NULL_ARRAY.has(name) && (name.endsWith('mpop') || argc > 2);
  return new Translation(reply).of(FLAT.has(name), hasNullArray ? '*-1\r\n' : '$-1\r\n');
}
