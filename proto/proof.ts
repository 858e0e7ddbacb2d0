/**
 * How two peers show each other that they know the same secret, without telling it: HMAC-SHA256 (RFC 2104) over both
 * handshakes. Any thread; some microseconds.
 *
 * Each side's nonce is in it, so a proof is good for one connection only; the role, so the acceptor's proof cannot be
 * sent back as the opener's; the names and the replicas, so nobody between the two passes one node off as another. What follows the
 * handshake is not protected by it: whoever can change bytes on the way is kept out by TLS.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Handshake } from './messages.ts';

/** Who opened the connection, and who accepted it. */
export type Role = 'opener' | 'acceptor';

/** What the side in `role` proves itself with. Proofs inside of the handshakes are not looked at. */
export function handshakeProof(secret: string, role: Role, opener: Handshake, acceptor: Handshake): Uint8Array {
  const parts = [role, ...identity(opener), ...identity(acceptor)];
  const hmac = createHmac('sha256', secret);
  // Each part behind its length, so that no two lists of parts are the same bytes.
  const length = new Uint8Array(4);
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    new DataView(length.buffer).setUint32(0, bytes.length, true);
    hmac.update(length).update(bytes);
  }
  return hmac.digest();
}

/** Whether `proof` is the one of the side in `role`; takes as long for a wrong one as for the right one. */
export function isProof(
  proof: Uint8Array,
  secret: string,
  role: Role,
  opener: Handshake,
  acceptor: Handshake,
): boolean {
  const expected = handshakeProof(secret, role, opener, acceptor);
  return proof.length === expected.length && timingSafeEqual(proof, expected);
}

function identity({ version, clusterId, nodeId, nodeName, replicas, nonce }: Handshake): (string | Uint8Array)[] {
  const held = replicas.map(({ group, replica }) => `${group}:${replica}`).join(' ');
  return [String(version), clusterId, nodeId, nodeName, held, nonce];
}
