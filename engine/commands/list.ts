import type { CommandRow } from '../command.ts';

export const listRows: CommandRow[] = [];
