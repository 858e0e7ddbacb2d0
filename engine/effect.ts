/**
 * What is logged in place of a command whose choice depends on what is not the same everywhere. SPOP goes by the order in which a
 * table holds its records: it is logged as the SREM of what it took. Approximate trimming goes by the nodes of a stream, and so by
 * settings: XADD and XTRIM with `~` are logged with the length that they left. Filled by the handler while it runs; one per thread
 * that keeps a log, reused.
 */
import { Request } from './request.ts';

const encoder = new TextEncoder();

export class Effect extends Request {
  private used = 0;

  constructor() {
    super();
    this.buf = new Uint8Array(256);
  }

  /** Begins with a command's name, in upper case. */
  begin(name: string): void {
    this.clear();
    this.addText(name);
  }

  addText(text: string): void {
    const bytes = encoder.encode(text);
    this.add(bytes, 0, bytes.length);
  }

  /** Adds an argument. */
  add(from: Uint8Array, start: number, length: number): void {
    if (this.used + length > this.buf.length) {
      const grown = new Uint8Array((this.used + length) * 2);
      grown.set(this.buf.subarray(0, this.used));
      this.buf = grown;
    }
    this.reserveArgs(this.argc + 1);
    const { buf, used } = this;
    for (let i = 0; i < length; i++) buf[used + i] = from[start + i];
    this.off[this.argc] = used;
    this.len[this.argc] = length;
    this.argc++;
    this.used = used + length;
  }

  clear(): void {
    this.argc = 0;
    this.used = 0;
  }
}
