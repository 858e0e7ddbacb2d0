import { describe, expect, it } from 'vitest';
import type { Random } from '../../engine/random.ts';
import { type Answer, checkLinearizable, type Model, type Operation } from '../support/linearizability.ts';
import { isLinearizable } from '../support/linearizability-brute.ts';
import { type Fault, randomHistory } from '../support/linearizability-histories.ts';
import { lengthModel, listModel, setModel, stringModel } from '../support/linearizability-models.ts';
import { seeded } from '../support/seeded.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** `op(1, 4, 'SET a', 'OK')`: called at 1, returned at 4. Each by a client of its own. */
function op(call: number, returned: number, command: string, answer: Answer = null): Operation {
  return { client: call, key: 'k', command: command.split(' '), answer, call, return: returned };
}

function judge<S>(model: Model<S>, ...history: Operation[]): string {
  const { result } = checkLinearizable(history, model);
  expect(result === 'linearizable').toBe(isLinearizable(history, model));
  return result;
}

describe('by hand', () => {
  it('nothing is linearizable', () => {
    expect(judge(stringModel)).toBe('linearizable');
    expect(judge(stringModel, op(1, NEVER, 'SET a'))).toBe('linearizable');
  });

  it('a read beside a write sees either state', () => {
    const write = op(1, 10, 'SET a', 'OK');
    expect(judge(stringModel, write, op(2, 5, 'GET', 'a'))).toBe('linearizable');
    expect(judge(stringModel, write, op(2, 5, 'GET', null))).toBe('linearizable');
    expect(judge(stringModel, write, op(2, 5, 'GET', 'b'))).toBe('illegal');
  });

  it('once somebody saw the new state, nobody sees the old one', () => {
    const write = op(1, 10, 'SET a', 'OK');
    expect(judge(stringModel, write, op(2, 3, 'GET', null), op(4, 5, 'GET', 'a'))).toBe('linearizable');
    expect(judge(stringModel, write, op(2, 3, 'GET', 'a'), op(4, 5, 'GET', null))).toBe('illegal');
    expect(judge(stringModel, write, op(2, 4, 'GET', 'a'), op(3, 5, 'GET', null))).toBe('linearizable');
  });

  it('what returned at the time of a call was concurrent with it', () => {
    expect(judge(stringModel, op(1, 2, 'SET a', 'OK'), op(2, 3, 'GET', null))).toBe('linearizable');
    expect(judge(stringModel, op(1, 2, 'SET a', 'OK'), op(2.5, 3, 'GET', null))).toBe('illegal');
  });

  it('a write that has to come before another, though it returned later', () => {
    const writes = [op(1, 10, 'SET a', 'OK'), op(2, 8, 'SET b', 'OK'), op(3, 6, 'SET c', 'OK')];
    expect(judge(stringModel, ...writes, op(11, 12, 'GET', 'c'))).toBe('linearizable');
    expect(judge(stringModel, ...writes, op(11, 12, 'GET', 'c'), op(13, 14, 'GET', 'a'))).toBe('illegal');
  });

  it('an unknown outcome may show at any time later, or never, but once only', () => {
    const lost = op(1, NEVER, 'SET a');
    const write = op(2, 3, 'SET b', 'OK');
    expect(judge(stringModel, lost, write, op(4, 5, 'GET', 'b'))).toBe('linearizable');
    expect(judge(stringModel, lost, write, op(4, 5, 'GET', 'b'), op(6, 7, 'GET', 'a'))).toBe('linearizable');
    expect(judge(stringModel, lost, write, op(4, 5, 'GET', 'a'), op(6, 7, 'GET', 'b'))).toBe('illegal');
    expect(judge(stringModel, op(9, NEVER, 'SET a'), op(4, 5, 'GET', 'a'))).toBe('illegal');
  });

  it('of equal commands of unknown outcome, as many took effect as are needed', () => {
    const lost = [op(1, NEVER, 'INCR'), op(2, NEVER, 'INCR'), op(3, NEVER, 'INCR')];
    expect(judge(stringModel, ...lost, op(4, 5, 'INCR', 3), op(6, 7, 'INCR', 5))).toBe('linearizable');
    expect(judge(stringModel, ...lost, op(4, 5, 'INCR', 5))).toBe('illegal');
    expect(judge(stringModel, op(6, NEVER, 'INCR'), op(1, 2, 'INCR', 2))).toBe('illegal');
  });

  it('an unknown outcome that could have been used early is still there later', () => {
    const lost = op(1, NEVER, 'SET b');
    const early = [op(2, 20, 'SET x', 'OK'), op(3, 21, 'CAS x b', 1), op(4, 10, 'GET', 'b')];
    expect(judge(stringModel, lost, ...early, op(30, 31, 'SET q', 'OK'), op(32, 33, 'GET', 'b'))).toBe('linearizable');
  });

  it('the first return without explanation is named, though an earlier read cannot be explained either', () => {
    const read = op(0, 20, 'GET', 'z');
    const wrong = op(5, 6, 'APPEND c', 9);
    const history = [read, op(1, 2, 'APPEND a', 1), op(3, 4, 'APPEND b', 2), wrong];
    expect(checkLinearizable(history, stringModel).failure).toMatchObject({ unexplained: wrong, prefix: history });
  });

  it('counters, compare-and-set, appends', () => {
    expect(judge(stringModel, op(1, 2, 'INCR', 1), op(3, 4, 'INCR', 1))).toBe('illegal');
    expect(judge(stringModel, op(1, 5, 'INCR', 2), op(2, 4, 'INCR', 1), op(6, 7, 'GET', '2'))).toBe('linearizable');
    expect(judge(stringModel, op(1, 5, 'CAS  a', 1), op(2, 4, 'CAS  b', 1))).toBe('illegal');
    expect(judge(stringModel, op(1, 5, 'CAS  a', 1), op(2, 4, 'CAS  b', 0))).toBe('linearizable');
    expect(judge(stringModel, op(1, 5, 'APPEND ab', 5), op(2, 4, 'APPEND xyz', 3))).toBe('linearizable');
    expect(judge(stringModel, op(1, 5, 'APPEND ab', 5), op(2, 4, 'APPEND xyz', 5))).toBe('illegal');
    expect(judge(stringModel, op(1, 2, 'SET a', 'OK'), op(3, 4, 'DEL', 1), op(5, 6, 'DEL', 0))).toBe('linearizable');
  });

  it('lists', () => {
    const pushes = [op(1, 2, 'RPUSH a', 1), op(3, 4, 'RPUSH b', 2)];
    expect(judge(listModel, ...pushes, op(5, 6, 'LPOP', 'a'), op(7, 8, 'LRANGE', ['b']))).toBe('linearizable');
    expect(judge(listModel, ...pushes, op(5, 8, 'LPOP', 'b'), op(6, 7, 'RPOP', 'a'))).toBe('illegal');
    expect(judge(listModel, ...pushes, op(5, 8, 'LPOP', 'b'), op(6, 7, 'LPOP', 'a'))).toBe('linearizable');
    expect(judge(listModel, ...pushes, op(5, 6, 'LPOP', 'a'), op(7, 8, 'LPOP', 'a'))).toBe('illegal');
    expect(judge(listModel, op(1, 2, 'LPUSH a', 1), op(3, 4, 'LPOP', null))).toBe('illegal');
  });

  it('sets', () => {
    expect(judge(setModel, op(1, 4, 'SADD a', 1), op(2, 3, 'SADD a', 1))).toBe('illegal');
    expect(judge(setModel, op(1, 4, 'SADD a', 0), op(2, 3, 'SADD a', 1))).toBe('linearizable');
    expect(judge(setModel, op(1, 4, 'SADD b', 1), op(2, 3, 'SADD a', 1), op(5, 6, 'SMEMBERS', ['b', 'a']))).toBe(
      'linearizable',
    );
    expect(judge(setModel, op(1, 4, 'SADD b', 1), op(5, 6, 'SCARD', 0))).toBe('illegal');
  });

  it('an operation returns after its call', () => {
    expect(() => checkLinearizable([op(3, 2, 'GET')], stringModel)).toThrow('returned at 2, called at 3');
  });
});

interface Kind {
  name: string;
  idempotent: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: states of several models in one table.
  model: Model<any>;
  command: (random: Random, i: number) => readonly string[];
}

const KINDS: Kind[] = [
  {
    name: 'registers',
    idempotent: true,
    model: stringModel,
    command: (r, i) => pick(r, [['GET'], ['SET', `v${i}`], ['SET', 'same'], ['DEL']]),
  },
  {
    name: 'compare and set',
    idempotent: true,
    model: stringModel,
    command: (r) => pick(r, [['GET'], ['CAS', '', 'a'], ['CAS', 'a', 'b'], ['CAS', 'b', 'a'], ['DEL']]),
  },
  { name: 'counters', idempotent: false, model: stringModel, command: (r) => pick(r, [['INCR'], ['INCR'], ['GET']]) },
  {
    name: 'appends',
    idempotent: false,
    model: stringModel,
    command: (r, i) => pick(r, [['APPEND', `${i};`], ['APPEND', 'x'], ['GET'], ['STRLEN']]),
  },
  {
    name: 'lengths',
    idempotent: false,
    model: lengthModel,
    command: (r, i) => pick(r, [['APPEND', `v${i}`], ['APPEND', 'xyz'], ['STRLEN']]),
  },
  {
    name: 'lists',
    idempotent: false,
    model: listModel,
    command: (r, i) => pick(r, [['RPUSH', `v${i}`], ['LPUSH', `v${i}`], ['LPOP'], ['RPOP'], ['LRANGE'], ['LLEN']]),
  },
  {
    name: 'sets',
    idempotent: true,
    model: setModel,
    command: (r) => pick(r, [['SADD', 'a'], ['SADD', 'b'], ['SREM', 'a'], ['SISMEMBER', 'a'], ['SMEMBERS'], ['SCARD']]),
  },
];

function pick(random: Random, commands: readonly (readonly string[])[]): readonly string[] {
  return commands[random.below(commands.length)];
}

describe.each(KINDS)('random histories of $name', ({ model, command, idempotent }) => {
  it.each(['none', 'stale', 'lost', 'twice'] as Fault[])('are judged as by brute force, fault: %s', (fault) => {
    const random = seeded(1);
    let illegal = 0;
    for (let round = 0; round < 600; round++) {
      const operations = 1 + random.below(7);
      const unknownPercent = random.below(3) * 30;
      const history = randomHistory(random, model, { clients: 3, operations, unknownPercent, fault, command });
      const expected = isLinearizable(history, model);
      const verdict = checkLinearizable(history, model);
      if ((verdict.result === 'linearizable') !== expected) {
        expect.fail(`${verdict.report}\nbrute force: ${expected}\n${JSON.stringify(history, null, 1)}`);
      }
      if (verdict.failure === undefined) continue;
      illegal++;
      // The prefix has no explanation; with that one return and later ones taken away, it has.
      const { prefix, unexplained } = verdict.failure;
      expect(isLinearizable(prefix, model)).toBe(false);
      const before = prefix.map((each) => (each.return >= unexplained.return ? { ...each, return: NEVER } : each));
      expect(isLinearizable(before, model)).toBe(true);
    }
    // Commands that may as well be done twice show no harm in it.
    if (fault === 'none' || (fault === 'twice' && idempotent)) expect(illegal).toBe(0);
    else expect(illegal).toBeGreaterThanOrEqual(10);
  });

  it('that are long and were really executed are linearizable', () => {
    for (let seed = 1; seed <= 4; seed++) {
      const options = { clients: 2 + 2 * seed, operations: 400, unknownPercent: 5, command };
      const { result, report } = checkLinearizable(randomHistory(seeded(seed), model, options), model);
      expect(result, report).toBe('linearizable');
    }
  });
});

describe('histories of many keys', () => {
  /** 1,000 keys with 100 operations each, ten clients at each. */
  function large(): Operation[] {
    const random = seeded(7);
    return Array.from({ length: 1000 }, (_, k) => {
      const { model, command } = KINDS[2];
      return randomHistory(random, model, { key: `k${k}`, clients: 10, operations: 100, unknownPercent: 1, command });
    }).flat();
  }

  it('are judged key by key, in little time', () => {
    const history = large();
    const startMs = performance.now();
    expect(checkLinearizable(history, stringModel).result).toBe('linearizable');
    expect(performance.now() - startMs).toBeLessThan(5000);
  });

  it('are illegal as a whole when one key is', () => {
    const stale = { ...op(1e6, 1e6 + 1, 'GET', '1'), key: 'k500' };
    const verdict = checkLinearizable([...large(), stale], stringModel);
    expect(verdict).toMatchObject({ result: 'illegal', key: 'k500', failure: { unexplained: stale } });
  });
});

it('100,000 operations on one key need no deep stack', () => {
  const history = Array.from({ length: 100_000 }, (_, i) => op(10 * i, 10 * i + 15, 'INCR', i + 1));
  expect(checkLinearizable(history, stringModel).result).toBe('linearizable');
  history[99_999] = op(999_990, 1_000_005, 'INCR', 99_999);
  expect(checkLinearizable(history, stringModel).result).toBe('illegal');
});

it('what takes too long is unknown, and does not hide what is illegal', () => {
  const writes = Array.from({ length: 30 }, (_, i) => op(i, 100 + i, `SET ${i}`, 'OK'));
  const hard = [...writes, op(200, 201, 'GET', 'x')];
  const options = { timeLimitMs: 100 };
  const startMs = performance.now();
  expect(checkLinearizable(hard, stringModel, options)).toMatchObject({ result: 'unknown', key: 'k' });
  expect(performance.now() - startMs).toBeLessThan(2000);
  const illegal = { ...op(1, 2, 'GET', 'x'), key: 'other' };
  expect(checkLinearizable([...hard, illegal], stringModel, options)).toMatchObject({
    result: 'illegal',
    key: 'other',
  });
});

it('a failure is told as a drawing', () => {
  const history = [op(0, 10, 'SET a', 'OK'), op(5, NEVER, 'SET c'), op(11, 20, 'SET b', 'OK'), op(21, 30, 'GET', 'a')];
  const { report } = checkLinearizable(history, stringModel);
  expect(`\n${report}\n`).toBe(`
key k is not linearizable: nothing explains GET -> a, by client 21,
called at 21, returned at 30. All before it can be explained (0 not shown):
  client  0 |<===================>                                       | SET a -> OK
  client  5 |          <=================================================| SET c -> ?
  client 11 |                      <================>                    | SET b -> OK
! client 21 |                                         <=================>| GET -> a
before it, perhaps: "b"
before it, perhaps: "c"
`);
});
