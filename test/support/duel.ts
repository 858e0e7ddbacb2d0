/**
 * Two servers, a node and redis-server, given the same command streams over the same number of connections. Where their
 * replies differ, the stream is made as short as it can be with the difference still there, and printed.
 */
import type { Arg } from './engine.ts';
import { RawClient } from './redis.ts';
import { type Comparison, difference, sameReply, shown } from './replies.ts';

/** A pipeline on one connection, and how long to wait after its replies. */
export interface Batch {
  connection: number;
  commands: Arg[][];
  waitMs?: number;
}

interface Mismatch {
  batch: number;
  command: number;
  text: string;
}

/** How long a failing stream may be shortened. */
const SHRINK_MS = 15_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class Duel {
  private readonly ports: readonly [number, number];
  private readonly comparison: Comparison;
  /** Commands whose replies are not compared: they put both servers into one state before each stream. */
  private readonly preparation: readonly Arg[][];

  /** `ports`: of the node, then of redis-server. */
  constructor(ports: readonly [number, number], comparison: Comparison, preparation: readonly Arg[][]) {
    this.ports = ports;
    this.comparison = comparison;
    this.preparation = preparation;
  }

  /** Runs batches one after another, connection i in protocol `protocols[i]`. Throws at a difference. */
  async run(protocols: readonly number[], batches: readonly Batch[], where: string): Promise<void> {
    const found = await this.attempt(protocols, batches);
    if (found === undefined) return;
    const until = batches.slice(0, found.batch + 1);
    const last = until[found.batch];
    until[found.batch] = { ...last, commands: last.commands.slice(0, found.command + 1) };
    const shortest = await this.shrink(protocols, until);
    const lines = shortest.flatMap((batch) => batch.commands.map((c) => `  [${batch.connection}] ${shown(c)}`));
    throw new Error(
      `${where}: the replies differ at ${found.text}\nshortest stream that differs:\n${lines.join('\n')}`,
    );
  }

  /**
   * Runs one list of batches per connection, all connections at once. They must not touch each other's keys. Throws at a
   * difference.
   */
  async runAtOnce(protocols: readonly number[], streams: readonly (readonly Batch[])[], where: string): Promise<void> {
    const pairs = await this.connect(protocols);
    let found: Mismatch | undefined;
    let failed = 0;
    await this.prepare(pairs[0]);
    await Promise.all(
      streams.map(async (stream, i) => {
        const mismatch = await this.play(pairs, stream);
        if (mismatch !== undefined && found === undefined) {
          found = mismatch;
          failed = i;
        }
      }),
    );
    closeAll(pairs);
    if (found === undefined) return;
    // The connection's own stream usually shows it too.
    await this.run(protocols, streams[failed], where);
    throw new Error(`${where}: connections that run at once differ at ${found.text}; one after another they do not`);
  }

  /** Fresh connections, a clean state, and the batches; where they differ first. */
  private async attempt(protocols: readonly number[], batches: readonly Batch[]): Promise<Mismatch | undefined> {
    const pairs = await this.connect(protocols);
    try {
      await this.prepare(pairs[0]);
      return await this.play(pairs, batches);
    } finally {
      closeAll(pairs);
    }
  }

  private async connect(protocols: readonly number[]): Promise<RawClient[][]> {
    return Promise.all(
      protocols.map(async (protocol) => {
        const pair = await Promise.all(this.ports.map((port) => RawClient.connect(port)));
        await Promise.all(pair.map((client) => client.run('hello', protocol)));
        return pair;
      }),
    );
  }

  private async prepare(pair: RawClient[]): Promise<void> {
    await Promise.all(pair.map((client) => client.pipeline(this.preparation)));
  }

  private async play(pairs: RawClient[][], batches: readonly Batch[]): Promise<Mismatch | undefined> {
    for (let i = 0; i < batches.length; i++) {
      const { connection, waitMs } = batches[i];
      const commands = batches[i].commands.flatMap((command) => {
        const before = this.comparison.before?.(command);
        return before === undefined ? [command] : [before, command];
      });
      const [ours, theirs] = await Promise.all(pairs[connection].map((client) => client.pipeline(commands)));
      for (let k = 0; k < commands.length; k++) {
        if (sameReply(commands[k], ours[k], theirs[k], this.comparison)) continue;
        return {
          batch: i,
          command: batches[i].commands.indexOf(commands[k]),
          text: `${shown(commands[k])}\n${difference(ours[k], theirs[k])}`,
        };
      }
      if (waitMs !== undefined) await sleep(waitMs);
    }
    return undefined;
  }

  /** Leaves out ever smaller runs of commands as long as something differs. */
  private async shrink(protocols: readonly number[], batches: readonly Batch[]): Promise<Batch[]> {
    const deadline = Date.now() + SHRINK_MS;
    let steps = batches.flatMap(({ connection, commands, waitMs }) =>
      commands.map((command, i) => ({
        connection,
        commands: [command],
        waitMs: i === commands.length - 1 ? waitMs : undefined,
      })),
    );
    for (let size = steps.length >> 1; size >= 1; size >>= 1) {
      for (let from = steps.length - size; from >= 0 && Date.now() < deadline; from -= size) {
        const fewer = [...steps.slice(0, from), ...steps.slice(from + size)];
        if ((await this.attempt(protocols, joined(fewer))) !== undefined) steps = fewer;
      }
    }
    return steps;
  }
}

/** Neighbours of one connection as one pipeline again. */
function joined(steps: readonly Batch[]): Batch[] {
  const batches: Batch[] = [];
  for (const step of steps) {
    const last = batches.at(-1);
    if (last === undefined || last.connection !== step.connection || last.waitMs !== undefined) {
      batches.push({ ...step, commands: [...step.commands] });
    } else {
      last.commands.push(...step.commands);
      last.waitMs = step.waitMs;
    }
  }
  return batches;
}

function closeAll(pairs: readonly (readonly RawClient[])[]): void {
  for (const pair of pairs) for (const client of pair) client.close();
}
