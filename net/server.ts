/**
 * The listening sockets, and a session's wire over node:net. All sockets read into one buffer (onread.ts); a write that
 * the kernel takes at once, the usual case, copies nothing.
 */
import net from 'node:net';
import type { Clients } from './clients.ts';
import { DirectWriter, type WriteHandle } from './directwrite.ts';
import { fileDescriptor, type OnBytes, type Reading, readByEvents, readShared } from './onread.ts';
import type { Session, Transport } from './session.ts';

/** One read takes at most this much. */
const READ_BYTES = 64 * 1024;

class SocketTransport implements Transport {
  private readonly socket: net.Socket;
  private readonly reading: Reading;
  private readonly writer: DirectWriter | undefined;
  private readonly handle: WriteHandle | undefined;
  /** Bytes of a direct write that the kernel has not taken yet; what the stream holds comes behind them. */
  private inFlight = 0;
  private closed = false;
  private session: Session | undefined = undefined;

  constructor(socket: net.Socket, reading: Reading, writer: DirectWriter | undefined) {
    this.socket = socket;
    this.reading = reading;
    this.handle = DirectWriter.handleOf(socket);
    this.writer = this.handle === undefined ? undefined : writer;
    socket.on('close', () => {
      this.closed = true;
    });
  }

  /** The session to tell when everything is sent. */
  attach(session: Session): void {
    this.session = session;
  }

  write(bytes: Uint8Array, start: number, length: number): number {
    if (this.closed) return 0;
    if (this.writer === undefined || this.handle === undefined || this.pendingBytes > 0) {
      // A Buffer, since the stream would otherwise make one from a view made here.
      this.socket.write(Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + start, length), this.onWritten);
      return this.pendingBytes;
    }
    const waiting = this.writer.write(this.handle, bytes, start, length, this.onDirectlyWritten);
    if (waiting >= 0) {
      this.inFlight = waiting;
      return waiting;
    }
    this.destroy();
    return 0;
  }

  private readonly onDirectlyWritten = (status: number): void => {
    this.inFlight = 0;
    if (status !== 0) this.destroy();
    else this.onWritten();
  };

  private readonly onWritten = (): void => {
    if (!this.closed && this.pendingBytes === 0) this.session?.drained();
  };

  get pendingBytes(): number {
    return this.inFlight + this.socket.writableLength;
  }

  pause(): void {
    this.reading.pause();
  }

  resume(): void {
    this.reading.resume();
  }

  close(): void {
    this.closed = true;
    this.socket.destroySoon();
  }

  destroy(): void {
    this.closed = true;
    this.socket.destroy();
  }
}

export class Server {
  private readonly clients: Clients;
  private readonly listeners: net.Server[] = [];
  private readonly shared = new Uint8Array(READ_BYTES);
  private readonly writer: DirectWriter | undefined;
  private readonly plain: boolean;

  /** `plain` keeps to node:net's public ways of reading and writing, which are the fallback otherwise. */
  constructor(clients: Clients, plain = false) {
    this.clients = clients;
    this.plain = plain;
    this.writer = plain ? undefined : DirectWriter.create();
  }

  /**
   * Listens on the addresses of a `bind` directive: `*` is every IPv4 address, `::*` every IPv6 one; one that begins with
   * a minus sign may be missing on this machine. `backlog` connections may wait to be accepted. Rejects when another cannot be had.
   */
  async listen(addresses: readonly string[], port: number, backlog: number): Promise<void> {
    for (const address of addresses) {
      const optional = address.startsWith('-');
      try {
        await this.listenOn(optional ? address.slice(1) : address, port, backlog);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (optional && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) continue;
        this.close();
        throw error;
      }
    }
  }

  private listenOn(address: string, port: number, backlog: number): Promise<void> {
    const host = address === '*' ? '0.0.0.0' : address === '::*' ? '::' : address;
    return new Promise((resolve, reject) => {
      const options = { noDelay: true, allowHalfOpen: true };
      const server = net.createServer(options, (socket) => this.accept(socket));
      server.once('error', reject);
      server.listen({ host, port, backlog, ipv6Only: host.includes(':') }, () => {
        server.off('error', reject);
        // A failing accept (too many open files) is that client's trouble; the next may succeed.
        server.on('error', (error) => this.clients.log('warning', `Accepting client connection: ${error.message}`));
        this.listeners.push(server);
        resolve();
      });
    });
  }

  /** The port of the first listener. */
  get port(): number {
    return (this.listeners[0].address() as net.AddressInfo).port;
  }

  /** Stops listening; connections stay. */
  close(): void {
    for (const server of this.listeners) server.close();
    this.listeners.length = 0;
  }

  private accept(socket: net.Socket): void {
    const refusal = this.clients.refusal(socket.remoteAddress ?? '');
    if (refusal !== undefined) {
      socket.on('error', () => {});
      socket.write(refusal);
      socket.destroySoon();
      return;
    }
    const addr = formatAddress(socket.remoteAddress, socket.remotePort);
    const laddr = formatAddress(socket.localAddress, socket.localPort);
    let session: Session | undefined;
    const onBytes: OnBytes = (bytes, length) => session?.receive(bytes, length);
    const reading = this.plain ? readByEvents(socket, onBytes) : readShared(socket, this.shared, onBytes);
    const transport = new SocketTransport(socket, reading, this.writer);
    const opened = this.clients.open(transport, addr, laddr, fileDescriptor(socket));
    transport.attach(opened);
    session = opened;
    const keepAliveSec = this.clients.limits.keepAliveSec;
    if (keepAliveSec > 0) socket.setKeepAlive(true, keepAliveSec * 1000);
    socket.on('end', () => opened.ended());
    socket.on('close', () => opened.gone());
    // A reset connection: 'close' follows.
    socket.on('error', () => {});
  }
}

function formatAddress(address: string | undefined, port: number | undefined): string {
  if (address === undefined) return '?:0';
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
