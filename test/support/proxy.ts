/**
 * A TCP proxy that misbehaves as told, per direction: between two nodes, or a client and a node. In the process of the test;
 * each chunk is copied once and costs a few us.
 *
 * What is swallowed is gone as on a network that eats it without a word: both ends stay connected and learn nothing. Bytes that
 * are let through afterwards on the same connection would have a gap before them, which TCP never has; so `heal` cuts it, as the
 * kernels would in the end.
 *
 * A proxy before a node carries connections of several others. Where it matters whose, `sort` puts each connection into a lane
 * of its own by the first bytes that it sends.
 */
import net from 'node:net';
import { Direction, Pipe } from './proxy-pipe.ts';

/** Connections that share their fate. */
export class Lane {
  /** From whoever connects to the target, and back. */
  readonly toServer: Direction;
  readonly toClient: Direction;
  /** New connections are reset at once. */
  isRefusing = false;
  /** Connections that were carried in all. */
  taken = 0;
  private readonly links = new Set<Link>();

  constructor(toServer = new Direction(), toClient = new Direction()) {
    this.toServer = toServer;
    this.toClient = toClient;
  }

  /** Connections there are. */
  get connections(): number {
    return this.links.size;
  }

  /** Swallows both directions: a blackhole. New connections are taken, and nothing comes of them. */
  drop(): void {
    this.toServer.isDropping = true;
    this.toClient.isDropping = true;
  }

  /** Ends all connections that there are: with a reset, as after a crash, or in good order. */
  cut(how: 'rst' | 'fin' = 'rst'): void {
    for (const link of [...this.links]) link.end(how);
  }

  /** No connections, old or new, until `heal`. */
  sever(): void {
    this.isRefusing = true;
    this.cut();
  }

  /** Whether its connections lose bytes. */
  get isDropping(): boolean {
    return this.toServer.isDropping || this.toClient.isDropping;
  }

  /** Undoes everything; connections that have lost bytes are cut. */
  heal(): void {
    this.isRefusing = false;
    if (this.isDropping) this.cut();
    this.toServer.heal();
    this.toClient.heal();
  }

  add(link: Link): void {
    this.links.add(link);
  }

  remove(link: Link): boolean {
    return this.links.delete(link);
  }
}

/** One connection that is carried. */
class Link {
  readonly toServer: Pipe;
  private readonly toClient: Pipe;
  private readonly client: net.Socket;
  private readonly server: net.Socket;
  private readonly lane: Lane;

  constructor(client: net.Socket, server: net.Socket, lane: Lane) {
    this.client = client;
    this.server = server;
    this.lane = lane;
    this.toServer = new Pipe(client, server, lane.toServer);
    this.toClient = new Pipe(server, client, lane.toClient);
    lane.add(this);
    lane.taken++;
    client.on('error', () => this.lost(lane.toServer));
    // A target that refuses shows as one that resets: the client is connected already.
    server.on('error', () => this.lost(lane.toClient));
    let open = 2;
    for (const socket of [client, server]) {
      socket.on('close', () => {
        if (--open === 0) this.end('fin');
      });
    }
  }

  end(how: 'rst' | 'fin'): void {
    if (!this.lane.remove(this)) return;
    this.toServer.close();
    this.toClient.close();
    for (const socket of [this.client, this.server]) {
      if (how === 'rst') socket.resetAndDestroy();
      else socket.destroySoon();
    }
  }

  /** One side has reset the connection; the news goes where its bytes go. */
  private lost(direction: Direction): void {
    if (!direction.isDropping) this.end('rst');
  }
}

/** The lane of a connection, by the first bytes that it sends; undefined: the proxy's own. */
export type Sort = (first: Buffer) => Lane | undefined;

export interface ProxyOptions {
  readonly targetPort: number;
  readonly targetHost?: string;
  /** 0: a free one. */
  readonly port?: number;
  readonly host?: string;
  readonly sort?: Sort;
}

const LOOPBACK = '127.0.0.1';

export class TcpProxy extends Lane {
  readonly port: number;
  private readonly server: net.Server;
  private readonly target: { host: string; port: number };
  private readonly sort: Sort | undefined;
  /** What clients have sent, connection by connection, the newest last. */
  private readonly recordings: Pipe[] = [];
  private readonly sockets = new Set<net.Socket>();

  private constructor(server: net.Server, { targetPort, targetHost = LOOPBACK, sort }: ProxyOptions) {
    super();
    this.server = server;
    this.target = { host: targetHost, port: targetPort };
    this.sort = sort;
    this.port = (server.address() as net.AddressInfo).port;
    server.on('connection', (socket) => this.connected(socket));
  }

  static async start(options: ProxyOptions): Promise<TcpProxy> {
    const { port = 0, host = LOOPBACK } = options;
    // Half-open connections are passed on as what they are.
    const server = net.createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
    return new TcpProxy(server, options);
  }

  /** What the newest connection but `age` has sent to the server, from its beginning; at most 1 MiB. */
  recording(age = 0): Buffer {
    return Buffer.concat(this.recordings.at(-1 - age)?.recorded ?? []);
  }

  /**
   * Sends bytes to the server on a connection of their own, as a network does that repeats itself. Resolves with what was
   * answered within `forMs`, and whether the server closed.
   */
  replay(bytes: Uint8Array, forMs = 200): Promise<{ answer: Buffer; isClosed: boolean }> {
    return new Promise((resolve) => {
      const answer: Buffer[] = [];
      const socket = net.connect({ ...this.target, noDelay: true }, () => socket.write(bytes));
      const finish = (isClosed: boolean): void => {
        clearTimeout(timer);
        socket.destroy();
        resolve({ answer: Buffer.concat(answer), isClosed });
      };
      const timer = setTimeout(() => finish(false), forMs);
      socket.on('data', (chunk: Buffer) => answer.push(chunk));
      socket.on('error', () => {});
      socket.on('end', () => finish(true));
      socket.on('close', () => finish(true));
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.resetAndDestroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private connected(client: net.Socket): void {
    this.watch(client);
    if (this.sort === undefined) {
      this.carry(client, this);
      return;
    }
    const { sort } = this;
    client.once('data', (first: Buffer) => {
      client.pause();
      client.unshift(first);
      this.carry(client, sort(first) ?? this);
    });
  }

  private carry(client: net.Socket, lane: Lane): void {
    if (lane.isRefusing) {
      client.resetAndDestroy();
      return;
    }
    const server = net.connect({ ...this.target, noDelay: true, allowHalfOpen: true });
    this.watch(server);
    this.recordings.push(new Link(client, server, lane).toServer);
  }

  private watch(socket: net.Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
  }
}
