/**
 * The whole data set of a node, read by its commands: one text for each key of each database. What has no order (sets,
 * hashes in a table) is put in order, since a table's is its own in each process.
 */
import type { DurableNode } from './durability-node.ts';
import type { RawClient } from './redis.ts';
import { decode, decodeList } from './replies.ts';

const DATABASES = 4;

export interface KeyContents {
  encoding: string;
  expireAtMs: number;
  text: string;
}

/** By database and key. */
export type Contents = Map<string, KeyContents>;

/** Reads everything; nobody may write meanwhile. */
export async function contentsOf(node: DurableNode): Promise<Contents> {
  const contents: Contents = new Map();
  const client = await node.connect();
  for (let db = 0; db < DATABASES; db++) {
    const [, keys] = await client.pipeline([
      ['SELECT', db],
      ['KEYS', '*'],
    ]);
    for (const name of decodeList(keys)) {
      const found = await readKey(client, Buffer.from(String(name), 'latin1'));
      // Gone between two commands.
      if (found !== undefined) contents.set(`${db} ${name}`, found);
    }
  }
  client.close();
  return contents;
}

async function readKey(client: RawClient, key: Uint8Array): Promise<KeyContents | undefined> {
  const [type, expireAtMs, encoding, dump] = await client.pipeline([
    ['TYPE', key],
    ['PEXPIRETIME', key],
    ['OBJECT', 'ENCODING', key],
    ['DUMP', key],
  ]);
  if (dump === '$-1\r\n') return undefined;
  const value = await contentOf(client, key, type.slice(1, -2), dump);
  // It may also have expired after that.
  if ((await client.run('EXISTS', key)) === ':0\r\n') return undefined;
  // Which of the two a short string is depends on how it came about, which no file keeps.
  const form = encoding === '$6\r\nembstr\r\n' ? '$3\r\nraw\r\n' : encoding;
  return { expireAtMs: Number(decode(expireAtMs)), text: `${type}${value}`, encoding: form };
}

async function contentOf(client: RawClient, key: Uint8Array, type: string, dump: string): Promise<string> {
  // Its nodes may be divided in other places.
  if (type === 'list') return client.run('LRANGE', key, 0, -1);
  // A score of -0 in a listpack is 0, as in Redis's files.
  if (type === 'zset')
    return (await client.run('ZRANGE', key, 0, -1, 'WITHSCORES')).replaceAll('$2\r\n-0\r\n', '$1\r\n0\r\n');
  if (type !== 'hash' && type !== 'set') return dump;
  const elements = decodeList(await client.run(type === 'hash' ? 'HGETALL' : 'SMEMBERS', key)).map(String);
  const width = type === 'hash' ? 2 : 1;
  const groups: string[] = [];
  for (let i = 0; i < elements.length; i += width) groups.push(JSON.stringify(elements.slice(i, i + width)));
  return groups.sort().join();
}

/**
 * The first few keys that differ, for people. Keys whose expiry has come may be gone. `encodings`: whether those have to be
 * the same; loading a snapshot may make a shorter one, as in Redis.
 */
export function differencesOf(was: Contents, is: Contents, encodings = true): string[] {
  const found: string[] = [];
  for (const key of new Set([...was.keys(), ...is.keys()])) {
    const before = was.get(key);
    const after = is.get(key);
    if (after === undefined && before !== undefined && before.expireAtMs > 0 && before.expireAtMs <= Date.now())
      continue;
    const isSameForm = before?.encoding === after?.encoding || !encodings;
    if (before?.text === after?.text && before?.expireAtMs === after?.expireAtMs && isSameForm) continue;
    found.push(`${key}: ${excerpt(before)} became ${excerpt(after)}`);
  }
  return found.slice(0, 5);
}

function excerpt(contents: KeyContents | undefined): string {
  if (contents === undefined) return 'nothing';
  return `${contents.encoding} ${JSON.stringify(contents.text.slice(0, 300))} until ${contents.expireAtMs}`;
}
