/** What the connection commands share: their session, and the names that clients give themselves. */
import type { Call } from '../../engine/call.ts';
import type { Session } from '../session.ts';

/** The session of a command of scope none. */
export function sessionOf(call: Call): Session {
  return call.session as Session;
}

/** Sets the session's name from an argument; replies an error when it is no name. */
export function setName(call: Call, i: number): boolean {
  if (!isPrintable(call, i)) {
    call.reply.error('ERR Client names cannot contain spaces, newlines or special characters.');
    return false;
  }
  sessionOf(call).name = call.str(i);
  return true;
}

/** Whether an argument has only characters that can stand in a field of CLIENT LIST. */
export function isPrintable(call: Call, i: number): boolean {
  for (let k = 0; k < call.len[i]; k++) {
    const byte = call.buf[call.off[i] + k];
    if (byte < 33 || byte > 126) return false;
  }
  return true;
}
