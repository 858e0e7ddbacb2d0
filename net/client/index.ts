/** What the package gives to programs: the client of a cluster. */
export { Clerk, type ClerkOptions, type Consistency } from './clerk.ts';
export type { Argument } from './connection.ts';
export { ClerkError, type ClerkErrorCode, ReplyError } from './errors.ts';
export type { Reply } from './reply.ts';
