/** Clients for histories of real clusters: one that speaks to a single node as stock clients do, and one that is a Clerk. */
import type { Connection } from '../../net/client/connection.ts';
import { type Clerk, type Consistency, ReplyError } from '../../net/client/index.ts';
import type { Reply } from '../../net/client/reply.ts';
import type { ClusterNode } from './cluster.ts';
import type { Caller } from './history.ts';

const SILENCE_MS = 2000;

/** Speaks to one node, and repeats nothing. When the node is gone the next one's turn comes, unless there is just one. */
export class NodeCaller {
  private readonly nodes: readonly ClusterNode[];
  private readonly consistency: Consistency | undefined;
  /** Connections that it has had. */
  connections = 0;
  private turn: number;
  private connection: Connection | undefined = undefined;
  private connecting: Promise<Connection> | undefined = undefined;
  private isClosed = false;

  constructor(nodes: readonly ClusterNode[], turn = 0, consistency?: Consistency) {
    this.nodes = nodes;
    this.turn = turn;
    this.consistency = consistency;
  }

  readonly call: Caller = async (...args: string[]): Promise<Reply> => {
    return (await this.connected()).send(args);
  };

  close(): void {
    this.isClosed = true;
    this.connection?.close();
  }

  private async connected(): Promise<Connection> {
    if (this.connection?.isOpen) return this.connection;
    this.connecting ??= this.connect().finally(() => {
      this.connecting = undefined;
    });
    return this.connecting;
  }

  private async connect(): Promise<Connection> {
    try {
      this.connection = await this.nodes[this.turn++ % this.nodes.length].connect(this.consistency, SILENCE_MS);
    } catch {
      // Nothing was sent.
      throw new ReplyError('CLUSTERDOWN the node is not there');
    }
    this.connections++;
    if (this.isClosed) this.connection.close();
    return this.connection;
  }
}

export function clerkCaller(clerk: Clerk): Caller {
  return (...args) => clerk.command(...args);
}
