/**
 * A process that writes batches to a replica's storage as fast as it takes them, until it is killed. It prints, a line each, up to
 * which entry it was told that they are persisted; what they hold says raft-store-batches.ts. Arguments:
 * directory and policy.
 */
import { EMPTY_CONFIG } from '../../engine/raft/config.ts';
import { ENTRY_COMMAND, Entry } from '../../engine/raft/entry.ts';
import { openRaftStorage } from '../../net/raftstorage.ts';
import { IDENTITY, payload, termOf } from './raft-store-batches.ts';

const UNDER_WAY = 64;
const [directory, policy] = process.argv.slice(2);

const storage = await openRaftStorage(directory, policy as 'always' | 'everysec' | 'no', (text) => {
  process.stdout.write(`died: ${text}\n`);
  process.exit(1);
});
storage.onTrouble = (text) => process.stdout.write(`trouble: ${text}\n`);
if (storage.identity === undefined) await storage.begin(IDENTITY);
const restored = await storage.restore({ index: 0, term: 0, config: EMPTY_CONFIG, configIndex: 0 });
const first = restored.log.lastIndex;
let batch = 0;
let { term } = restored.hardState;

function write(): void {
  const index = first + ++batch;
  const next = Math.max(term, termOf(index));
  const bytes = payload(index, next);
  const hardState = next === term ? null : { term: next, vote: 3 };
  term = next;
  storage.write(batch, hardState, null, [new Entry(index, next, ENTRY_COMMAND, bytes, 0, bytes.length)]);
}

storage.onPersisted = (upTo) => {
  process.stdout.write(`${first + upTo}\n`);
  while (batch < upTo + UNDER_WAY) write();
};
process.stdout.write(`${first}\n`);
while (batch < UNDER_WAY) write();
