/** Error replies that say something of the node or the cluster, not of what the command did. */
import type { ReplyError } from './errors.ts';

/** The command was handed to a leader that was lost before it answered: it may be done or not. */
const UNKNOWN = 'UNKNOWN';
/** The command was not done, but may be when it is tried again. */
const NOT_NOW = new Set(['CLUSTERDOWN', 'LOADING', 'TRYAGAIN', 'NOTLEADER', 'NOTAPPLIED']);
/** The command was refused before anybody looked whether it had come before. */
const REFUSED = new Set(['MISCONF', 'OOM', 'NOAUTH', 'NOPERM', 'WRONGPASS', 'READONLY']);

/** Whether trying again may do. */
export function isPassing(error: ReplyError): boolean {
  return isDoubtful(error) || NOT_NOW.has(error.code);
}

/** Whether a command that was answered so may still be done. */
export function isDoubtful(error: ReplyError): boolean {
  return error.code === UNKNOWN;
}

/** The cluster knows nothing, or nothing any more, of who sends this number: it was not done now, and may have been done before. */
export function isForgotten(error: ReplyError): boolean {
  return error.code === 'ONCEEXPIRED';
}

/** Whether it leaves open what became of the same command in an earlier try. */
export function isRefusal(error: ReplyError): boolean {
  return isPassing(error) || isForgotten(error) || REFUSED.has(error.code) || error.message.startsWith('ERR ONCE');
}
