import type { CommandRow } from '../command.ts';

export const setRows: CommandRow[] = [];
