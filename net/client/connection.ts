/**
 * One connection of the client to one node: commands are pipelined, replies come in order. What is sent in one turn of the
 * event loop goes out in one write. A node that has something to answer and says nothing for a while counts as gone, a while
 * that is longer behind a long request: without a reset, nothing else tells a dead machine or a cut cable.
 */
import net from 'node:net';
import { type Argument, encode } from './arguments.ts';
import { ProtocolError, ReplyError } from './errors.ts';
import { INCOMPLETE, Push, type Reply, ReplyParser } from './reply.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What a node says of its own role. */
export interface Place {
  readonly isLeader: boolean;
  /** The leader it follows; undefined when it leads, or knows none. */
  readonly leader: Address | undefined;
}

export interface ConnectionOptions {
  readonly password: string | undefined;
  /** `session`, `bounded 100` …; undefined: as the node has it. */
  readonly consistency: string | undefined;
  /** So long a node may take to be connected, and to answer. */
  readonly silenceMs: number;
}

/** The connection is gone, and with it the answers that were still owed. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
  readonly code = 'CONNECTION_LOST';
}

/** A long request takes its time until a node has it and can answer: at the worst so many bytes in a ms, 8 Mbit/s. */
const SLOWEST_BYTES_PER_MS = 1024;

interface Waiter {
  readonly asBuffers: boolean;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

export class Connection {
  readonly address: Address;
  private readonly socket: net.Socket;
  private readonly parser = new ReplyParser();
  private readonly waiting: Waiter[] = [];
  private readonly options: ConnectionOptions;
  private watchdog: NodeJS.Timeout | undefined = undefined;
  /** When the node last had nothing to answer, or said something; of `performance.now`. */
  private heardAt = 0;
  /** Bytes of the longest request since everything was answered. */
  private longestBytes = 0;
  private isCorked = false;
  private failure: Error | undefined = undefined;

  /** Begins to connect; to be introduced before anything is sent. */
  constructor(address: Address, options: ConnectionOptions) {
    this.address = address;
    this.options = options;
    this.socket = net.connect({ host: address.host, port: address.port, noDelay: true });
    this.socket.on('data', (bytes: Buffer) => this.received(bytes));
    this.socket.on('error', (error) => this.fail(wordsOf(error)));
    this.socket.on('close', () => this.fail('connection closed'));
  }

  /** Connects and introduces itself. Rejects as `introduce` does. */
  static async open(address: Address, options: ConnectionOptions): Promise<Connection> {
    const connection = new Connection(address, options);
    await connection.introduce();
    return connection;
  }

  /** Says who asks, and what for. Rejects with ConnectionLost, or with the ReplyError of a node that refuses, and is closed then. */
  async introduce(): Promise<void> {
    const { password, consistency } = this.options;
    const asks: Argument[][] = [['HELLO', '3']];
    if (password !== undefined) asks[0].push('AUTH', 'default', password);
    if (consistency !== undefined) asks.push(['CLIENT', 'CONSISTENCY', ...consistency.split(' ')]);
    try {
      // They are written as soon as there is a connection; the watchdog covers both.
      for (const reply of await Promise.all(asks.map(async (args) => this.send(args)))) {
        if (reply instanceof ReplyError) throw reply;
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.failure === undefined;
  }

  /**
   * Sends a command. Resolves with its reply, which may be a ReplyError; rejects with ConnectionLost. Throws ConnectionLost
   * when it cannot even be sent.
   */
  send(args: readonly Argument[], asBuffers = false): Promise<Reply> {
    if (this.failure !== undefined) throw this.failure;
    // What cannot be encoded throws here: whoever waits behind it has a request that goes out.
    const pieces = encode(args);
    return new Promise((resolve, reject) => {
      this.waiting.push({ asBuffers, resolve, reject });
      if (!this.isCorked) {
        this.isCorked = true;
        this.socket.cork();
        process.nextTick(() => {
          this.isCorked = false;
          this.socket.uncork();
        });
      }
      let bytes = 0;
      for (const piece of pieces) {
        bytes += piece.length;
        this.socket.write(piece);
      }
      this.longestBytes = Math.max(this.longestBytes, bytes);
      if (this.watchdog !== undefined) return;
      this.heardAt = performance.now();
      this.watch(this.options.silenceMs);
    });
  }

  /** Looks in so many ms whether the node has been silent for too long. */
  private watch(ms: number): void {
    this.watchdog = setTimeout(() => {
      const patienceMs = this.options.silenceMs + this.longestBytes / SLOWEST_BYTES_PER_MS;
      const leftMs = this.heardAt + patienceMs - performance.now();
      if (leftMs > 0) this.watch(leftMs);
      else this.fail(`silent for ${Math.round(patienceMs)} ms`);
    }, ms);
  }

  /** Asks the node who leads. Rejects as `send` does. */
  async place(): Promise<Place> {
    const reply = await this.send(['INFO', 'replication']);
    if (reply instanceof ReplyError) throw reply;
    return placeOf(String(reply));
  }

  /** What is still owed is rejected. */
  close(): void {
    this.fail('closed by this side');
  }

  private received(bytes: Buffer): void {
    this.parser.feed(bytes);
    try {
      for (;;) {
        if (this.waiting.length > 0) this.parser.asBuffers = this.waiting[0].asBuffers;
        const reply = this.parser.next();
        if (reply === INCOMPLETE) break;
        if (reply instanceof Push) continue;
        const waiter = this.waiting.shift();
        if (waiter === undefined) throw new ProtocolError('a reply to nothing');
        waiter.resolve(reply);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.fail(error.message);
      return;
    }
    this.heardAt = performance.now();
    if (this.waiting.length > 0) return;
    clearTimeout(this.watchdog);
    this.watchdog = undefined;
    this.longestBytes = 0;
  }

  private fail(why: string): void {
    if (this.failure !== undefined) return;
    this.failure = new ConnectionLost(`${this.address.host}:${this.address.port}: ${why}`);
    clearTimeout(this.watchdog);
    this.socket.destroy();
    for (const waiter of this.waiting.splice(0)) waiter.reject(this.failure);
  }
}

/** Of a name with several addresses, what each of them met. */
function wordsOf(error: Error): string {
  return error instanceof AggregateError ? error.errors.map(({ message }) => message).join(', ') : error.message;
}

/** `127.0.0.1:7001`, `[::1]:7001`. */
export function addressOf(text: string): Address {
  const match = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  if (match === null || Number(match[3]) > 65535) throw new TypeError(`expected host:port, found '${text}'`);
  return { host: match[1] ?? match[2], port: Number(match[3]) };
}

export function sameAddress(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port;
}

function placeOf(info: string): Place {
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  if (field('role') === 'master') return { isLeader: true, leader: undefined };
  const host = field('master_host');
  const port = Number(field('master_port'));
  return { isLeader: false, leader: host !== '' && port > 0 ? { host, port } : undefined };
}
