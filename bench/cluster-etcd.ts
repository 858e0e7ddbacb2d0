/** Three nodes of etcd as processes of this machine, with what they do by default, to compare durable writes with. */
import { spawnSync } from 'node:child_process';
import { type Measured, NODES, startAll, waitFor } from './cluster-servers.ts';
import { Server } from './proc.ts';

const PEER_PORT_DISTANCE = 10;

/** Undefined where it is not installed (Debian: etcd-server). */
export const etcdVersion = /etcd Version: (\S+)/.exec(
  spawnSync('etcd', ['--version'], { encoding: 'utf8' }).stdout ?? '',
)?.[1];

interface Status {
  leader?: string;
  header: { member_id: string };
}

export class Etcd implements Measured {
  readonly name = 'etcd';
  readonly servers: readonly Server[];

  private constructor(servers: readonly Server[]) {
    this.servers = servers;
  }

  static async start(firstPort: number): Promise<Etcd> {
    const starting = Array.from({ length: NODES }, (_, i) =>
      Server.start(
        { name: `etcd ${i + 1}`, command: etcdCommand(firstPort, i), core: 'any', probe: statusOf },
        firstPort + i,
      ),
    );
    return new Etcd(await startAll(starting));
  }

  /** The port of the one that leads, as all three say. */
  ready(): Promise<number> {
    return waitFor('a leader of etcd', async () => {
      const statuses = await Promise.all(this.servers.map(({ port }) => statusOf(port)));
      const leaders = new Set(statuses.map(({ leader }) => leader));
      const at = statuses.findIndex(({ leader, header }) => leader === header.member_id);
      return leaders.size === 1 && at >= 0 ? this.servers[at].port : undefined;
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill()));
  }
}

async function statusOf(port: number): Promise<Status> {
  const reply = await fetch(`http://127.0.0.1:${port}/v3/maintenance/status`, { method: 'POST', body: '{}' });
  return (await reply.json()) as Status;
}

export function etcdCommand(firstPort: number, i: number): string {
  const client = `http://127.0.0.1:${firstPort + i}`;
  const peer = (at: number): string => `http://127.0.0.1:${firstPort + PEER_PORT_DISTANCE + at}`;
  const initial = Array.from({ length: NODES }, (_, at) => `e${at + 1}=${peer(at)}`).join(',');
  return [
    `etcd --name e${i + 1} --data-dir {dir} --listen-client-urls ${client} --advertise-client-urls ${client}`,
    `--listen-peer-urls ${peer(i)} --initial-advertise-peer-urls ${peer(i)} --initial-cluster ${initial}`,
    '--initial-cluster-state new --logger zap --log-level error',
  ].join(' ');
}
