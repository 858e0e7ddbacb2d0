/**
 * Random commands about the connection and the server whose replies are determined, for differential tests of a whole
 * server: ordinary, at the edges, and wrong. None closes the connection, leaves out a reply, or replies in free order.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';
import { pick } from './string.ts';

const INTEGERS = ['0', '1', '-1', '3', '15', '16', 'x', '', '01', '1.5', '2147483648', '9223372036854775808'];
/** Options that both servers have, with values that neither changes the course of a stream for long. */
const OPTIONS: [string, string[]][] = [
  ['hash-max-listpack-entries', ['512', '3', '0', '128', '-1', 'x']],
  ['hash-max-listpack-value', ['64', '10', '1kb', '']],
  ['set-max-intset-entries', ['512', '4', '0', 'x']],
  ['zset-max-listpack-entries', ['128', '3', '0', '1e3']],
  ['zset-max-ziplist-value', ['64', '8', '1mb', '1xb']],
  ['maxmemory-samples', ['5', '10', '0', '-1']],
  ['lfu-log-factor', ['10', '1', 'x']],
  ['timeout', ['0', '1000', '-5']],
  ['slowlog-max-len', ['128', '10', 'x']],
  ['loglevel', ['notice', 'WARNING', 'loud']],
  ['maxclients', ['10000', '0']],
  ['proto-max-bulk-len', ['512mb', '536870912', '5']],
  ['latency-tracking', ['yes', 'no', 'maybe']],
  ['databases', ['16']],
];

/** Puts the options that `serverCommand` changes back to what they usually are. */
export function usualOptions(): Arg[][] {
  const changeable = OPTIONS.filter(([name]) => name !== 'databases');
  return changeable.map(([name, values]) => ['CONFIG', 'SET', name, values[0]]);
}

export function connectionCommand(r: Random): Arg[] {
  switch (r.below(16)) {
    case 0:
      return ['PING', ...pick<Arg[]>(r, [[], ['hello'], ['\r\n'], [''], ['a', 'b']])];
    case 1:
      return ['ECHO', ...pick<Arg[]>(r, [['x'], [''], [Uint8Array.of(0, 255, 13, 10)], [], ['a', 'b']])];
    case 2:
    case 3:
      return ['SELECT', r.below(4) === 0 ? pick(r, INTEGERS) : r.below(4)];
    case 4:
      return ['CLIENT', 'SETNAME', pick(r, ['name', 'other:name', '', 'with space', 'line\nend', 'ä'])];
    case 5:
      return ['CLIENT', 'GETNAME', ...(r.below(6) === 0 ? ['x'] : [])];
    case 6:
      return ['CLIENT', pick(r, ['NO-EVICT', 'CACHING', 'REPLY']), pick(r, ['maybe', '', 'x'])];
    case 7:
      return ['CLIENT', 'NO-EVICT', pick(r, ['ON', 'off'])];
    case 8:
      return [
        'CLIENT',
        'KILL',
        ...pick(r, [['x'], ['ID', 'x'], ['ID', '0'], ['TYPE', 'x'], ['ID', '1', 'LADDR'], ['1', '2']]),
      ];
    case 9:
      return [
        'CLIENT',
        'LIST',
        ...pick(r, [['TYPE', 'x'], ['TYPE'], ['ID', 'x'], ['x'], ['TYPE', 'pubsub'], ['ID', '99999999']]),
      ];
    case 10:
      return ['CLIENT', 'PAUSE', ...pick(r, [['x'], ['-1'], ['0', 'x'], ['1', 'WRITE', 'x'], []])];
    case 11:
      return ['CLIENT', 'UNBLOCK', ...pick(r, [['x'], ['99999999'], ['99999999', 'ERROR'], ['99999999', 'x'], []])];
    case 12:
      return ['CLIENT', pick(r, ['', 'x', 'GETREDIR', 'UNPAUSE', 'TRACKINGINFO', 'GETNAMES'])];
    case 13:
      return ['AUTH', ...pick(r, [['x'], ['default', 'x'], ['nobody', 'x'], ['a', 'b', 'c'], []])];
    case 14:
      return [
        'HELLO',
        ...pick(r, [['x'], ['1'], ['4'], ['3', 'x'], ['2', 'AUTH', 'x'], ['3', 'SETNAME', 'a b'], ['3', 'SETNAME']]),
      ];
    default:
      return [
        pick(r, ['NOSUCH', 'G', '', 'get\0', 'nosuch\r\nx', 'x'.repeat(200)]),
        ...pick(r, [[], ['a'], ['b', '', '"'], ['y'.repeat(300)]]),
      ];
  }
}

export function serverCommand(r: Random): Arg[] {
  const [option, values] = pick(r, OPTIONS);
  switch (r.below(14)) {
    case 0:
    case 1:
      return ['CONFIG', 'GET', r.below(6) === 0 ? pick(r, ['nosuch', '', 'nosuch*', '[']) : option];
    case 2:
      return ['CONFIG', 'GET', option, option.toUpperCase(), 'nosuch'];
    case 3:
    case 4:
      return ['CONFIG', 'SET', option, pick(r, values)];
    case 5:
      return [
        'CONFIG',
        'SET',
        option,
        pick(r, values),
        pick(r, [option, 'nosuch', 'databases', 'lfu-decay-time']),
        '1',
      ];
    case 6:
      return [
        'CONFIG',
        ...pick(r, [['x'], ['SET', 'timeout'], ['GET'], ['SET', 'a', 'b', 'c'], ['RESETSTAT', 'x'], ['']]),
      ];
    case 7:
      return ['COMMAND', 'GETKEYS', ...getKeys(r)];
    case 8:
      return [
        'COMMAND',
        ...pick(r, [
          ['INFO', 'nosuch'],
          ['INFO', ''],
          ['x'],
          ['COUNT', 'x'],
          ['GETKEYS'],
          ['INFO', 'nosuch', 'a|b'],
          ['DOCS', 'nosuch'],
        ]),
      ];
    case 9:
      return [
        'COMMAND',
        'LIST',
        'FILTERBY',
        ...pick(r, [
          ['x', 'y'],
          ['PATTERN', 'nosuch*'],
          ['PATTERN', 'xleN'],
          ['ACLCAT', 'nosuch'],
          ['MODULE', 'x'],
          ['PATTERN'],
        ]),
      ];
    case 10:
      return [
        'SLOWLOG',
        ...pick(r, [['GET', 'x'], ['GET', '-2'], ['LEN', 'x'], ['x'], ['GET', '1', '2'], ['GET', '0']]),
      ];
    case 11:
      return [
        'LATENCY',
        ...pick(r, [
          ['x'],
          ['HISTORY'],
          ['HISTORY', 'nosuch'],
          ['RESET', 'nosuch'],
          ['GRAPH', 'nosuch'],
          ['LATEST', 'x'],
        ]),
      ];
    case 12:
      return [
        'MEMORY',
        ...pick(r, [
          ['USAGE', 'nokey99'],
          ['USAGE', 'nokey99', 'SAMPLES', '5'],
          ['USAGE', 'a', 'SAMPLES', 'x'],
          ['USAGE', 'a', 'x', '1'],
          ['USAGE'],
          ['x'],
        ]),
      ];
    default:
      return pick<Arg[]>(
        r,
        [
          ['TIME', 'x'],
          ['SHUTDOWN', 'x'],
          ['SHUTDOWN', 'SAVE', 'NOSAVE'],
          ['INFO', 'nosuch'],
          ['DBSIZE', 'x'],
          ['RESET', 'x'],
          ['SLOWLOG', 'RESET'],
          ['COMMAND', 'INFO'],
        ].slice(0, 7),
      );
  }
}

/** A request, whole or not, whose keys are asked for. */
function getKeys(r: Random): Arg[] {
  return pick<Arg[]>(r, [
    ['GET', 'a'],
    ['GET'],
    ['MSET', 'a', '1', 'b', '2'],
    ['MSET', 'a'],
    ['PING'],
    ['NOSUCH', 'a'],
    ['OBJECT', 'ENCODING', 'a'],
    ['OBJECT', 'x', 'a'],
    ['OBJECT'],
    ['ZUNION', '2', 'a', 'b'],
    ['ZUNION', '3', 'a', 'b'],
    ['ZUNIONSTORE', 'd', '2', 'a', 'b', 'WEIGHTS', '1', '2'],
    ['ZUNIONSTORE', 'd', 'x', 'a'],
    ['ZINTERCARD', '0', 'a'],
    ['LMPOP', '2', 'a', 'b', 'LEFT'],
    ['LMPOP', '-1', 'a', 'LEFT'],
    ['SORT', 'a', 'BY', 'w_*', 'GET', 'x_*', 'STORE', 'd'],
    ['SORT', 'a'],
    ['SORT_RO', 'a', 'BY', 'w_*'],
    ['BITOP', 'AND', 'd', 'a', 'b'],
    ['SINTERCARD', '2', 'a', 'b', 'LIMIT', '1'],
    ['XREAD', 'COUNT', '1', 'STREAMS', 'a', 'b', '0', '0'],
    ['XREAD', 'STREAMS', 'a', 'b', '0'],
    ['RENAME', 'a', 'b'],
    ['COPY', 'a', 'b', 'DB', '1'],
    ['SET', 'a', '1', 'GET'],
    ['GETEX', 'a'],
    ['BITFIELD', 'a', 'GET', 'u8', '0'],
    ['CLIENT', 'LIST'],
    ['MEMORY', 'USAGE', 'a'],
    ['', 'a'],
  ]);
}
