/**
 * What one key does, as pure functions, for the checker of linearizability.ts: strings (register, counter and append in
 * one), lists and sets. A command stands here without its key, and answers as RESP does. CAS old new is not a command of
 * the server: it stands for any compare-and-set, old being '' for an absent key, and answers 1 or 0.
 *
 * The answer undefined means that it is not known, so each step first says what it would answer, then compares.
 */
import type { Answer, Foresight, Model, Operation } from './linearizability.ts';

/** GET, SET v, CAS old new, DEL, INCR, APPEND v, STRLEN. The state is the value; null: absent. */
export const stringModel: Model<string | null> = {
  initial: null,
  step(state, command, answer) {
    const [name, argument] = command;
    switch (name) {
      case 'GET':
        return agrees(answer, state) ? state : undefined;
      case 'SET':
        return agrees(answer, 'OK') ? argument : undefined;
      case 'CAS': {
        const swaps = (state ?? '') === argument;
        return agrees(answer, swaps ? 1 : 0) ? (swaps ? command[2] : state) : undefined;
      }
      case 'DEL':
        return agrees(answer, state === null ? 0 : 1) ? null : undefined;
      case 'INCR': {
        const value = Number(state ?? 0) + 1;
        return agrees(answer, value) ? String(value) : undefined;
      }
      case 'APPEND': {
        const length = (state === null ? 0 : state.length) + argument.length;
        return agrees(answer, length) ? (state ?? '') + argument : undefined;
      }
      case 'STRLEN':
        return agrees(answer, state === null ? 0 : state.length) ? state : undefined;
      default:
        throw new Error(`the model of strings has no ${name}`);
    }
  },
  reads: ([name], answer) =>
    name === 'GET' || name === 'STRLEN' || ((name === 'CAS' || name === 'DEL') && answer === 0),
  effect: verbatim,
  // What is only ever appended to begins with what it was before.
  foresight: (operations) => (operations.every(isAppendOrGet) ? beginsWith : undefined),
  identity: (state) => (state === null ? 'nil' : `"${state}"`),
};

/**
 * APPEND v and STRLEN, or RPUSH v and LLEN, of a key whose content nobody reads: the state is no more than the length, and which one of
 * two unknown appends took effect is all the same.
 */
export const lengthModel: Model<number> = {
  initial: 0,
  step(state, [name, piece], answer) {
    const length = name === 'APPEND' ? state + piece.length : name === 'RPUSH' ? state + 1 : state;
    return agrees(answer, length) ? length : undefined;
  },
  reads: ([name]) => name === 'STRLEN' || name === 'LLEN',
  effect: ([name, piece]) => (name === 'APPEND' ? `${piece.length} bytes` : name),
  // It only grows.
  foresight: () => (state, _, answer) => state <= Number(answer),
  identity: String,
};

/** Elements in order, each followed by a NUL. Their number is kept beside them, since pushes answer it. */
interface ListState {
  readonly text: string;
  readonly count: number;
}

const NO_ELEMENTS: ListState = { text: '', count: 0 };
const END = '\0';

/** RPUSH v, LPUSH v, LPOP, RPOP, LLEN, LRANGE (all elements). Elements hold no NUL. */
export const listModel: Model<ListState> = {
  initial: NO_ELEMENTS,
  step(state, [name, element], answer) {
    const { text, count } = state;
    switch (name) {
      case 'RPUSH':
        return agrees(answer, count + 1) ? { text: text + element + END, count: count + 1 } : undefined;
      case 'LPUSH':
        return agrees(answer, count + 1) ? { text: element + END + text, count: count + 1 } : undefined;
      case 'LPOP': {
        if (count === 0) return agrees(answer, null) ? state : undefined;
        const end = text.indexOf(END);
        return agrees(answer, text.slice(0, end)) ? { text: text.slice(end + 1), count: count - 1 } : undefined;
      }
      case 'RPOP': {
        if (count === 0) return agrees(answer, null) ? state : undefined;
        const start = count === 1 ? 0 : text.lastIndexOf(END, text.length - 2) + 1;
        return agrees(answer, text.slice(start, -1)) ? { text: text.slice(0, start), count: count - 1 } : undefined;
      }
      case 'LLEN':
        return agrees(answer, count) ? state : undefined;
      case 'LRANGE':
        return agreesAll(answer, count === 0 ? [] : text.slice(0, -1).split(END)) ? state : undefined;
      default:
        throw new Error(`the model of lists has no ${name}`);
    }
  },
  reads: ([name], answer) => name === 'LLEN' || name === 'LRANGE' || answer === null,
  effect: verbatim,
  foresight: () => undefined,
  identity: ({ text }) => JSON.stringify(text.split(END).slice(0, -1)),
};

/** SADD v, SREM v, SISMEMBER v, SCARD, SMEMBERS (answered in any order). The state is the members, sorted. */
export const setModel: Model<readonly string[]> = {
  initial: [],
  step(state, [name, member], answer) {
    switch (name) {
      case 'SADD': {
        const isNew = !state.includes(member);
        return agrees(answer, isNew ? 1 : 0) ? (isNew ? [...state, member].sort() : state) : undefined;
      }
      case 'SREM': {
        const is = state.includes(member);
        return agrees(answer, is ? 1 : 0) ? (is ? state.filter((each) => each !== member) : state) : undefined;
      }
      case 'SISMEMBER':
        return agrees(answer, state.includes(member) ? 1 : 0) ? state : undefined;
      case 'SCARD':
        return agrees(answer, state.length) ? state : undefined;
      case 'SMEMBERS':
        return agreesAll(Array.isArray(answer) ? [...answer].sort() : answer, state) ? state : undefined;
      default:
        throw new Error(`the model of sets has no ${name}`);
    }
  },
  reads: ([name], answer) => name === 'SISMEMBER' || name === 'SCARD' || name === 'SMEMBERS' || answer === 0,
  effect: verbatim,
  foresight: () => undefined,
  identity: (state) => JSON.stringify(state),
};

function verbatim(command: readonly string[]): string {
  return JSON.stringify(command);
}

function isAppendOrGet({ command: [name] }: Operation): boolean {
  return name === 'APPEND' || name === 'GET' || name === 'STRLEN';
}

const beginsWith: Foresight<string | null> = (state, [name], answer) =>
  state === null ||
  (name === 'GET' ? typeof answer === 'string' && answer.startsWith(state) : state.length <= Number(answer));

function agrees(answer: Answer | undefined, expected: string | number | null): boolean {
  return answer === undefined || answer === expected;
}

function agreesAll(answer: Answer | undefined, expected: readonly string[]): boolean {
  if (answer === undefined) return true;
  return Array.isArray(answer) && answer.length === expected.length && expected.every((each, i) => each === answer[i]);
}
