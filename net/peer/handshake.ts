/**
 * How two nodes find out that they may speak to each other: three messages, then everything else. Pure but for the nonces; one
 * object per connection.
 *
 * ```
 * opener    Handshake: version, cluster, node, replicas, nonce
 * acceptor  the same of its own, and its proof that it knows the secret (proto/proof.ts)
 * opener    the first again, with its proof; from here on, messages
 * ```
 *
 * With an empty secret anybody can make the proof, so whoever reaches the port of peers is believed what it says of itself; it still
 * tells this connection's bytes from those of an earlier one that somebody plays again, since the nonces are in it.
 *
 * The opener keeps its proof to itself where it finds another replica than the one it has called: at the address of a member that
 * is gone there may be a newer one, which would take this for the connection with us and end the one it has.
 *
 * An opener without replicas is a node that wants to join. It has to prove the secret as any other, but need not know the cluster.
 */
import { randomBytes } from 'node:crypto';
import { PeerError } from '../../proto/errors.ts';
import { HANDSHAKE, type Handshake, NONCE_BYTES, type PeerMessage, PROTOCOL_VERSION } from '../../proto/messages.ts';
import { handshakeProof, isProof, type Role } from '../../proto/proof.ts';

const NO_PROOF = new Uint8Array(0);

type GroupReplica = Handshake['replicas'][number];

/** What a node says of itself. */
export interface Self {
  /** Empty with a node that wants to join. */
  readonly clusterId: string;
  readonly nodeId: string;
  readonly nodeName: string;
  readonly replicas: Handshake['replicas'];
}

export class Handshaker {
  /** What the other side says of itself, once it has proved what it had to. */
  peer: Handshake | undefined = undefined;
  readonly role: Role;
  private readonly secret: string;
  private readonly own: Handshake;
  /** An opener's: which replica has to be there. */
  private readonly wanted: GroupReplica | undefined;
  /** The opener's first message, while its proof is not here yet. */
  private opener: Handshake | undefined = undefined;

  constructor(role: Role, self: Self, secret: string, wanted?: GroupReplica) {
    this.role = role;
    this.wanted = wanted;
    this.secret = secret;
    const nonce = randomBytes(NONCE_BYTES);
    this.own = { type: HANDSHAKE, version: PROTOCOL_VERSION, ...self, nonce, proof: NO_PROOF };
  }

  /** What the opener begins with. */
  get greeting(): Handshake {
    return this.own;
  }

  /** Takes a message of the other side; what to answer, if anything. A PeerError when there is nothing to talk about. */
  take(message: PeerMessage): Handshake | undefined {
    if (message.type !== HANDSHAKE) throw stranger('a message before the handshake is done');
    return this.role === 'opener' ? this.takeAcceptor(message) : this.takeOpener(message);
  }

  private takeAcceptor(acceptor: Handshake): Handshake {
    this.check(acceptor);
    this.checkProof(acceptor.proof, 'acceptor', this.own, acceptor);
    const { wanted } = this;
    if (wanted !== undefined) {
      const there = acceptor.replicas.find(({ group }) => group === wanted.group)?.replica ?? 0;
      if (there !== wanted.replica) throw stranger(`node ${printable(acceptor.nodeName)} has replica ${there} there`);
    }
    this.peer = acceptor;
    return { ...this.own, proof: handshakeProof(this.secret, 'opener', this.own, acceptor) };
  }

  private takeOpener(message: Handshake): Handshake | undefined {
    const { opener } = this;
    if (opener === undefined) {
      this.check(message);
      this.opener = message;
      return { ...this.own, proof: handshakeProof(this.secret, 'acceptor', message, this.own) };
    }
    // Whatever else the second one says: the proof is about the first.
    this.checkProof(message.proof, 'opener', opener, this.own);
    this.peer = opener;
    return undefined;
  }

  private check({ version, clusterId, nodeId, replicas }: Handshake): void {
    const { own } = this;
    if (version !== own.version) throw stranger(`protocol version ${version}, not ${own.version}`);
    if (nodeId === own.nodeId) throw stranger('it is this node itself');
    const joins = this.role === 'acceptor' && replicas.length === 0 && clusterId === '';
    const isJoined = this.role === 'opener' && own.replicas.length === 0 && own.clusterId === '';
    if (clusterId !== own.clusterId && !joins && !isJoined) {
      throw stranger(`cluster ${printable(clusterId)}, not ${own.clusterId}`);
    }
  }

  private checkProof(proof: Uint8Array, role: Role, opener: Handshake, acceptor: Handshake): void {
    // Without a secret it proves that these are no bytes of an earlier connection, all the same.
    if (!isProof(proof, this.secret, role, opener, acceptor)) throw stranger('another peer-secret');
  }
}

/** For the log: a name that somebody else has chosen. */
export function printable(text: string): string {
  return JSON.stringify(text);
}

function stranger(what: string): PeerError {
  return new PeerError('STRANGER', `peer: ${what}`);
}
