/**
 * Servers in this process that pretend to be one cluster, for tests of the client: they share a few strings, one of them says
 * that it leads, and a test decides for each request what becomes of it and of its answer. Counts what is really done.
 */
import net from 'node:net';
import { replyEnd } from './redis.ts';
import { decodeList } from './replies.ts';

/** What becomes of a request: is it done, and what is said? */
export interface Fate {
  readonly isDone: boolean;
  /** `answer`, `lose` the connection, stay `silent`, or an error's text instead of the answer. */
  readonly says: 'answer' | 'lose' | 'silent' | `-${string}`;
  readonly delayMs?: number;
}

export const SERVED: Fate = { isDone: true, says: 'answer' };

export class FakeNode {
  readonly port: number;
  /** Connections that were made, and requests that came, INFO and HELLO left out. */
  connections = 0;
  readonly requests: string[][] = [];
  /** What the next requests meet, one after another; then they are served. */
  readonly fates: Fate[] = [];
  /** What every request meets that has no fate of its own. */
  always: Fate = SERVED;
  /** When set, it says nothing at all to new connections. */
  isFrozen = false;
  private readonly cluster: FakeCluster;
  private readonly server: net.Server;
  private readonly sockets = new Set<net.Socket>();

  private constructor(cluster: FakeCluster, server: net.Server) {
    this.cluster = cluster;
    this.server = server;
    this.port = (server.address() as net.AddressInfo).port;
    server.on('connection', (socket) => this.connected(socket));
  }

  static async start(cluster: FakeCluster, port = 0): Promise<FakeNode> {
    const server = net.createServer();
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
    return new FakeNode(cluster, server);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** As a killed process: connections are reset, new ones refused. */
  kill(): void {
    this.server.close();
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  /** Connections there are. */
  get open(): number {
    return this.sockets.size;
  }

  /** Resets the connections there are. */
  cut(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  private connected(socket: net.Socket): void {
    this.connections++;
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => {});
    let bytes: Buffer = Buffer.alloc(0);
    // Answers come in the order of the requests; behind one that never comes there are no others.
    let turn = Promise.resolve();
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (let end = replyEnd(bytes, 0); end >= 0; end = bytes.length > 0 ? replyEnd(bytes, 0) : -1) {
        const words = decodeList(bytes.toString('latin1', 0, end)) as string[];
        const args = words.map((word) => Buffer.from(word, 'latin1').toString());
        turn = turn.then(() => this.request(socket, args));
        bytes = bytes.subarray(end);
      }
    });
  }

  private async request(socket: net.Socket, args: string[]): Promise<void> {
    if (socket.destroyed) return;
    if (this.isFrozen) return silence();
    if (args[0] === 'HELLO') return void socket.write(this.cluster.hello(args));
    if (args[0] === 'INFO') return void socket.write(bulk(this.cluster.infoOf(this)));
    this.requests.push(args);
    const { isDone, says, delayMs = 0 } = this.fates.shift() ?? this.always;
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    const answer = isDone ? this.cluster.apply(args) : '';
    if (says === 'silent') return silence();
    if (says === 'lose') socket.resetAndDestroy();
    else if (!socket.destroyed) socket.write(says === 'answer' ? answer : `${says}\r\n`);
  }
}

function silence(): Promise<never> {
  return new Promise(() => {});
}

export class FakeCluster {
  readonly nodes: FakeNode[] = [];
  /** Which node leads; undefined: none does. */
  leader: FakeNode | undefined = undefined;
  /** Where the followers say that the leader is, when that is not where it is. */
  leaderAddress: { host: string; port: number } | undefined = undefined;
  password: string | undefined = undefined;
  readonly strings = new Map<string, string>();
  /** Writes that were really done, as `<client> <seq> <command>`. */
  readonly done: string[] = [];
  /** What the cluster knows of the clients' numbers. */
  readonly sessions = new Map<string, { seq: number; reply: string }>();

  static async start(count: number): Promise<FakeCluster> {
    const cluster = new FakeCluster();
    for (let i = 0; i < count; i++) cluster.nodes.push(await FakeNode.start(cluster));
    cluster.leader = cluster.nodes[0];
    return cluster;
  }

  get addresses(): string[] {
    return this.nodes.map((node) => node.address);
  }

  stop(): void {
    for (const node of this.nodes) node.kill();
  }

  hello(args: string[]): string {
    if (this.password !== undefined && args[4] !== this.password)
      return '-WRONGPASS invalid username-password pair\r\n';
    return '%1\r\n+proto\r\n:3\r\n';
  }

  infoOf(node: FakeNode): string {
    if (node === this.leader) return '# Replication\r\nrole:master\r\nconnected_slaves:2\r\n';
    const { host, port } = this.leaderAddress ?? { host: '127.0.0.1', port: this.leader?.port ?? 0 };
    return `# Replication\r\nrole:slave\r\nmaster_host:${port === 0 ? '' : host}\r\nmaster_port:${port}\r\n`;
  }

  /** Does a request and gives its answer. */
  apply(args: string[]): string {
    if (args[0] !== 'ONCE') return this.run(args);
    const [, client, number, ...command] = args;
    const seq = Number(number);
    const session = this.sessions.get(client);
    if (session === undefined && seq !== 1) return '-ONCEEXPIRED the client is not known\r\n';
    if (session !== undefined && seq < session.seq) return '-ERR ONCE: stale\r\n';
    if (session !== undefined && seq === session.seq) return session.reply;
    const reply = this.run(command);
    this.sessions.set(client, { seq, reply });
    this.done.push(`${client} ${seq} ${command.join(' ')}`);
    return reply;
  }

  private run([name, key = '', value = '']: string[]): string {
    const old = this.strings.get(key);
    switch (name.toUpperCase()) {
      case 'GET':
        return old === undefined ? '_\r\n' : bulk(old);
      case 'SET':
        this.strings.set(key, value);
        return '+OK\r\n';
      case 'APPEND':
        this.strings.set(key, (old ?? '') + value);
        return `:${(old ?? '').length + value.length}\r\n`;
      case 'INCR':
        if (Number.isNaN(Number(old ?? 0))) return '-ERR value is not an integer or out of range\r\n';
        this.strings.set(key, String(Number(old ?? 0) + 1));
        return `:${this.strings.get(key)}\r\n`;
      case 'READ':
        return ':0\r\n';
      default:
        return '+OK\r\n';
    }
  }
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}
