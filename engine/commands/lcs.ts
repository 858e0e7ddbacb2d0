import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
export function lcs(c: Call): void {
  c.reply.error(ERR.SYNTAX);
}
