/**
 * Which node the client talks to: the leader, as long as it can be found and reached; else any node that knows one, since every
 * node forwards. There is one connection at a time, so what a connection is promised (its own writes are seen by its later
 * reads) the client is promised, too: another one is used only after the one before it is closed.
 *
 * Nodes are looked at one after another: the last known leader first, the one that was lost last. A node that follows names its
 * leader, who is asked next.
 */
import { Backoff } from './backoff.ts';
import { type Address, Connection, ConnectionLost, type ConnectionOptions, sameAddress } from './connection.ts';
import { ReplyError } from './errors.ts';
import { isPassing } from './passing.ts';

/** While commands come, the node is asked so often whether it still leads. */
const CHECK_MS = 1000;

interface Found {
  readonly connection: Connection;
  readonly isLeader: boolean;
}

export class Route {
  private readonly nodes: readonly Address[];
  private readonly options: ConnectionOptions;
  private current: Connection | undefined = undefined;
  /** All that may be open: the one in use, and those that are being tried. */
  private readonly connections = new Set<Connection>();
  private searching: Promise<Connection> | undefined = undefined;
  /** Until when somebody waits for a connection, ms of performance.now. */
  private wantedUntilMs = 0;
  /** What the nodes that were asked last had to say, or their silence. */
  private met: Error | undefined = undefined;
  private leader: Address | undefined = undefined;
  private lost: Address | undefined = undefined;
  /** Where the next round begins. */
  private turn: number;
  private checkedAtMs = 0;
  private isChecking = false;
  private isClosed = false;

  constructor(nodes: readonly Address[], options: ConnectionOptions) {
    this.nodes = nodes;
    this.options = options;
    this.turn = Math.floor(Math.random() * nodes.length);
  }

  /**
   * A connection to use, sought until `deadlineMs`. Rejects with what the last node met; with a ReplyError when a node
   * refuses this client for good.
   */
  connection(deadlineMs: number): Promise<Connection> {
    this.wantedUntilMs = Math.max(this.wantedUntilMs, deadlineMs);
    const current = this.current;
    if (current?.isOpen) {
      if (performance.now() - this.checkedAtMs > CHECK_MS) void this.check();
      return Promise.resolve(current);
    }
    if (current !== undefined) {
      this.lost = current.address;
      this.current = undefined;
    }
    return this.searching ?? this.begin(this.search());
  }

  /** What the search under way met last; undefined when there is none. */
  get trouble(): Error | undefined {
    return this.searching === undefined ? undefined : this.met;
  }

  /** Looks for a better connection than this one, which stays in use until there is one. To be called when a node says it cannot serve. */
  async check(): Promise<void> {
    const current = this.current;
    if (this.isChecking || current === undefined) return;
    this.isChecking = true;
    this.checkedAtMs = performance.now();
    try {
      const place = await current.place();
      if (place.isLeader) return;
      this.leader = place.leader;
      const found = await this.round();
      const isBetter = found.isLeader || place.leader === undefined;
      if (isBetter && current.isOpen && this.current === current) await this.begin(this.adopt(found));
      else found.connection.close();
    } catch {
      // The connection in use may be no worse than others; if it is gone, the next command finds out.
    } finally {
      this.isChecking = false;
    }
  }

  close(): void {
    this.isClosed = true;
    for (const connection of this.connections) connection.close();
  }

  private begin(search: Promise<Connection>): Promise<Connection> {
    this.searching = search.finally(() => {
      this.searching = undefined;
    });
    return this.searching;
  }

  private async search(): Promise<Connection> {
    const backoff = new Backoff();
    this.met = undefined;
    for (;;) {
      let failure: Error;
      try {
        return await this.adopt(await this.round());
      } catch (error) {
        failure = error as Error;
        this.met = failure;
      }
      const isFinal = failure instanceof ReplyError ? !isPassing(failure) : !(failure instanceof ConnectionLost);
      if (isFinal || this.isClosed || performance.now() > this.wantedUntilMs) throw failure;
      await backoff.pause();
    }
  }

  /** Asks each node once, until the leader is found. */
  private async round(): Promise<Found> {
    const isLost = (address: Address): boolean => this.lost !== undefined && sameAddress(address, this.lost);
    const inTurn = this.nodes.map((_, i) => this.nodes[(this.turn + i) % this.nodes.length]);
    this.turn++;
    const queue = [...inTurn.filter((address) => !isLost(address)), ...inTurn.filter(isLost)];
    if (this.leader !== undefined && !isLost(this.leader)) queue.unshift(this.leader);
    const asked: Address[] = [];
    /** Those that have said that they do not lead. One of them may do so since, and is asked once more. */
    const following: Address[] = [];
    let mayRepeat = true;
    const indexIn = (some: readonly Address[], address: Address): number =>
      some.findIndex((other) => sameAddress(other, address));
    let follower: Connection | undefined;
    let failure: Error = new ConnectionLost('no node knows a leader');
    for (let address = queue.shift(); address !== undefined; address = queue.shift()) {
      const next = address;
      if (this.isClosed || indexIn(asked, next) >= 0) continue;
      asked.push(next);
      let connection: Connection | undefined;
      try {
        connection = this.begun(next);
        await connection.introduce();
        const place = await connection.place();
        if (place.isLeader) {
          follower?.close();
          return { connection, isLeader: true };
        }
        following.push(next);
        const { leader } = place;
        if (leader !== undefined) {
          queue.unshift(leader);
          if (mayRepeat && indexIn(following, leader) >= 0) {
            mayRepeat = false;
            asked.splice(indexIn(asked, leader), 1);
          }
          // The last one that knows a leader is kept, in case that the leader cannot be reached from here.
          follower?.close();
          follower = connection;
          continue;
        }
      } catch (error) {
        failure = error as Error;
        this.met = failure;
      }
      connection?.close();
    }
    if (follower === undefined) throw failure;
    return { connection: follower, isLeader: false };
  }

  private begun(address: Address): Connection {
    for (const connection of this.connections) if (!connection.isOpen) this.connections.delete(connection);
    const connection = new Connection(address, this.options);
    this.connections.add(connection);
    return connection;
  }

  private async adopt({ connection, isLeader }: Found): Promise<Connection> {
    const former = this.current;
    this.current = undefined;
    former?.close();
    this.leader = isLeader ? connection.address : undefined;
    this.lost = undefined;
    this.checkedAtMs = performance.now();
    try {
      if (this.isClosed) throw new ConnectionLost('closed by this side');
      // What the former connection has seen, this one shall see: a node that has served a linearizable read has all of it.
      if (this.options.consistency === 'session') {
        const reply = await connection.send(['READ', 'linearizable', 'EXISTS', '']);
        if (reply instanceof ReplyError) throw reply;
      }
    } catch (error) {
      this.lost = connection.address;
      connection.close();
      throw error;
    }
    this.current = connection;
    return connection;
  }
}
