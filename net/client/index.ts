/** What the package gives to programs: the client of a cluster. */
export type { Argument } from './arguments.ts';
export { Clerk } from './clerk.ts';
export { ClerkError, type ClerkErrorCode, ReplyError } from './errors.ts';
export type { ClerkOptions, Consistency } from './options.ts';
export type { Reply } from './reply.ts';
