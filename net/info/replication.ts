/**
 * INFO's section about replication, in Redis's fields, which clients and tools read to find the master; and a few of our own. A
 * leader is a master, whoever follows it a replica that accepts writes, and offsets are indexes of the group's log.
 */
import type { Node } from '../node.ts';
import type { Group } from '../replica/group.ts';
import { type Replication, replicationOf, roleOf } from '../replica/status.ts';

const ID_DIGITS = 40;
const NO_ID = '0'.repeat(ID_DIGITS);

export function replicationSection(node: Node): string[] {
  const { group } = node.persistence;
  const told = replicationOf(group);
  const hasStarted = group?.hasStarted === true;
  const id = group === undefined ? node.replicationId : hasStarted ? group.identity.clusterId : '';
  const lastIndex = hasStarted ? group.replica.core.state.log.lastIndex : 0;
  return [
    `role:${told.role}`,
    ...(told.role === 'slave' ? ofReplica(told) : []),
    `connected_slaves:${told.replicas.length}`,
    ...told.replicas.map(
      ({ host, port, offset, lagSec, isOnline }, i) =>
        `slave${i}:ip=${host},port=${port},state=${isOnline ? 'online' : 'wait_bgsave'},offset=${offset},lag=${lagSec}`,
    ),
    'master_failover_state:no-failover',
    `master_replid:${id.padEnd(ID_DIGITS, '0')}`,
    `master_replid2:${NO_ID}`,
    `master_repl_offset:${lastIndex}`,
    'second_repl_offset:-1',
    'repl_backlog_active:0',
    'repl_backlog_size:0',
    'repl_backlog_first_byte_offset:0',
    'repl_backlog_histlen:0',
    ...(hasStarted ? ofGroup(group) : []),
  ];
}

function ofReplica({ leader, isConnected, heardMs, offset }: Replication): string[] {
  return [
    `master_host:${leader?.host ?? ''}`,
    `master_port:${leader?.clientPort ?? 0}`,
    `master_link_status:${isConnected ? 'up' : 'down'}`,
    `master_last_io_seconds_ago:${heardMs < 0 ? -1 : Math.floor(heardMs / 1000)}`,
    'master_sync_in_progress:0',
    `slave_read_repl_offset:${offset}`,
    `slave_repl_offset:${offset}`,
    'slave_priority:100',
    'slave_read_only:0',
    'replica_announced:1',
  ];
}

function ofGroup(group: Group): string[] {
  const { core, applier } = group.replica;
  const { term, leader, commit, id, config } = core.state;
  return [
    `raft_role:${roleOf(group)}`,
    `raft_replica:${id}`,
    `raft_term:${term}`,
    `raft_leader:${leader}`,
    `raft_commit:${commit}`,
    `raft_applied:${applier.appliedIndex}`,
    `raft_voters:${config.voters.join(',')}`,
    `raft_learners:${config.learners.join(',')}`,
  ];
}
