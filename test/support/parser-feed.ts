/** Feeds bytes to the RESP parser in pieces, keeping the unfinished request between pieces as a session does. */
import { Request } from '../../engine/request.ts';
import { INCOMPLETE, Parser, PROTOCOL_ERROR } from '../../net/parser.ts';

export interface Fed {
  /** Requests with arguments, each argument as one character per byte. */
  requests: string[][];
  /** The parser's error text, when it met one. */
  error: string | undefined;
}

/** One byte per character. */
export function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

export class Feeder {
  readonly parser = new Parser({ maxBulkBytes: 512 * 1024 * 1024 });
  readonly result: Fed = { requests: [], error: undefined };
  private readonly request = new Request();
  private pending = new Uint8Array(64);
  private length = 0;

  push(piece: Uint8Array): this {
    if (this.result.error !== undefined) return this;
    if (this.length + piece.length > this.pending.length) {
      const grown = new Uint8Array((this.length + piece.length) * 2);
      grown.set(this.pending.subarray(0, this.length));
      this.pending = grown;
    }
    this.pending.set(piece, this.length);
    this.length += piece.length;
    let at = 0;
    while (at < this.length) {
      const next = this.parser.parse(this.request, this.pending, at, this.length);
      if (next === INCOMPLETE) break;
      if (next === PROTOCOL_ERROR) {
        this.result.error = this.parser.error;
        return this;
      }
      if (this.request.argc > 0) this.result.requests.push(this.words());
      at = next;
    }
    this.pending.copyWithin(0, at, this.length);
    this.length -= at;
    return this;
  }

  private words(): string[] {
    const words: string[] = [];
    for (let i = 0; i < this.request.argc; i++) words.push(Buffer.from(this.request.bytes(i)).toString('latin1'));
    return words;
  }
}

/** What a parser makes of `text` (one byte per character) arriving in pieces of `pieceBytes`. */
export function feed(text: string, pieceBytes = text.length): Fed {
  const all = bytes(text);
  const feeder = new Feeder();
  for (let at = 0; at < all.length; at += pieceBytes) feeder.push(all.subarray(at, at + pieceBytes));
  return feeder.result;
}
