import type { CommandRow } from '../command.ts';

export const stringRows: CommandRow[] = [];
