/** A session's wire in memory: what it writes is kept, and its reader can be as slow as a test wants. */
import type { Clients } from '../../net/clients.ts';
import type { Session, Transport } from '../../net/session.ts';

export class MemoryTransport implements Transport {
  /** Each write, one character per byte. */
  writes: string[] = [];
  /** While false, written bytes stay pending. */
  reads = true;
  pendingBytes = 0;
  paused = false;
  /** How the session ended it. */
  closed: 'no' | 'closed' | 'destroyed' = 'no';
  private session: Session | undefined = undefined;

  write(bytes: Uint8Array, start: number, length: number): number {
    // A socket would lose it.
    if (this.closed === 'closed') throw new Error('written after it was closed');
    this.writes.push(Buffer.from(bytes.slice(start, start + length)).toString('latin1'));
    if (!this.reads) this.pendingBytes += length;
    return this.pendingBytes;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  close(): void {
    this.closed = 'closed';
  }

  destroy(): void {
    this.closed = 'destroyed';
  }

  /** The reader catches up. */
  drain(): void {
    this.reads = true;
    this.pendingBytes = 0;
    this.session?.drained();
  }

  get output(): string {
    return this.writes.join('');
  }

  static open(clients: Clients): { session: Session; transport: MemoryTransport } {
    const transport = new MemoryTransport();
    const session = clients.open(transport, '127.0.0.1:50000', '127.0.0.1:6379', 7);
    transport.session = session;
    return { session, transport };
  }
}

/** Input as a client writes it: words to a multibulk request. */
export function request(...words: string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}

/** Gives a session bytes, one per character, in the buffer that all sessions share: overwritten at the next read. */
export function send(session: Session, text: string): void {
  shared.fill(0x3f);
  for (let at = 0; at < text.length; at += shared.length) {
    const piece = Buffer.from(text.slice(at, at + shared.length), 'latin1');
    shared.set(piece);
    session.receive(shared, piece.length);
  }
  shared.fill(0x3f);
}

const shared = new Uint8Array(64 * 1024);

/** Waits until the event loop has come round: deferred input has run, output is written. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
