/**
 * Random SORT and SORT_RO commands, for differential tests, and the commands that make what they sort. Replies are in a
 * definite order but for sets by a constant, which are not replied, and ties under BY with ALPHA, which are
 * avoided: every element has a weight of its own.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';
import { pick } from './string.ts';

const NUMBERS = ['1', '2', '10', '-3', '2.5', '1e2', '007', 'inf', '-inf', '0x10', '4', '5', '6', '11', '12'];
const WORDS = ['a', 'b', 'ab', 'B', 'abc', 'x', 'z', 'hello', '10', '9', '', 'zz'];
const SOURCES = ['l1', 'l2', 's1', 'z1', 'stored', 'nokey', 'w_1'];

/** Commands that make the keys to sort, weights of each element, and hashes with a field of each element. */
export function sortSetup(): Arg[][] {
  const commands: Arg[][] = [
    ['rpush', 'l1', ...NUMBERS, ...NUMBERS.slice(3, 6)],
    ['rpush', 'l2', ...WORDS],
    ['sadd', 's1', 5, 3, 11, 7, 1],
    ['zadd', 'z1', 3, '1', 2, '2', 1, '10', 1, '4'],
  ];
  [...NUMBERS, ...WORDS, '3', '7'].forEach((element, i) => {
    if (element === '12' || element === '9') return;
    commands.push(['set', `w_${element}`, (i * 37) % 41], ['set', `t_${element}`, `text ${(i * 31) % 43}`]);
    commands.push(['set', `h_${element}->`, (i * 23) % 37]);
    commands.push(['hset', `h_${element}`, 'f', (i * 29) % 47, 'g->', 'odd']);
  });
  return commands;
}

function limit(r: Random): Arg[] {
  const bound = () =>
    r.below(12) === 0 ? pick(r, ['x', '9223372036854775807', '-9223372036854775808']) : r.below(16) - 3;
  return ['LIMIT', bound(), bound()];
}

export function sortCommand(r: Random): Arg[] {
  const source = pick(r, SOURCES);
  const options: Arg[] = [];
  let byText = false;
  if (r.below(2) === 0) options.push(pick(r, ['DESC', 'ASC', 'desc']));
  switch (r.below(8)) {
    case 0:
    case 1:
      options.push('BY', 'w_*');
      break;
    case 2:
      options.push('BY', 'h_*->f');
      break;
    case 3:
      options.push('BY', 't_*');
      byText = true;
      break;
    case 4:
      // A set without an order is sorted all the same if it is stored.
      if (source === 's1') return ['SORT', 's1', ...options, 'BY', 'nosort', 'STORE', 'stored'];
      options.push('BY', 'nosort');
      break;
    case 5:
      options.push('BY', pick(r, ['no_*', 'no_*->f', '*', 'h_*->']));
      if (source !== 's1' && r.below(3) === 0) options.push('BY', pick(r, ['#', 'w_*', '']));
      break;
    default:
  }
  // Elements without a weight tie under ALPHA.
  if ((r.below(2) === 0 || byText) && options.indexOf('BY') < 0) options.push('ALPHA');
  for (let n = r.below(4) === 0 ? r.below(4) : 0; n > 0; n--) {
    options.push('GET', pick(r, ['#', 'w_*', 't_*', 'h_*->f', 'h_*->g->', 'no_*', 'constant', 'h_*', 't_*->f']));
  }
  if (r.below(3) === 0) options.push(...limit(r));
  if (r.below(30) === 0) options.push(pick(r, ['FOO', 'BY', 'GET', 'LIMIT', 'STORE']));
  if (r.below(4) === 0) return ['SORT_RO', source, ...options, ...(r.below(10) === 0 ? ['STORE', 'stored'] : [])];
  return [
    'SORT',
    source,
    ...options,
    ...(r.below(3) === 0 ? ['STORE', pick(r, ['stored', 'l2copy', 'w_1', 's2'])] : []),
  ];
}
