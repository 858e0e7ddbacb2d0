/** The sections of INFO about the process and its connections: Server, Clients, CPU, Cluster. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { REDIS_VERSION } from '../commands/connection.ts';
import type { Node } from '../node.ts';
import { VERSION } from '../version.ts';

const MASK_24_BITS = 0xffffff;
/** In which /proc counts processor time, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export function serverSection(node: Node): string[] {
  const nowMs = Date.now();
  const uptimeSec = Math.floor((nowMs - node.startedMs) / 1000);
  const hz = node.config.get('hz');
  return [
    `redis_version:${REDIS_VERSION}`,
    'redis_git_sha1:00000000',
    'redis_git_dirty:0',
    'redis_build_id:0000000000000000',
    'redis_mode:standalone',
    `os:${os.type()} ${os.release()} ${os.machine()}`,
    'arch_bits:64',
    'monotonic_clock:POSIX clock_gettime',
    `multiplexing_api:${process.platform === 'linux' ? 'epoll' : 'libuv'}`,
    `process_id:${process.pid}`,
    'process_supervised:no',
    `run_id:${node.runId}`,
    `tcp_port:${node.config.get('port')}`,
    `server_time_usec:${Math.floor((performance.timeOrigin + performance.now()) * 1000)}`,
    `uptime_in_seconds:${uptimeSec}`,
    `uptime_in_days:${Math.floor(uptimeSec / 86400)}`,
    `hz:${hz}`,
    `configured_hz:${hz}`,
    `lru_clock:${Math.floor(nowMs / 1000) & MASK_24_BITS}`,
    `executable:${process.argv[1] ?? process.execPath}`,
    `config_file:${node.config.file}`,
    'io_threads_active:0',
    `millrace_version:${VERSION}`,
    `node_version:${process.versions.node}`,
  ];
}

export function clientsSection(node: Node): string[] {
  const { clients, limits } = node;
  let input = 0;
  let output = 0;
  for (const session of clients.sessions.values()) {
    input = Math.max(input, session.inputCapacity, session.inputBytes);
    output = Math.max(output, session.replyBytes + session.transport.pendingBytes);
  }
  return [
    `connected_clients:${clients.sessions.size}`,
    'cluster_connections:0',
    `maxclients:${limits.maxClients}`,
    `client_recent_max_input_buffer:${input}`,
    `client_recent_max_output_buffer:${output}`,
    `blocked_clients:${clients.postponedCount + node.dispatcher.blocking.count}`,
    'tracking_clients:0',
    'clients_in_timeout_table:0',
  ];
}

export function cpuSection(): string[] {
  const all = process.cpuUsage();
  const main = mainThreadSeconds();
  const lines = [
    `used_cpu_sys:${(all.system / 1e6).toFixed(6)}`,
    `used_cpu_user:${(all.user / 1e6).toFixed(6)}`,
    'used_cpu_sys_children:0.000000',
    'used_cpu_user_children:0.000000',
  ];
  if (main === undefined) return lines;
  const [system, user] = main;
  return [...lines, `used_cpu_sys_main_thread:${system.toFixed(6)}`, `used_cpu_user_main_thread:${user.toFixed(6)}`];
}

/** Seconds that the main thread spent in the kernel and out of it; undefined where /proc does not tell. */
function mainThreadSeconds(): [system: number, user: number] | undefined {
  try {
    const stat = readFileSync(`/proc/self/task/${process.pid}/stat`, 'latin1');
    // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th field behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return [Number(fields[12]) / TICKS_PER_SECOND, Number(fields[11]) / TICKS_PER_SECOND];
  } catch {
    return undefined;
  }
}

export function clusterSection(): string[] {
  return ['cluster_enabled:0'];
}
