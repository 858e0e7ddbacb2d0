/** Why a proposal was refused; an accepted one gives its index. */
export const NOT_LEADER = -1;
export const TRANSFERRING = -2;
/** Too many bytes wait for a majority. */
export const TOO_MUCH = -3;
/** Another change is not finished, or a new leader does not know yet whether one is. */
export const CHANGE_UNDER_WAY = -4;
/** An id that was removed, or lists that make no group, or that change nothing. */
export const NO_SUCH_CHANGE = -5;
