import type { CommandRow } from '../command.ts';

export const streamRows: CommandRow[] = [];
