import type { CommandRow } from '../command.ts';

export const hashRows: CommandRow[] = [];
