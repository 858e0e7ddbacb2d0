/**
 * A client of a simulated group: one operation after the other, at any replica, with the time-outs and second tries that a real one
 * has. What it asked and heard goes into the history that is judged at the end; what a session must see is judged at once.
 */
import type { LogIndex, ReplicaId } from '../../../engine/raft/entry.ts';
import type { Answer as Value } from '../../support/linearizability.ts';
import { decode } from '../../support/replies.ts';
import { Broken } from './broken.ts';
import { STALE_REPLY } from './machine.ts';
import { TICK_MS } from './profile.ts';
import type { Outcome } from './requests.ts';
import type { World } from './world.ts';

/** What keys begin with says what they are: histories of each kind have a model of their own (judge.ts). */
const STRINGS = ['r0', 'r1'] as const;
/** Only ever grow, so that a session can tell whether it goes back. */
const COUNTER = 'n0';
const TEXT = 'a0';
export const LIST = 'l0';
/** Their keys expire; not in the history, since models know no time. */
const EXPIRING = ['t0', 't1', 't2'] as const;
const PAUSE_MS = 8;
/** A key is used for so many election time-outs. */
const KEY_ELECTIONS = 8;

type Kind = 'write' | 'read' | 'session' | 'unjudged';

interface Operation {
  readonly kind: Kind;
  readonly command: readonly string[];
  readonly calledAt: number;
  /** 0: it is not asked for once. */
  readonly seq: number;
  attempt: number;
}

export class Client {
  readonly number: number;
  /** Nothing more is to be done. */
  isDone = false;
  private readonly world: World;
  private readonly asksOnce: boolean;
  private seq = 0;
  private values = 0;
  private attempts = 0;
  private current: Operation | undefined = undefined;
  private favourite: ReplicaId = 0;
  /** What this session's reads must see. */
  private fence: LogIndex = 0;
  /** The least that keys which only grow may hold, by what the session has seen. */
  private readonly floors = new Map<string, number>();
  /** In the end: what is still to be done. */
  private last: (readonly string[])[] | undefined = undefined;

  constructor(world: World, number: number) {
    this.world = world;
    this.number = number;
    this.asksOnce = world.chance.percent(50);
  }

  /** Ends what it is at, then does this, and is done. */
  finish(commands: (readonly string[])[]): void {
    this.last = commands;
    if (this.current === undefined) this.next();
  }

  /** Goes on in a while. */
  think(): void {
    const { world } = this;
    world.events.after(world.isCalm ? 1 : world.chance.wait(world.profile.thinkMs), () => this.next());
  }

  private next(): void {
    if (this.current !== undefined || this.isDone || (this.world.isCalm && this.last === undefined)) return;
    let command = this.draw();
    let kind: Kind = isRead(command[0]) ? 'read' : 'write';
    if (this.last !== undefined) {
      const left = this.last.shift();
      if (left === undefined) {
        this.isDone = true;
        return;
      }
      command = left;
      kind = isRead(command[0]) ? 'read' : 'write';
    } else if (kind === 'read' && this.world.chance.percent(40)) kind = 'session';
    if ((EXPIRING as readonly string[]).includes(command[1])) kind = 'unjudged';
    const seq = kind === 'write' && this.asksOnce ? ++this.seq : 0;
    this.current = { kind, command, calledAt: this.world.events.now, seq, attempt: 0 };
    this.send();
  }

  private draw(): readonly string[] {
    const { chance: c } = this.world;
    const value = () => `${this.number}.${++this.values}`;
    switch (c.below(12)) {
      case 0:
      case 1:
        return ['SET', this.key(c.pick(STRINGS)), value()];
      case 2:
        return c.percent(20) ? ['DEL', this.key(c.pick(STRINGS))] : ['SET', this.key(c.pick(STRINGS)), value()];
      case 3:
      case 4:
        return ['INCR', this.key(COUNTER)];
      case 5:
        return ['APPEND', this.key(TEXT), `${this.number}`];
      case 6:
        return c.percent(30) ? ['LPOP', this.key(LIST)] : ['RPUSH', this.key(LIST), value()];
      case 7:
        return c.pick([
          ['SET', c.pick(['t0', 't1']), value(), 'PX', `${1 + c.below(300)}`],
          ['INCR', 't2'],
          ['APPEND', c.pick(['t0', 't1']), 'x'],
          ['PEXPIRE', c.pick(EXPIRING), `${1 + c.below(300)}`],
        ]);
      case 8:
        return ['GET', this.key(c.pick(STRINGS))];
      case 9:
        return ['GET', this.key(COUNTER)];
      case 10:
        return ['STRLEN', this.key(TEXT)];
      default:
        return c.percent(50) ? ['LLEN', this.key(LIST)] : ['GET', this.key(c.pick(STRINGS))];
    }
  }

  /** From time to time there are other keys, so that no history becomes too long to be judged. */
  private key(name: string): string {
    const { events, profile } = this.world;
    return `${name}.${Math.floor(events.now / (profile.electionTicks * TICK_MS * KEY_ELECTIONS))}`;
  }

  private send(): void {
    const { world, current } = this;
    const { chance, network, replicas, profile, events, tally } = world;
    const operation = current!;
    const attempt = ++this.attempts;
    if (operation.attempt > 0 && operation.seq > 0) tally.add('once repeated');
    operation.attempt = attempt;
    // In calm they have heard who is there.
    const ids = world.isCalm ? world.working : [...replicas.keys()];
    const to = ids.includes(this.favourite) && chance.percent(70) ? this.favourite : chance.pick(ids);
    const me = -this.number;
    const answer = (outcome: Outcome) => {
      network.stream(to, me, () => {
        if (this.current === operation && operation.attempt === attempt) this.onOutcome(to, outcome);
      });
    };
    const { kind, command, seq } = operation;
    const replica = replicas.get(to)!;
    const { fence } = this;
    network.stream(me, to, () =>
      replica.input(() => {
        if (kind === 'read') replica.requests.readLinearizable(command, answer);
        else if (kind === 'session') replica.requests.readAt(command, fence, answer);
        else
          replica.requests.write(seq > 0 ? ['ONCE', `c${this.number}`, `${seq}`, ...command] : command, false, answer);
      }),
    );
    events.after(profile.clientTimeoutMs, () => {
      if (this.current === operation && operation.attempt === attempt) this.onTimeout();
    });
  }

  private again(): void {
    const operation = this.current;
    const attempt = ++this.attempts;
    operation!.attempt = attempt;
    this.favourite = 0;
    this.world.events.after(this.world.chance.wait(PAUSE_MS), () => {
      if (this.current === operation && operation!.attempt === attempt) this.send();
    });
  }

  private onTimeout(): void {
    const { kind, seq } = this.current!;
    this.favourite = 0;
    if (kind === 'read' || seq > 0) this.send();
    else if (kind === 'session') this.end();
    else this.onUnknown();
  }

  /** Nobody can say whether it was done. */
  private onUnknown(): void {
    const { kind } = this.current!;
    if (kind === 'write') {
      this.record(null, Number.POSITIVE_INFINITY);
      this.world.tally.add('writes of unknown outcome');
    }
    this.end();
  }

  private onOutcome(from: ReplicaId, outcome: Outcome): void {
    const { world } = this;
    const { kind, seq, command } = this.current!;
    if (outcome.kind === 'again') {
      this.again();
      return;
    }
    if (outcome.kind === 'unknown') {
      if (seq > 0) this.again();
      else this.onUnknown();
      return;
    }
    this.favourite = from;
    const { reply, index } = outcome;
    if (reply === STALE_REPLY)
      throw new Broken('R', `c${this.number} is told that its command ${seq} is old: ${command.join(' ')}`);
    const value = parseReply(reply);
    world.say(() => `c${this.number} ${kind} ${command.join(' ')} at n${from}, entry ${index}: ${value}`);
    if (kind === 'write') world.tally.add('writes acknowledged');
    else if (kind === 'read') world.tally.add('linearizable reads');
    else if (kind === 'session') world.tally.add('session reads');
    if (kind === 'session') this.judge(command, value, index);
    else if (kind !== 'unjudged') this.record(value, world.events.now);
    this.fence = Math.max(this.fence, index);
    const grows = command[1].startsWith(COUNTER) || command[1].startsWith(TEXT);
    if (grows) this.floors.set(command[1], Math.max(this.floors.get(command[1]) ?? 0, Number(value)));
    this.end();
  }

  private end(): void {
    this.current = undefined;
    this.think();
  }

  private record(answer: Value, returnedAt: number): void {
    const { command, calledAt } = this.current!;
    const [name, key, ...rest] = command;
    const operation = {
      client: this.number,
      key,
      command: [name, ...rest],
      answer,
      call: calledAt,
      return: returnedAt,
    };
    this.world.history.push(operation);
  }

  /** Reads your writes, monotonic reads. */
  private judge([name, key]: readonly string[], value: Value, index: LogIndex): void {
    const floor = this.floors.get(key) ?? 0;
    if (Number(value) < floor) {
      throw new Broken('Y', `c${this.number} has seen ${floor} in ${key}, and ${name} gives it ${value}`);
    }
    if (index < this.fence)
      throw new Broken('Y', `c${this.number} has seen entry ${this.fence}, and reads at ${index}`);
  }
}

function isRead(name: string): boolean {
  return name === 'GET' || name === 'STRLEN' || name === 'LLEN' || name === 'LRANGE';
}

function parseReply(reply: string): Value {
  if (reply.startsWith('-')) throw new Broken('X', `a command fails: ${reply}`);
  if (reply.startsWith(':')) return Number(reply.slice(1));
  if (reply.startsWith('+')) return reply.slice(1, -2);
  const value = decode(reply);
  return Array.isArray(value) ? value.map(String) : value;
}
