/**
 * Random histories of one key: a few clients run commands against a model that is really executed, each at one instant between
 * its call and its return. Such a history is linearizable. With a fault, one operation goes wrong on the way, in a manner that
 * replicated stores do, and the history may or may not be linearizable any more.
 */
import type { Random } from '../../engine/random.ts';
import type { Answer, Model, Operation } from './linearizability.ts';

/** stale: one read answers from an earlier state. lost: one answered write took no effect. twice: one write took effect twice. */
export type Fault = 'none' | 'stale' | 'lost' | 'twice';

export interface HistoryOptions {
  readonly key?: string;
  readonly clients: number;
  readonly operations: number;
  readonly fault?: Fault;
  /** Of 100 operations, how many get no answer; half of them take no effect. */
  readonly unknownPercent?: number;
  readonly command: (random: Random, i: number) => readonly string[];
}

interface Running {
  client: number;
  command: readonly string[];
  call: number;
  effect: number;
  return: number;
  unknown: boolean;
}

export function randomHistory<S>(random: Random, model: Model<S>, options: HistoryOptions): Operation[] {
  const { key = 'k', fault = 'none', unknownPercent = 0 } = options;
  const running = schedule(random, options).sort((a, b) => a.effect - b.effect);
  const faulty = fault === 'none' ? -1 : random.below(running.length);
  const states: S[] = [model.initial];
  return running.map(({ client, command, call, return: returned, unknown }, i) => {
    const state = states[states.length - 1];
    const seen = fault === 'stale' && i === faulty ? states[random.below(states.length)] : state;
    const answer = answerOf(model, seen, command);
    const never = unknown && random.below(100) < 50;
    let after = state;
    if (!never && !(fault === 'lost' && i === faulty)) after = applied(model, state, command);
    if (!never && fault === 'twice' && i === faulty) after = applied(model, after, command);
    states.push(after);
    return { client, key, command, answer, call, return: unknown ? Number.POSITIVE_INFINITY : returned };
  });

  function schedule(draw: Random, { clients, operations, command }: HistoryOptions): Running[] {
    const idleAt = new Array<number>(clients).fill(0);
    return Array.from({ length: operations }, (_, i) => {
      const client = draw.below(clients);
      const call = idleAt[client] + 1 + draw.below(10);
      const effect = call + draw.below(10) + draw.below(1000) / 1000;
      const returned = Math.ceil(effect) + draw.below(10);
      idleAt[client] = returned;
      return {
        client,
        command: command(draw, i),
        call,
        effect,
        return: returned,
        unknown: draw.below(100) < unknownPercent,
      };
    });
  }
}

function applied<S>(model: Model<S>, state: S, command: readonly string[]): S {
  return model.step(state, command, undefined) as S;
}

/** A model only judges answers, so the right one is found among those that are possible. */
function answerOf<S>(model: Model<S>, state: S, command: readonly string[]): Answer {
  const identity = model.identity(state);
  const content = identity === 'nil' ? null : JSON.parse(identity);
  const members: string[] = Array.isArray(content) ? content : [];
  const answers: Answer[] = [
    content,
    'OK',
    null,
    0,
    1,
    Number(content) + 1,
    members,
    members.length,
    members.length + 1,
  ];
  if (members.length > 0) answers.push(members[0], members[members.length - 1]);
  if (typeof content === 'string') answers.push(content.length);
  if (typeof content === 'number') answers.push(content + (command[1] ?? '').length);
  else if (command[0] === 'APPEND') answers.push((content ?? '').length + command[1].length);
  const answer = answers.find((each) => model.step(state, command, each) !== undefined);
  if (answer === undefined) throw new Error(`${command.join(' ')} has no answer in ${identity}`);
  return answer;
}
