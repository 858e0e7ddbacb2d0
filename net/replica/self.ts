/**
 * What a node was told of itself and of its group when it was started: its name, where its peers and its clients find it, who the
 * first members are. What is so now the roster says (state.ts). Main thread, cold.
 */
import { Configuration } from '../../engine/raft/config.ts';
import type { Member, Roster } from '../../engine/raft/roster.ts';
import type { Identity } from '../../engine/raft/storage.ts';
import type { Config } from '../config.ts';
import type { TlsFiles } from '../peer/transport.ts';
import { type Address, type NamedAddress, PEER_PORT_DISTANCE, parseAddresses, parseCluster } from './addresses.ts';

/** The one group that there is. */
export const GROUP = 0;

export class Self {
  readonly name: string;
  /** The first members: replica i + 1 is the node at place i. */
  readonly initial: readonly NamedAddress[];
  private readonly config: Config;

  constructor(config: Config) {
    this.config = config;
    this.initial = parseCluster(config.get('initial-cluster'));
    this.name = config.get('name') || `${config.get('bind')[0]}:${config.get('port')}`;
  }

  /** Whether it asks others for its place, rather than being one of the first. */
  get joins(): boolean {
    return this.config.get('join') !== '';
  }

  /** Whom it asks. */
  get hosts(): readonly Address[] {
    return parseAddresses(this.config.get('join'));
  }

  private get own(): NamedAddress | undefined {
    return this.initial.find(({ name }) => name === this.name);
  }

  /** Where others find it, which need not be where it listens. */
  get host(): string {
    return this.own?.host ?? this.config.get('bind')[0].replace(/^-/, '');
  }

  get peerHost(): string {
    return this.config.get('peer-bind') || this.host;
  }

  get peerPort(): number {
    return this.own?.port ?? (this.config.get('peer-port') || this.clientPort + PEER_PORT_DISTANCE);
  }

  get clientPort(): number {
    return this.config.get('port');
  }

  get secret(): string {
    return this.config.get('peer-secret');
  }

  get tls(): TlsFiles | undefined {
    const { config } = this;
    const files = { cert: config.get('peer-tls-cert'), key: config.get('peer-tls-key'), ca: config.get('peer-tls-ca') };
    const missing = Object.entries(files).flatMap(([name, file]) => (file === '' ? [`peer-tls-${name}`] : []));
    if (missing.length === 3) return undefined;
    if (missing.length === 0) return files;
    throw new Error(`peer-tls-cert, peer-tls-key and peer-tls-ca go together: ${missing.join(' and ')} not set`);
  }

  /** What the roster should say of it. */
  asMember({ replica, nodeId }: Identity): Member {
    const { name, host, peerPort, clientPort } = this;
    return { replica, nodeId, name, host, peerPort, clientPort };
  }

  /** Members as they begin. */
  firstConfiguration(): Configuration | undefined {
    const ids = this.initial.map((_, i) => i + 1);
    return ids.length === 0 ? undefined : new Configuration(ids, [], [], ids.length);
  }

  /** Where the first members are, until they introduce themselves in the log. */
  placeFirstMembers(roster: Roster): void {
    this.initial.forEach(({ name, host, port }, i) => {
      const clientPort = Math.max(0, port - PEER_PORT_DISTANCE);
      roster.set({ replica: i + 1, nodeId: '', name, host, peerPort: port, clientPort });
    });
  }
}
