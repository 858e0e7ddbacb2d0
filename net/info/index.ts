/** INFO's text: which sections there are, which are asked for, how they are put together. Main thread, takes no lock. */
import type { Node } from '../node.ts';
import { memorySection } from './memory.ts';
import { millraceSection } from './millrace.ts';
import { persistenceSection } from './persistence.ts';
import { replicationSection } from './replication.ts';
import { clientsSection, clusterSection, cpuSection, serverSection } from './server.ts';
import { commandStatsSection, errorStatsSection, keyspaceSection, latencyStatsSection, statsSection } from './stats.ts';

interface Section {
  title: string;
  lines: (node: Node) => string[];
  /** Whether it is printed when nothing particular is asked for. */
  isDefault: boolean;
}

function section(title: string, lines: (node: Node) => string[], isDefault = true): Section {
  return { title, lines, isDefault };
}

/** In the order in which they are printed. */
const SECTIONS: readonly Section[] = [
  section('Server', serverSection),
  section('Clients', clientsSection),
  section('Memory', memorySection),
  section('Persistence', persistenceSection),
  section('Stats', statsSection),
  section('Replication', replicationSection),
  section('CPU', cpuSection),
  section('Modules', () => []),
  section('Commandstats', commandStatsSection, false),
  section('Errorstats', errorStatsSection),
  section('Latencystats', latencyStatsSection, false),
  section('Cluster', clusterSection),
  section('Keyspace', keyspaceSection),
  section('Millrace', millraceSection, false),
];

/** The sections named, in any case; none, or `default`, for the usual ones, `all` or `everything` for all. */
export function infoText(node: Node, names: readonly string[]): string {
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  const isAll = wanted.has('all') || wanted.has('everything');
  const isDefault = names.length === 0 || wanted.has('default');
  const parts: string[] = [];
  for (const { title, lines, isDefault: isUsual } of SECTIONS) {
    if (!isAll && !(isDefault && isUsual) && !wanted.has(title.toLowerCase())) continue;
    parts.push([`# ${title}`, ...lines(node)].map((line) => `${line}\r\n`).join(''));
  }
  return parts.join('\r\n');
}
