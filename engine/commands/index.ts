/** The rows of every command that works on keys, in the order of their ids: the same list on every thread. */
import type { CommandRow } from '../command.ts';
import { blockingRows } from './blocking.ts';
import { dumpRows } from './dump.ts';
import { genericRows } from './generic.ts';
import { geoRows } from './geo.ts';
import { hashRows } from './hash.ts';
import { listRows } from './list.ts';
import { setRows } from './set.ts';
import { streamRows } from './stream.ts';
import { stringRows } from './string.ts';
import { zsetRows } from './zset.ts';

export const engineRows: CommandRow[] = [
  ...stringRows,
  ...genericRows,
  ...listRows,
  ...hashRows,
  ...setRows,
  ...zsetRows,
  ...geoRows,
  ...streamRows,
  ...blockingRows,
  ...dumpRows,
];
