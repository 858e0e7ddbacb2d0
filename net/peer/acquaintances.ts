/**
 * Which node each replica is, as its first handshake with this node said, kept in the directory. A replica belongs to one node for good: one
 * that comes with another node's id has lost its directory, and with it what it had promised. The log's roster says the same, but is
 * known only as far as it is known to be committed, which after a restart is not until there is a leader; and for whom to elect that is
 * too late. Main thread; a replica that is new costs a write and its sync, others a lookup.
 *
 * ```
 * the file, a line for each replica: number, node id
 * ```
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { ReplicaId } from '../../engine/raft/entry.ts';
import { replaceFile } from '../files.ts';

const LINE = /^(\d{1,10}) (\S{1,1024})$/;

export class Acquaintances {
  private readonly path: string | undefined;
  private readonly nodes = new Map<ReplicaId, string>();

  /** Without a path nothing is kept. Throws when the file cannot be opened. */
  constructor(path: string | undefined) {
    this.path = path;
    if (path === undefined) return;
    closeSync(openSync(path, 'a'));
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      const parts = LINE.exec(line);
      if (parts !== null) this.nodes.set(Number(parts[1]), parts[2]);
    }
  }

  /** Undefined for one that was never met. */
  nodeOf(replica: ReplicaId): string | undefined {
    return this.nodes.get(replica);
  }

  /** Keeps who it is. Throws when that cannot be written. */
  meet(replica: ReplicaId, nodeId: string): void {
    if (this.nodes.get(replica) === nodeId) return;
    const nodes = [...this.nodes, [replica, nodeId] as const];
    if (this.path !== undefined) replaceFile(this.path, nodes.map(([id, node]) => `${id} ${node}\n`).join(''));
    this.nodes.set(replica, nodeId);
  }
}
