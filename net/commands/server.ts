/** The commands about the server as a whole, gathered from the files beside this one. */
import type { CommandRow } from '../../engine/command.ts';
import type { Node } from '../node.ts';
import { aclRow } from './acl.ts';
import { clusterRows } from './cluster.ts';
import { commandRow } from './command-info.ts';
import { configRow } from './config.ts';
import { debugRow } from './debug.ts';
import { infoRow } from './info.ts';
import { latencyRow } from './latency.ts';
import { lifecycleRows } from './lifecycle.ts';
import { memoryRow } from './memory.ts';
import { MODULE_ROW } from './module.ts';
import { persistenceRows } from './persistence.ts';
import { raftRow } from './raft.ts';
import { replicaRows } from './replica.ts';
import { slowLogRow } from './slowlog.ts';

/** Called before the node has its table, stats and clients: the handlers find those when they run. */
export function serverRows(node: Node): CommandRow[] {
  return [
    aclRow(node),
    ...clusterRows,
    commandRow(node),
    configRow(node),
    debugRow(node),
    infoRow(node),
    latencyRow(node),
    ...lifecycleRows(node),
    memoryRow(node),
    MODULE_ROW,
    ...persistenceRows(node),
    raftRow(node),
    ...replicaRows(node),
    slowLogRow(node),
  ];
}
