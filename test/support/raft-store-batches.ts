/** What the process that is killed writes (raft-store-child.ts), so that who reads it afterwards can tell whether it is that. */
export const IDENTITY = { clusterId: 'c0'.repeat(16), nodeId: 'ab'.repeat(16), replica: 3 };

/** A new term every hundred entries. */
export function termOf(index: number): number {
  return 1 + Math.floor(index / 100);
}

export function payload(index: number, term: number): Uint8Array {
  const text = `${index} in ${term} `;
  return Buffer.from(text.padEnd(text.length + ((index * 7919) % 5000), 'x'));
}
