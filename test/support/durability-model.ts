/**
 * What the keys of one client hold, as far as its own commands tell: a dumb model of a few commands, which gives the reply
 * each must get. Nobody else touches these keys, so after a crash they have to be what some number of its commands, in
 * their order and each once, have made of them.
 */
import type { Decoded } from './replies.ts';

export type Value =
  | { kind: 'string'; text: string }
  | { kind: 'list'; items: string[] }
  | { kind: 'hash'; fields: Map<string, string> }
  | { kind: 'zset'; scores: Map<string, number> }
  /** `popped`: how many members went of which nobody heard the names. */
  | { kind: 'set'; members: Set<string>; popped: number };

interface Entry {
  value: Value;
  expireAtMs: number;
}

export class ClientModel {
  readonly keys = new Map<string, Entry>();

  copy(): ClientModel {
    const copy = new ClientModel();
    for (const [key, { value, expireAtMs }] of this.keys)
      copy.keys.set(key, { value: structuredClone(value), expireAtMs });
    return copy;
  }

  /** Applies a command; the reply it has to get, as `decode` gives it. `reply`: the one it got, where there was one. */
  apply(args: readonly string[], reply?: Decoded): Decoded {
    const [name, key] = args;
    switch (name) {
      case 'SET':
        this.put(key, { kind: 'string', text: args[2] });
        return 'OK';
      case 'MSET':
        for (let i = 1; i < args.length; i += 2) this.put(args[i], { kind: 'string', text: args[i + 1] });
        return 'OK';
      case 'APPEND': {
        const value = this.open(key, 'string', () => ({ kind: 'string', text: '' }));
        value.text += args[2];
        return String(value.text.length);
      }
      case 'INCR': {
        const value = this.open(key, 'string', () => ({ kind: 'string', text: '0' }));
        value.text = String(Number(value.text) + 1);
        return value.text;
      }
      case 'RPUSH': {
        const { items } = this.open(key, 'list', () => ({ kind: 'list', items: [] }));
        items.push(...args.slice(2));
        return String(items.length);
      }
      case 'LPOP': {
        if (!this.keys.has(key)) return null;
        const { items } = this.open(key, 'list', () => ({ kind: 'list', items: [] }));
        const item = items.shift() as string;
        if (items.length === 0) this.keys.delete(key);
        return item;
      }
      case 'HSET': {
        const { fields } = this.open(key, 'hash', () => ({ kind: 'hash', fields: new Map() }));
        const before = fields.size;
        for (let i = 2; i < args.length; i += 2) fields.set(args[i], args[i + 1]);
        return String(fields.size - before);
      }
      case 'ZADD': {
        const { scores } = this.open(key, 'zset', () => ({ kind: 'zset', scores: new Map() }));
        const added = scores.has(args[3]) ? '0' : '1';
        scores.set(args[3], Number(args[2]));
        return added;
      }
      case 'SADD': {
        const { members } = this.open(key, 'set', () => ({ kind: 'set', members: new Set(), popped: 0 }));
        members.add(args[2]);
        return '1';
      }
      case 'SPOP':
        return this.pop(key, reply);
      case 'DEL':
        return this.keys.delete(key) ? '1' : '0';
      case 'PEXPIREAT': {
        const entry = this.keys.get(key);
        if (entry === undefined) return '0';
        entry.expireAtMs = Number(args[2]);
        return '1';
      }
      default:
        throw new Error(`the model does not know ${name}`);
    }
  }

  private pop(key: string, reply: Decoded | undefined): Decoded {
    const entry = this.keys.get(key);
    if (entry?.value.kind !== 'set') return null;
    const { value } = entry;
    if (reply === undefined) value.popped++;
    else if (!value.members.delete(String(reply))) return `one of ${[...value.members].join()}`;
    if (value.members.size === value.popped) this.keys.delete(key);
    return reply ?? null;
  }

  private put(key: string, value: Value): void {
    this.keys.set(key, { value, expireAtMs: -1 });
  }

  private open<K extends Value['kind']>(
    key: string,
    kind: K,
    make: () => Extract<Value, { kind: K }>,
  ): Extract<Value, { kind: K }> {
    const entry = this.keys.get(key);
    if (entry === undefined) {
      const value = make();
      this.put(key, value);
      return value;
    }
    if (entry.value.kind !== kind) throw new Error(`the model has no ${kind} at ${key}`);
    return entry.value as Extract<Value, { kind: K }>;
  }

  /** Why what was found is not what the model has; undefined when it is. */
  differs(found: ClientModel): string | undefined {
    for (const key of new Set([...this.keys.keys(), ...found.keys.keys()])) {
      const mine = this.keys.get(key);
      const theirs = found.keys.get(key);
      if (mine === undefined || theirs === undefined) {
        return `${key}: ${text(theirs?.value)} instead of ${text(mine?.value)}`;
      }
      if (mine.expireAtMs !== theirs.expireAtMs) {
        return `${key}: expires at ${theirs.expireAtMs} instead of ${mine.expireAtMs}`;
      }
      if (!agree(mine.value, theirs.value)) return `${key}: ${text(theirs.value)} instead of ${text(mine.value)}`;
    }
    return undefined;
  }
}

function agree(mine: Value, theirs: Value): boolean {
  if (mine.kind === 'set' && theirs.kind === 'set') {
    if (theirs.members.size !== mine.members.size - mine.popped) return false;
    return [...theirs.members].every((member) => mine.members.has(member));
  }
  return text(mine) === text(theirs);
}

function text(value: Value | undefined): string {
  if (value === undefined) return 'nothing';
  switch (value.kind) {
    case 'string':
      return value.text;
    case 'list':
      return `list ${value.items.join()}`;
    case 'hash':
      return `hash ${[...value.fields].map(String).sort().join(';')}`;
    case 'zset':
      return `zset ${[...value.scores].map(String).sort().join(';')}`;
    case 'set':
      return `set ${[...value.members].sort().join()}, ${value.popped} popped`;
  }
}
