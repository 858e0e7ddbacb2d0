import type { CommandRow } from '../command.ts';

export const genericRows: CommandRow[] = [];
