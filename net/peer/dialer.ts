/**
 * Calls one member until there is a connection: with growing pauses, a little different each time, so that two who lost each other
 * do not go on meeting halfway. Main thread; one per member. What goes wrong is logged once, not at every attempt.
 */
import type net from 'node:net';
import type { Log, PeerAddress } from './api.ts';
import type { Link } from './link.ts';
import type { Transport } from './transport.ts';

const SHORTEST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 500;
/** Of two that dial each other, one waits so much longer: mostly there is a connection by then. */
const SECOND_MS = 50;
/** A connection that has lasted so long was no accident: after it, pauses are short again. */
const SETTLED_MS = 1000;

export class Dialer {
  readonly address: PeerAddress;
  /** Of the attempt under way, when it has got as far as that. */
  link: Link | undefined = undefined;
  private readonly transport: Transport;
  private readonly isFirst: boolean;
  private readonly onSocket: (socket: net.Socket, dialer: Dialer) => void;
  private readonly log: Log;
  /** Of the attempt under way. */
  private socket: net.Socket | undefined = undefined;
  private timer: NodeJS.Timeout | undefined = undefined;
  private pauseMs = SHORTEST_PAUSE_MS;
  /** When there was a connection last; 0 when there never was. */
  private restedAtMs = 0;
  private lastText = '';
  /** There is no connection, and one is wanted. */
  private isWanted = false;

  constructor(
    transport: Transport,
    address: PeerAddress,
    isFirst: boolean,
    onSocket: (socket: net.Socket, dialer: Dialer) => void,
    log: Log,
  ) {
    this.transport = transport;
    this.address = address;
    this.isFirst = isFirst;
    this.onSocket = onSocket;
    this.log = log;
  }

  isOf({ host, port }: PeerAddress): boolean {
    return host === this.address.host && port === this.address.port;
  }

  /** There is no connection. */
  start(): void {
    if (this.isWanted) return;
    this.isWanted = true;
    if (performance.now() - this.restedAtMs >= SETTLED_MS) this.pauseMs = SHORTEST_PAUSE_MS;
    if (this.isFirst && this.restedAtMs === 0) this.call();
    else this.pause();
  }

  /**
   * There is a connection, whoever opened it. An attempt under way is given up: its proof has not been sent, so the other side cannot have
   * taken it for the connection yet.
   */
  rest(): void {
    this.restedAtMs = performance.now();
    this.lastText = '';
    this.close();
  }

  /** The attempt under way has become a connection. */
  arrived(): void {
    this.socket = undefined;
    this.link = undefined;
  }

  /** The attempt has come to nothing; '' says that there was a better connection. */
  failed(text: string): void {
    this.arrived();
    if (!this.isWanted) return;
    if (text !== '' && text !== this.lastText) {
      const { replica, name, host, port } = this.address;
      this.log.write('warning', `Cannot connect to replica ${replica}, node ${name} at ${host}:${port}: ${text}`);
      this.lastText = text;
    }
    this.pause();
  }

  /** No more attempts. */
  close(): void {
    this.isWanted = false;
    clearTimeout(this.timer);
    if (this.link !== undefined) this.link.close('');
    else this.socket?.destroy();
  }

  private pause(): void {
    clearTimeout(this.timer);
    const pauseMs = this.pauseMs * (0.5 + Math.random()) + (this.isFirst ? 0 : SECOND_MS);
    this.timer = setTimeout(() => this.call(), pauseMs);
    this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS);
  }

  private call(): void {
    if (!this.isWanted || this.socket !== undefined) return;
    const { host, port } = this.address;
    this.socket = this.transport.connect(
      host,
      port,
      (socket) => this.onSocket(socket, this),
      (text) => this.failed(text),
    );
  }
}
