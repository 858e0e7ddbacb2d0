/**
 * A network of our own between processes on this machine: one namespace of the kernel for each node, a pair of virtual devices
 * between any two and one to us, and routes that can be made to swallow. So a packet is lost as it is in real networks: without
 * a reset, without an error that a proxy in between would make, and connections that cannot even begin stay quiet, too.
 *
 * ```
 *   here ---- node 0 (198.18.x.1)       one address per node, the same over each of its devices
 *     \  \      |
 *      \   \  node 1 (198.18.x.2)
 * ```
 *
 * Needs root and `ip` (package iproute2). Where that is missing `available` says so, and tests skip. Everything is taken down
 * by `close`, or at the latest when this process ends; if that is killed, by the next one that makes namespaces.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';

/** All names of ours begin so: no device's name may be longer than 15 characters. */
const PREFIX = 'mr';

/** Undefined when namespaces can be made here; else why not. */
export const unavailable: string | undefined = probe();
export const available = unavailable === undefined;

export class Netns {
  /** Addresses of the nodes, as seen by each other and from here. */
  readonly addresses: readonly string[];
  private readonly tag = process.pid.toString(36) + randomBytes(1).toString('hex');
  private readonly count: number;
  private isOpen = true;
  private readonly onExit = (): void => this.close();

  constructor(count: number) {
    this.count = count;
    const [second, third] = randomBytes(2);
    // The addresses set aside for such experiments (RFC 2544): nobody has a machine there.
    const subnet = `198.${18 + (second & 1)}.${third}`;
    sweep();
    const here = `${subnet}.254`;
    this.addresses = Array.from({ length: count }, (_, i) => `${subnet}.${i + 1}`);
    process.once('exit', this.onExit);
    try {
      for (let i = 0; i < count; i++) {
        ip('netns', 'add', this.namespace(i));
        ip('-n', this.namespace(i), 'link', 'set', 'lo', 'up');
        ip('-n', this.namespace(i), 'address', 'add', `${this.addresses[i]}/32`, 'dev', 'lo');
        this.connectHere(i, here);
        for (let j = 0; j < i; j++) this.connect(i, j);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** What stands before a command so that it runs as node `i`. The process has the id of the one that is spawned. */
  inside(i: number): string[] {
    return ['ip', 'netns', 'exec', this.namespace(i)];
  }

  /** What `from` sends to `to` vanishes. The other direction stays as it is. */
  blackhole(from: number, to: number): void {
    ip('-n', this.namespace(from), 'route', 'replace', 'blackhole', this.addresses[to]);
    // Connections remember their route.
    ip('-n', this.namespace(from), 'route', 'flush', 'cache');
  }

  /** It arrives again. */
  heal(from: number, to: number): void {
    ip('-n', this.namespace(from), 'route', 'replace', ...this.route(from, to));
    ip('-n', this.namespace(from), 'route', 'flush', 'cache');
  }

  healAll(): void {
    for (let i = 0; i < this.count; i++) {
      for (let j = 0; j < this.count; j++) if (i !== j) this.heal(i, j);
    }
  }

  /** Both directions between a node and all other nodes; it can still be reached from here. */
  isolate(i: number): void {
    for (let j = 0; j < this.count; j++) {
      if (j === i) continue;
      this.blackhole(i, j);
      this.blackhole(j, i);
    }
  }

  /** Takes everything down. What still runs inside of it loses its devices. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    process.off('exit', this.onExit);
    for (let i = 0; i < this.count; i++) {
      // With one end of a pair goes the other, though not at once when a process still holds the namespace.
      spawnSync('ip', ['link', 'delete', this.deviceHere(i)]);
      for (let j = 0; j < this.count; j++) {
        if (j !== i) spawnSync('ip', ['-n', this.namespace(i), 'link', 'delete', this.device(j)]);
      }
      spawnSync('ip', ['netns', 'delete', this.namespace(i)]);
    }
  }

  private connectHere(i: number, here: string): void {
    const inside = this.namespace(i);
    const outer = this.deviceHere(i);
    ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', `${PREFIX}here`, 'netns', inside);
    ip('link', 'set', outer, 'up');
    ip('-n', inside, 'link', 'set', `${PREFIX}here`, 'up');
    ip('address', 'add', `${here}/32`, 'dev', outer);
    ip('route', 'add', this.addresses[i], 'dev', outer, 'src', here);
    ip('-n', inside, 'route', 'add', here, 'dev', `${PREFIX}here`, 'src', this.addresses[i]);
  }

  private connect(i: number, j: number): void {
    const [a, b] = [this.namespace(i), this.namespace(j)];
    ip('-n', a, 'link', 'add', this.device(j), 'type', 'veth', 'peer', 'name', this.device(i), 'netns', b);
    ip('-n', a, 'link', 'set', this.device(j), 'up');
    ip('-n', b, 'link', 'set', this.device(i), 'up');
    ip('-n', a, 'route', 'add', ...this.route(i, j));
    ip('-n', b, 'route', 'add', ...this.route(j, i));
  }

  private route(from: number, to: number): string[] {
    return [this.addresses[to], 'dev', this.device(to), 'src', this.addresses[from]];
  }

  private namespace(i: number): string {
    return `${PREFIX}-${this.tag}-${i}`;
  }

  /** The device towards node `i`, in another node's namespace; and here. */
  private device(i: number): string {
    return `${PREFIX}to${i}`;
  }

  private deviceHere(i: number): string {
    return `${PREFIX}-${this.tag}-${i}`;
  }
}

function ip(...args: string[]): void {
  const { status, stderr, error } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

/** Removes what processes that are gone have left. */
function sweep(): void {
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  for (const [name, pid] of stdout.matchAll(new RegExp(`^${PREFIX}-([0-9a-z]+)[0-9a-f]{2}-\\d+`, 'gm'))) {
    try {
      process.kill(Number.parseInt(pid, 36), 0);
    } catch {
      spawnSync('ip', ['link', 'delete', name]);
      spawnSync('ip', ['netns', 'delete', name]);
    }
  }
}

function probe(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const name = `${PREFIX}-probe${randomBytes(3).toString('hex')}`;
  try {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'add', `${PREFIX}a`, 'type', 'veth', 'peer', 'name', `${PREFIX}b`);
    return undefined;
  } catch (error) {
    return `network namespaces do not work here: ${(error as Error).message}`;
  } finally {
    spawnSync('ip', ['netns', 'delete', name]);
  }
}
