/**
 * A bare TCP connection for tests of what goes over the wire: writes any bytes, reads or does not read, and tells when and
 * how the other side closes.
 */
import net from 'node:net';

export class Wire {
  readonly socket: net.Socket;
  /** Resolves when the other side will send no more, or the connection is gone. */
  readonly closed: Promise<void>;
  isClosed = false;
  /** Bytes received, kept or not. */
  receivedBytes = 0;
  private chunks: Buffer[] = [];
  private waiting: { bytes: number; resolve: () => void }[] = [];

  private constructor(socket: net.Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      const close = (): void => {
        this.isClosed = true;
        resolve();
        for (const waiter of this.waiting.splice(0)) waiter.resolve();
      };
      socket.once('end', close);
      socket.once('close', close);
    });
    // A reset is one way of being closed.
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      this.chunks.push(chunk);
      this.waiting = this.waiting.filter((waiter) => {
        if (this.receivedBytes < waiter.bytes) return true;
        waiter.resolve();
        return false;
      });
    });
  }

  static connect(port: number): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
      const wire = new Wire(socket);
      socket.once('connect', () => resolve(wire));
      socket.once('error', reject);
    });
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Stops reading: what the other side sends stays in its buffers. */
  stopReading(): void {
    this.socket.pause();
  }

  startReading(): void {
    this.socket.resume();
  }

  /** Waits until so many bytes have come in all, or the connection is closed. */
  async received(bytes: number): Promise<void> {
    if (this.receivedBytes >= bytes || this.isClosed) return;
    await new Promise<void>((resolve) => this.waiting.push({ bytes, resolve }));
  }

  /** What has come so far, one character per byte. */
  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  /** What has come so far. */
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  /** Forgets what has come, but not how much. */
  forget(): void {
    this.chunks = [];
  }

  /** Says that no more will be sent, and waits until the other side has said so too. */
  async finish(): Promise<string> {
    this.socket.end();
    await this.closed;
    this.socket.destroy();
    return this.text;
  }

  destroy(): void {
    this.socket.destroy();
  }
}
