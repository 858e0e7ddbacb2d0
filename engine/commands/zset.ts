import type { CommandRow } from '../command.ts';

export const zsetRows: CommandRow[] = [];
