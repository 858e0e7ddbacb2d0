/**
 * What a test engine holds, read by commands at the engine's clock: one text for each key of each database, equal when the
 * keys hold the same. Reading changes nothing, not even access clocks.
 */
import type { TestEngine } from './engine.ts';
import { decode, decodeList } from './replies.ts';

const DATABASES = 16;

export type State = Map<string, string>;

export function stateOf(engine: TestEngine): State {
  const state: State = new Map();
  const { call } = engine;
  const { db, noTouch } = call;
  call.noTouch = true;
  for (call.db = 0; call.db < DATABASES; call.db++) {
    for (const name of decodeList(engine.run('KEYS', '*'))) {
      const key = Buffer.from(String(name), 'latin1');
      state.set(`${call.db} ${name}`, `${engine.run('PEXPIRETIME', key)}${contents(engine, key)}`);
    }
  }
  call.db = db;
  call.noTouch = noTouch;
  return state;
}

function contents(engine: TestEngine, key: Uint8Array): string {
  const type = decode(engine.run('TYPE', key));
  switch (type) {
    case 'string':
      return engine.run('GET', key);
    case 'list':
      return engine.run('LRANGE', key, 0, -1);
    case 'set':
      return `set ${sorted(decodeList(engine.run('SMEMBERS', key)), 1)}`;
    case 'hash':
      return `hash ${sorted(decodeList(engine.run('HGETALL', key)), 2)}`;
    case 'zset':
      // A score of -0 in a listpack is 0, as in Redis's files.
      return `zset ${engine.run('ZRANGE', key, 0, -1, 'WITHSCORES')}`.replaceAll('$2\r\n-0\r\n', '$1\r\n0\r\n');
    default:
      return `${engine.run('XRANGE', key, '-', '+')}${streamFacts(engine, key)}`;
  }
}

/** The elements in a fixed order, `width` of them together. */
function sorted(list: readonly unknown[], width: number): string {
  const groups: string[] = [];
  for (let i = 0; i < list.length; i += width) groups.push(JSON.stringify(list.slice(i, i + width)));
  return groups.sort().join();
}

/** What a stream knows beside its entries; not how its tree is built. */
function streamFacts(engine: TestEngine, key: Uint8Array): string {
  const info = decodeList(engine.run('XINFO', 'STREAM', key));
  const facts = ['length', 'last-generated-id', 'max-deleted-entry-id', 'entries-added', 'recorded-first-entry-id'];
  return facts.map((name) => `${name}=${info[info.indexOf(name) + 1]}`).join();
}

/** The first few differences between two states, for people; empty when they are equal. */
export function differences(was: State, is: State): string[] {
  const found: string[] = [];
  for (const key of new Set([...was.keys(), ...is.keys()])) {
    if (was.get(key) !== is.get(key)) found.push(`${key}: ${excerpt(was.get(key))} became ${excerpt(is.get(key))}`);
  }
  return found.slice(0, 5);
}

function excerpt(text: string | undefined): string {
  return text === undefined ? 'nothing' : JSON.stringify(text.slice(0, 200));
}
