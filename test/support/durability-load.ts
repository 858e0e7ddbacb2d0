/**
 * Load whose outcome can be judged after a crash. Each client writes keys of its own (durability-model.ts), and now and
 * then to a counter and a list that all share; it knows what it has sent, what was answered, and checks every answer. After
 * the crash `judge` says whether the node holds what the first P of its commands make, for one P between those answered
 * and those sent, for each client: so nothing answered is missing, nothing torn, nothing done twice or out of order.
 */
import { Random } from '../../engine/random.ts';
import { ClientModel } from './durability-model.ts';
import type { RawClient } from './redis.ts';
import { type Decoded, decode, decodeList } from './replies.ts';

/** Keys of each kind that a client has. */
const STRINGS = 12;
const FAR_MS = 4_000_000_000_000;
export const COUNTER = 'shared:counter';
export const LIST = 'shared:list';

interface Op {
  args: string[];
  /** When its answer came, ms of performance.now; undefined: none came. */
  answeredAt: number | undefined;
  reply: Decoded | undefined;
}

/** What a round of load came to. */
export interface Verdict {
  problems: string[];
  answered: number;
  unanswered: number;
  /** Of those without an answer, how many are there all the same; and with answers, how many are not. */
  kept: number;
  lost: number;
  /** How long before the crash the first lost one was answered. */
  lostMs: number;
}

export class LoadClient {
  readonly id: number;
  private readonly random: Random;
  /** What the keys held when the round began, and what was sent since. */
  private base = new ClientModel();
  private live = new ClientModel();
  private ops: Op[] = [];
  private answered = 0;
  private serial = 0;
  private stopping = false;
  readonly problems: string[] = [];

  constructor(id: number, seed: number) {
    this.id = id;
    this.random = new Random(seed + id * 7919);
  }

  /** Sends commands until the connection ends, or `stop`: one by one or pipelined, as the dice say. */
  async run(client: RawClient): Promise<void> {
    this.stopping = false;
    const depths = [1, 1, 4, 16, 64];
    while (!this.stopping) {
      const depth = depths[this.random.below(depths.length)];
      const ops = Array.from({ length: depth }, () => this.next());
      try {
        // Each answer counts when it comes, though its pipeline may never be answered to the end.
        await Promise.all(ops.map((op) => op.sent(client)));
      } catch {
        return;
      }
    }
  }

  stop(): void {
    this.stopping = true;
  }

  private next(): { sent: (client: RawClient) => Promise<void> } {
    const op: Op = { args: this.command(), answeredAt: undefined, reply: undefined };
    this.ops.push(op);
    return {
      sent: async (client) => {
        const raw = await client.run(...op.args);
        const reply = decode(raw);
        if (typeof reply === 'string' && raw[0] === '-') {
          this.problems.push(`client ${this.id}: ${op.args.slice(0, 2).join(' ')} got ${reply}`);
        }
        op.reply = reply;
        op.answeredAt = performance.now();
        this.answered++;
        if (isShared(op.args)) return;
        const expected = this.live.apply(op.args, reply);
        if (expected !== reply) {
          this.problems.push(
            `client ${this.id}: ${op.args.slice(0, 3).join(' ').slice(0, 80)} got ${reply} for ${expected}`,
          );
        }
      },
    };
  }

  private key(kind: string, of = 1): string {
    return `${kind}${this.id}:${this.random.below(of)}`;
  }

  /** Content that nobody else writes, and that shows when a part of it is missing. */
  private content(): string {
    const r = this.random.below(200);
    const length = r === 0 ? 300_000 : r < 4 ? 20_000 : 10 + this.random.below(100);
    const mark = `${this.id}.${++this.serial}.`;
    return mark.repeat(Math.ceil(length / mark.length));
  }

  private command(): string[] {
    const r = this.random;
    const serial = `${this.id}.${++this.serial}`;
    switch (r.below(16)) {
      case 0:
      case 1:
      case 2:
        return ['SET', this.key('s', STRINGS), this.content()];
      case 3:
        return ['APPEND', this.key('a'), `${serial};`];
      case 4:
        return ['INCR', this.key('n', 3)];
      case 5:
        return ['RPUSH', this.key('l', 2), serial, `${serial}b`];
      case 6:
        return ['LPOP', this.key('l', 2)];
      case 7:
        return ['HSET', this.key('h'), `f${r.below(20)}`, this.content().slice(0, 200), 'last', serial];
      case 8:
        return ['ZADD', this.key('z'), String(r.below(1000)), `m${r.below(30)}`];
      case 9:
        return ['SADD', this.key('t', 2), serial];
      case 10:
        return ['SPOP', this.key('t', 2)];
      case 11: {
        const pairs = Array.from({ length: 1 + r.below(5) }, () => [
          this.key('s', STRINGS),
          this.content().slice(0, 500),
        ]);
        return ['MSET', ...pairs.flat()];
      }
      case 12:
        return ['PEXPIREAT', this.key('s', STRINGS), String(FAR_MS + r.below(1_000_000))];
      case 13:
        return r.below(4) === 0 ? ['DEL', this.key(r.below(2) === 0 ? 'a' : 'h')] : ['INCR', this.key('n', 3)];
      case 14:
        return ['INCR', COUNTER];
      default:
        return ['RPUSH', LIST, serial];
    }
  }

  private ownKeys(): string[] {
    const count = (kind: string, of: number): string[] =>
      Array.from({ length: of }, (_, i) => `${kind}${this.id}:${i}`);
    return [
      ...count('s', STRINGS),
      ...count('a', 1),
      ...count('n', 3),
      ...count('l', 2),
      ...count('h', 1),
      ...count('z', 1),
      ...count('t', 2),
    ];
  }

  /** Reads what the client's keys hold. */
  private async read(client: RawClient): Promise<ClientModel> {
    const found = new ClientModel();
    const keys = this.ownKeys();
    const reads: Record<string, (key: string) => string[]> = {
      s: (key) => ['GET', key],
      a: (key) => ['GET', key],
      n: (key) => ['GET', key],
      l: (key) => ['LRANGE', key, '0', '-1'],
      h: (key) => ['HGETALL', key],
      z: (key) => ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
      t: (key) => ['SMEMBERS', key],
    };
    const replies = await client.pipeline(keys.flatMap((key) => [reads[key[0]](key), ['PEXPIRETIME', key]]));
    keys.forEach((key, i) => {
      const reply = decode(replies[i * 2]);
      if (reply === null || reply.length === 0) return;
      const list = reply as string[];
      const pairs = Array.isArray(reply)
        ? Array.from({ length: list.length >> 1 }, (_, j): [string, string] => [list[j * 2], list[j * 2 + 1]])
        : [];
      const kind = key[0];
      const entry = { value: undefined as never, expireAtMs: Number(decode(replies[i * 2 + 1])) };
      const put = (value: unknown): void => void found.keys.set(key, { ...entry, value: value as never });
      if (kind === 'l') put({ kind: 'list', items: list });
      else if (kind === 'h') put({ kind: 'hash', fields: new Map(pairs) });
      else if (kind === 'z') put({ kind: 'zset', scores: new Map(pairs.map(([m, s]) => [m, Number(s)])) });
      else if (kind === 't') put({ kind: 'set', members: new Set(list), popped: 0 });
      else put({ kind: 'string', text: String(reply) });
    });
    return found;
  }

  /**
   * Compares what the node holds with what was sent, given what is in the shared list. With `crashedAt`, answers may be
   * missing that came within `windowMs` before. Then takes what is there as the beginning of the next round.
   */
  async judge(client: RawClient, shared: readonly string[], crashedAt: number, windowMs: number): Promise<Verdict> {
    const found = await this.read(client);
    const { ops } = this;
    const problems = this.problems.splice(0);
    const mine = shared.filter((item) => item.startsWith(`${this.id}.`));
    const latest = windowMs === 0 ? Number.POSITIVE_INFINITY : crashedAt - windowMs;
    const sure = ops.findIndex((op) => op.answeredAt === undefined || op.answeredAt > latest);
    const from = sure < 0 ? ops.length : sure;
    const model = this.base.copy();
    const pushed: string[] = [];
    const apply = (op: Op): void => {
      if (op.args[1] === LIST) pushed.push(op.args[2]);
      else if (!isShared(op.args)) model.apply(op.args, op.reply);
    };
    for (const op of ops.slice(0, from)) apply(op);
    let prefix = -1;
    let why = '';
    for (let p = from; p <= ops.length; p++) {
      if (p > from) apply(ops[p - 1]);
      const wrong =
        pushed.length !== mine.length || pushed.some((item, i) => item !== mine[i])
          ? `the shared list has ${mine.length} items (the last ${mine.at(-1)}) for ${pushed.length} (the last ${pushed.at(-1)})`
          : model.differs(found);
      // The longest that fits: some commands change nothing.
      if (wrong === undefined) prefix = p;
      else why = wrong.slice(0, 300);
    }
    const { answered } = this;
    if (prefix < 0) {
      problems.push(
        `client ${this.id}: no prefix of its commands from ${from} to ${ops.length} (answered ${answered}) makes what is there: ${why}`,
      );
    }
    const firstLost = prefix >= 0 && prefix < answered ? ops[prefix] : undefined;
    this.base = found;
    this.live = found.copy();
    this.ops = [];
    this.answered = 0;
    return {
      problems,
      answered,
      unanswered: ops.length - answered,
      kept: Math.max(0, prefix - answered),
      lost: prefix < 0 ? 0 : Math.max(0, answered - prefix),
      lostMs: firstLost === undefined ? 0 : crashedAt - (firstLost.answeredAt ?? crashedAt),
    };
  }

  /** How many of its commands raise the shared counter, of those answered and of all. */
  increments(): { answered: number; sent: number } {
    const all = this.ops.filter(({ args }) => args[1] === COUNTER);
    return { answered: all.filter((op) => op.answeredAt !== undefined).length, sent: all.length };
  }
}

function isShared(args: readonly string[]): boolean {
  return args[1] === COUNTER || args[1] === LIST;
}

/** Several clients at once, and what they share. */
export class Load {
  private readonly clients: LoadClient[];
  private counter = 0;
  private running: Promise<void>[] = [];

  constructor(clients: number, seed: number) {
    this.clients = Array.from({ length: clients }, (_, id) => new LoadClient(id, seed));
  }

  async start(connect: () => Promise<RawClient>): Promise<void> {
    const connections = await Promise.all(this.clients.map(connect));
    this.running = this.clients.map((client, i) => client.run(connections[i]).finally(() => connections[i].close()));
  }

  /** Lets what was sent be answered, and sends no more. */
  async stop(): Promise<void> {
    for (const client of this.clients) client.stop();
    await this.over();
  }

  /** Resolves when all connections have ended. */
  async over(): Promise<void> {
    await Promise.all(this.running);
  }

  /** See LoadClient.judge. */
  async judge(client: RawClient, crashedAt: number, windowMs = 0): Promise<Verdict> {
    const shared = decodeList(await client.run('LRANGE', LIST, 0, -1)).map(String);
    const counted = this.clients.map((each) => each.increments());
    const total: Verdict = { problems: [], answered: 0, unanswered: 0, kept: 0, lost: 0, lostMs: 0 };
    if (new Set(shared).size !== shared.length) total.problems.push('an item is twice in the shared list');
    for (const each of this.clients) {
      const verdict = await each.judge(client, shared, crashedAt, windowMs);
      total.problems.push(...verdict.problems);
      total.answered += verdict.answered;
      total.unanswered += verdict.unanswered;
      total.kept += verdict.kept;
      total.lost += verdict.lost;
      total.lostMs = Math.max(total.lostMs, verdict.lostMs);
    }
    const counter = Number(decode(await client.run('GET', COUNTER)) ?? 0);
    const low = this.counter + (windowMs > 0 ? 0 : counted.reduce((sum, { answered }) => sum + answered, 0));
    const high = this.counter + counted.reduce((sum, { sent }) => sum + sent, 0);
    if (counter < low || counter > high) {
      total.problems.push(`the shared counter is ${counter}, and not from ${low} to ${high}`);
    }
    this.counter = counter;
    await client.run('DEL', LIST);
    return total;
  }
}
