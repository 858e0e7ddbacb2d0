/** What a replica throws. It must not go on after a RaftBroken: either this code or the storage below it has lied. */

/** Bytes that came from a peer or a disk and cannot be what they should be. */
export class RaftBytesError extends Error {
  readonly code = 'RAFT_BAD_CONFIG';
}

export class RaftBroken extends Error {
  readonly code = 'RAFT_BROKEN';
}

/** Stops the replica when something holds no more that must always hold. */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new RaftBroken(what);
}
