/** How nodes are named on the command line: `n1=10.0.0.1:17001,n2=…` and `host:port`. */
import { createHash } from 'node:crypto';

/** A node's port for peers is so far from that for clients, unless it is said to be another. */
export const PEER_PORT_DISTANCE = 10_000;

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface NamedAddress extends Address {
  readonly name: string;
}

export class AddressError extends Error {}

/** `host:port`, the host in brackets if it is an IPv6 address. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text.trim());
  const port = match === null ? 0 : Number(match[3]);
  if (match === null || port < 1 || port > 65535) throw new AddressError(`'${text}' is not host:port`);
  return { host: match[1] ?? match[2], port };
}

export function parseAddresses(text: string): Address[] {
  return text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(parseAddress);
}

/** The nodes of `initial-cluster`, in the order given, which is that of their replica ids. */
export function parseCluster(text: string): NamedAddress[] {
  const nodes = text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const equals = part.indexOf('=');
      const name = part.slice(0, equals).trim();
      if (equals < 1 || name === '') throw new AddressError(`'${part.trim()}' is not name=host:port`);
      return { name, ...parseAddress(part.slice(equals + 1)) };
    });
  const names = new Set(nodes.map(({ name }) => name));
  if (names.size !== nodes.length) throw new AddressError('a name comes twice in initial-cluster');
  return nodes;
}

/** The id of the cluster that begins with these nodes: all of them come to the same one without asking each other. */
export function clusterIdOf(nodes: readonly NamedAddress[]): string {
  const text = nodes.map(({ name, host, port }) => `${name}=${host}:${port}`).join(',');
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
