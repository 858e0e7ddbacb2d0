/**
 * Writes RESP2 or RESP3 replies, back to back, into one growing buffer. One per thread, reused: nothing is
 * allocated per reply but when the buffer doubles. A caller notes `length` before and after a command to know its bytes.
 *
 * Numbers, lengths and byte ranges go in without a string; strings are for the cold side and for constants.
 */

const CR = 13;
const LF = 10;
const MINUS = 45;
const COLON = 58;
const DOLLAR = 36;
const STAR = 42;
const PERCENT = 37;
const TILDE = 126;
const GREATER = 62;
const COMMA = 44;

/** Whole doubles up to here are printed digit by digit. */
const MAX_WHOLE = 999_999_999_999_999;

const encoder = new TextEncoder();

/** Below this many bytes a loop is faster than making a view for `set`. */
const LOOP_BYTES = 64;

export class Reply {
  u8: Uint8Array;
  /** Bytes written so far. */
  length = 0;
  /** 2 or 3: the protocol of the connection whose command runs. */
  protocol = 2;
  /** Error replies written since the thread began; the code of the last one is `lastError`. */
  errors = 0;
  lastError = '';
  private view: DataView;

  constructor(capacity = 64 * 1024) {
    this.u8 = new Uint8Array(capacity);
    this.view = new DataView(this.u8.buffer);
  }

  /** Makes room for `extra` more bytes. */
  ensure(extra: number): void {
    if (this.length + extra <= this.u8.length) return;
    let capacity = this.u8.length * 2;
    while (capacity < this.length + extra) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.u8.subarray(0, this.length));
    this.u8 = grown;
  }

  /** The same bytes as `u8`, for words at any offset. Follows `u8` when another array is put there. */
  words(): DataView {
    if (this.view.buffer !== this.u8.buffer) this.view = new DataView(this.u8.buffer);
    return this.view;
  }

  /** A prefix byte, a non-negative integer, CRLF. */
  private header(prefix: number, n: number): void {
    this.ensure(24);
    this.u8[this.length++] = prefix;
    this.digits(n);
    this.crlf();
  }

  private crlf(): void {
    this.u8[this.length++] = CR;
    this.u8[this.length++] = LF;
  }

  /** Decimal digits of a non-negative integer up to 2^53. The caller has made room. */
  private digits(n: number): void {
    const u8 = this.u8;
    if (n < 10) {
      u8[this.length++] = 48 + n;
      return;
    }
    let count = 2;
    if (n >= 100) {
      let limit = 100;
      while (count < 16 && n >= limit) {
        limit *= 10;
        count++;
      }
    }
    let at = this.length + count;
    this.length = at;
    while (n > 0x7fffffff) {
      const rest = Math.floor(n / 10);
      u8[--at] = 48 + (n - rest * 10);
      n = rest;
    }
    let small = n | 0;
    while (small >= 10) {
      const rest = (small / 10) | 0;
      u8[--at] = 48 + (small - rest * 10);
      small = rest;
    }
    u8[--at] = 48 + small;
  }

  /** An integer reply; `n` a whole number with |n| <= 2^53. */
  int(n: number): void {
    this.ensure(24);
    this.u8[this.length++] = COLON;
    if (n < 0) {
      this.u8[this.length++] = MINUS;
      n = -n;
    }
    this.digits(n);
    this.crlf();
  }

  /** An integer reply whose decimal text, of up to 20 bytes, is there already. */
  intText(from: Uint8Array, start: number, length: number): void {
    this.ensure(24);
    const u8 = this.u8;
    let at = this.length;
    u8[at++] = COLON;
    for (let i = start; i < start + length; i++) u8[at++] = from[i];
    u8[at] = CR;
    u8[at + 1] = LF;
    this.length = at + 2;
  }

  bigInt(n: bigint): void {
    this.ascii(`:${n}\r\n`);
  }

  /** `#t` / `#f` in RESP3, `:1` / `:0` in RESP2. */
  bool(value: boolean): void {
    if (this.protocol === 3) this.ascii(value ? '#t\r\n' : '#f\r\n');
    else this.int(value ? 1 : 0);
  }

  /** A bulk string of `length` bytes of `from`, beginning at `start`. */
  bulk(from: Uint8Array, start: number, length: number): void {
    this.ensure(length + 32);
    const u8 = this.u8;
    let at = this.length;
    u8[at] = DOLLAR;
    if (length < 10) {
      u8[at + 1] = 48 + length;
      at += 2;
    } else if (length < 100) {
      const tens = (length / 10) | 0;
      u8[at + 1] = 48 + tens;
      u8[at + 2] = 48 + length - tens * 10;
      at += 3;
    } else {
      this.length = at + 1;
      this.digits(length);
      at = this.length;
    }
    u8[at] = CR;
    u8[at + 1] = LF;
    at += 2;
    const end = start + length;
    if (length <= LOOP_BYTES) {
      let i = start;
      // Four bytes a turn: a turn per byte takes half as long again.
      for (; i + 4 <= end; i += 4, at += 4) {
        u8[at] = from[i];
        u8[at + 1] = from[i + 1];
        u8[at + 2] = from[i + 2];
        u8[at + 3] = from[i + 3];
      }
      for (; i < end; i++) u8[at++] = from[i];
    } else {
      u8.set(from.subarray(start, end), at);
      at += length;
    }
    u8[at] = CR;
    u8[at + 1] = LF;
    this.length = at + 2;
  }

  /** An integer as a bulk string: `$2\r\n42\r\n`. */
  bulkInt(n: number): void {
    this.bulkString(String(n));
  }

  /** A string as a UTF-8 bulk string. Cold: encodes. */
  bulkString(text: string): void {
    this.ensure(text.length * 3 + 32);
    const bytes = encoder.encode(text);
    this.bulk(bytes, 0, bytes.length);
  }

  /** A status reply, `+text`. */
  simple(text: string): void {
    this.ensure(text.length + 3);
    this.u8[this.length++] = 43;
    this.asciiBody(text);
    this.crlf();
  }

  ok(): void {
    this.ensure(5);
    const u8 = this.u8;
    const at = this.length;
    u8[at] = 43;
    u8[at + 1] = 79;
    u8[at + 2] = 75;
    u8[at + 3] = CR;
    u8[at + 4] = LF;
    this.length = at + 5;
  }

  /**
   * An error reply; `text` begins with its code (`ERR …`) and has one character per byte, as `Request.shown` gives the
   * client's own bytes. Line ends inside become spaces, as Redis does.
   */
  error(text: string): void {
    this.errors++;
    const space = text.indexOf(' ');
    this.lastError = space < 0 ? text : text.slice(0, space);
    this.ensure(text.length + 3);
    this.u8[this.length++] = MINUS;
    for (let i = 0; i < text.length; i++) {
      const byte = text.charCodeAt(i);
      this.u8[this.length++] = byte === CR || byte === LF ? 32 : byte;
    }
    this.crlf();
  }

  /** The null of a missing value: `$-1` in RESP2, `_` in RESP3. */
  nil(): void {
    this.ascii(this.protocol === 3 ? '_\r\n' : '$-1\r\n');
  }

  /** The null where an array was expected: `*-1` in RESP2, `_` in RESP3. */
  nilArray(): void {
    this.ascii(this.protocol === 3 ? '_\r\n' : '*-1\r\n');
  }

  arrayHeader(count: number): void {
    this.header(STAR, count);
  }

  /** A map of `count` pairs; in RESP2 an array of twice as many. */
  mapHeader(count: number): void {
    if (this.protocol === 3) this.header(PERCENT, count);
    else this.header(STAR, count * 2);
  }

  setHeader(count: number): void {
    this.header(this.protocol === 3 ? TILDE : STAR, count);
  }

  /** An out-of-band message; only for connections in RESP3 (in RESP2 an array). */
  pushHeader(count: number): void {
    this.header(this.protocol === 3 ? GREATER : STAR, count);
  }

  /** A double: `,1.5` in RESP3, a bulk string in RESP2. */
  double(x: number): void {
    // Whole numbers, the usual scores, without a string; -0 is none.
    if (x <= MAX_WHOLE && x >= -MAX_WHOLE && Math.floor(x) === x && (x !== 0 || 1 / x > 0)) return this.wholeDouble(x);
    const text = formatDouble(x);
    if (this.protocol === 3) this.ascii(`,${text}\r\n`);
    else this.bulkString(text);
  }

  private wholeDouble(x: number): void {
    this.ensure(40);
    const magnitude = x < 0 ? -x : x;
    if (this.protocol === 3) {
      this.u8[this.length++] = COMMA;
    } else {
      let count = x < 0 ? 2 : 1;
      for (let limit = 10; magnitude >= limit; limit *= 10) count++;
      this.u8[this.length++] = DOLLAR;
      this.digits(count);
      this.crlf();
    }
    if (x < 0) this.u8[this.length++] = MINUS;
    this.digits(magnitude);
    this.crlf();
  }

  /** Text for people: a verbatim string of kind `txt` or `mkd` in RESP3, a bulk string in RESP2. */
  verbatim(kind: string, text: string): void {
    if (this.protocol !== 3) return this.bulkString(text);
    const bytes = encoder.encode(text);
    this.header(61, bytes.length + 4);
    this.ascii(`${kind}:`);
    this.raw(bytes, 0, bytes.length);
    this.ascii('\r\n');
  }

  /** ASCII bytes as they are. */
  ascii(text: string): void {
    this.ensure(text.length);
    this.asciiBody(text);
  }

  private asciiBody(text: string): void {
    const u8 = this.u8;
    let at = this.length;
    for (let i = 0; i < text.length; i++) u8[at++] = text.charCodeAt(i);
    this.length = at;
  }

  /** Bytes as they are: a reply that another thread wrote. */
  raw(from: Uint8Array, start: number, length: number): void {
    this.ensure(length);
    this.u8.set(from.subarray(start, start + length), this.length);
    this.length += length;
  }

  /**
   * Opens an array (or map, set) whose length is known only at its end: write the elements, then `closeAt(mark, ...)`.
   * Costs one move of the elements' bytes when closed.
   */
  open(): number {
    return this.length;
  }

  closeArray(mark: number, count: number): void {
    this.close(mark, STAR, count);
  }

  closeSet(mark: number, count: number): void {
    this.close(mark, this.protocol === 3 ? TILDE : STAR, count);
  }

  closeMap(mark: number, count: number): void {
    if (this.protocol === 3) this.close(mark, PERCENT, count);
    else this.close(mark, STAR, count * 2);
  }

  private close(mark: number, prefix: number, count: number): void {
    const end = this.length;
    this.header(prefix, count);
    const headerBytes = this.length - end;
    this.ensure(headerBytes);
    const header = this.u8.slice(end, end + headerBytes);
    this.u8.copyWithin(mark + headerBytes, mark, end);
    this.u8.set(header, mark);
    this.length = end + headerBytes;
  }

  /** Takes back everything written since `mark` (a value of `length`). */
  rewind(mark: number): void {
    this.length = mark;
  }
}

/** A double the way Redis 7.0 prints scores: %.17g's shortest relative, `inf`, `-inf`, `nan`. */
export function formatDouble(x: number): string {
  if (x === Number.POSITIVE_INFINITY) return 'inf';
  if (x === Number.NEGATIVE_INFINITY) return '-inf';
  if (Number.isNaN(x)) return 'nan';
  if (Object.is(x, -0)) return '-0';
  return formatG17(x);
}

/**
 * C's `%.17g`: 17 significant digits, ties to even, trailing zeros dropped, exponent form below 1e-4 and from 1e17 on.
 */
function formatG17(x: number): string {
  if (Number.isInteger(x) && Math.abs(x) < 1e17) return BigInt(x).toString();
  const [rounded, exponentText] = x.toExponential(16).split('e');
  // JavaScript rounds a tie up. Forty digits tell a tie: nothing else goes on with 5 and that many zeros.
  const exact = x.toExponential(40).split('e')[0];
  const cut = x < 0 ? 19 : 18;
  const mantissa = /^50*$/.test(exact.slice(cut)) && '02468'.includes(exact[cut - 1]) ? exact.slice(0, cut) : rounded;
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 17) {
    const short = mantissa.replace(/\.?0+$/, '');
    const digits = Math.abs(exponent).toString().padStart(2, '0');
    return `${short}e${exponent < 0 ? '-' : '+'}${digits}`;
  }
  return fixedPoint(mantissa, exponent).replace(/\.?0+$/, '');
}

/** The mantissa d.ddd times 10^exponent, -4 <= exponent < 17, without an exponent. */
function fixedPoint(mantissa: string, exponent: number): string {
  const sign = mantissa[0] === '-' ? '-' : '';
  const digits = mantissa.replace(/[-.]/g, '');
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`;
}
