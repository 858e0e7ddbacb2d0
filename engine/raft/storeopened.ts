/**
 * What a replica's log holds when it is opened, as plain data: the thread that reads the log makes it, the main thread
 * builds the replica from it. A step per record for the one, a step per entry for the other.
 */
import { GROUP } from '../log/opening.ts';
import type { LogScan } from '../log/recover.ts';
import type { SegmentLog } from '../log/segmentlog.ts';
import {
  ENTRY_COMMAND,
  ENTRY_CONFIG,
  type HardState,
  type LogIndex,
  NO_BYTES,
  type SnapshotMeta,
  type Term,
} from './entry.ts';
import { Restored } from './options.ts';

/** What a log holds behind a snapshot, but for the commands. */
export interface OpenedLog {
  readonly hardState: HardState;
  readonly isLost: boolean;
  /** The last entry; the snapshot's when there is none behind it. */
  readonly lastIndex: LogIndex;
  /** From which entry on which term holds, both ascending. */
  readonly terms: readonly { readonly from: LogIndex; readonly term: Term }[];
  readonly configs: readonly ConfigEntry[];
}

export interface ConfigEntry {
  readonly index: LogIndex;
  readonly bytes: Uint8Array;
}

/** `snapshot` is the one that the log was opened behind. */
export function restoredFrom(snapshot: SnapshotMeta, opened: OpenedLog): Restored {
  const { hardState, isLost, lastIndex, terms, configs } = opened;
  const restored = new Restored(snapshot, hardState, isLost);
  let config = 0;
  for (let i = 0; i < terms.length; i++) {
    const { from, term } = terms[i];
    const end = i + 1 < terms.length ? terms[i + 1].from : lastIndex + 1;
    for (let index = from; index < end; index++) {
      if (config === configs.length || configs[config].index !== index) {
        restored.entry(index, term, ENTRY_COMMAND, NO_BYTES, 0, 0);
        continue;
      }
      const { bytes } = configs[config++];
      restored.entry(index, term, ENTRY_CONFIG, bytes, 0, bytes.length);
    }
  }
  return restored;
}

export function lost(hardState: HardState, snapshotIndex: LogIndex): OpenedLog {
  return { hardState, isLost: true, lastIndex: snapshotIndex, terms: [], configs: [] };
}

/** What of the log counts behind the snapshot. If nothing does, it begins anew there. */
export function behind(
  log: SegmentLog,
  snapshotIndex: LogIndex,
  snapshotTerm: Term,
  known: HardState,
  configs: readonly ConfigEntry[],
): OpenedLog {
  const lastIndex = log.lastIndex(GROUP);
  const term = Math.max(snapshotTerm, log.termAt(GROUP, lastIndex));
  const hardState = term > known.term ? { term, vote: 0 } : known;
  // -1 when the log begins behind the snapshot.
  const termThere = log.termAt(GROUP, snapshotIndex);
  if (lastIndex < snapshotIndex || (termThere !== -1 && termThere !== snapshotTerm)) {
    log.restartAt(GROUP, snapshotIndex + 1);
    return { hardState, isLost: false, lastIndex: snapshotIndex, terms: [], configs: [] };
  }
  const terms: { from: LogIndex; term: Term }[] = [];
  for (let index = snapshotIndex + 1; index <= lastIndex; index++) {
    const own = log.termAt(GROUP, index);
    if (terms.length === 0 || terms[terms.length - 1].term !== own) terms.push({ from: index, term: own });
  }
  return { hardState, isLost: false, lastIndex, terms, configs: configs.filter(({ index }) => index > snapshotIndex) };
}

/** Reads the log to its end. The configurations in it that no later record has replaced, in order. */
export function readConfigs(scan: LogScan): ConfigEntry[] {
  const configs: ConfigEntry[] = [];
  for (let record = scan.next(); record !== undefined; record = scan.next()) {
    const { index, kind, bytes, start, length } = record;
    while (configs.length > 0 && configs[configs.length - 1].index >= index) configs.pop();
    if (kind === ENTRY_CONFIG) configs.push({ index, bytes: bytes.slice(start, start + length) });
  }
  return configs;
}
