/**
 * Glob patterns over bytes, with Redis's rules: KEYS, SCAN, CONFIG GET and the like all ask here. Any thread.
 *
 * `*` any bytes, `?` one byte, `[abc]` `[a-z]` `[^a]` one byte of a class, `\x` the byte x. The corners are Redis's
 * own: a class that nobody closes ends with the pattern, a range may be written backwards, a lone `\` at the end stands
 * for itself, and no pattern but the empty one matches the empty text.
 *
 * Every element but `*` takes exactly one byte, so the leftmost match of what lies between two stars is as good as any
 * other and only the last star ever needs to be tried again: at most patternLength x textLength steps, no recursion, no
 * allocation. (Recursion at every star is what makes `*a*a*a*b` take exponential time.)
 */

const STAR = 0x2a;
const QUESTION = 0x3f;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const CARET = 0x5e;
const DASH = 0x2d;

/** Whether all of the text matches all of the pattern; `ignoreCase` folds ASCII letters. */
export function globMatch(
  pattern: Uint8Array,
  patternStart: number,
  patternLength: number,
  text: Uint8Array,
  textStart: number,
  textLength: number,
  ignoreCase = false,
): boolean {
  if (textLength === 0) return patternLength === 0;
  const patternEnd = patternStart + patternLength;
  const textEnd = textStart + textLength;
  let p = patternStart;
  let t = textStart;
  // Where to go on after a mismatch: behind the last star, one text byte further than last time.
  let retryPattern = -1;
  let retryText = 0;

  while (t < textEnd) {
    let next = -1;
    if (p < patternEnd) {
      const element = pattern[p];
      if (element === STAR) {
        do p++;
        while (p < patternEnd && pattern[p] === STAR);
        if (p === patternEnd) return true;
        retryPattern = p;
        retryText = t;
        continue;
      }
      next = matchOne(pattern, p, patternEnd, text[t], ignoreCase);
    }
    if (next >= 0) {
      p = next;
      t++;
    } else {
      if (retryPattern < 0) return false;
      p = retryPattern;
      t = ++retryText;
    }
  }
  // Text that ran out before the pattern did stays too short wherever the last star ends.
  while (p < patternEnd && pattern[p] === STAR) p++;
  return p === patternEnd;
}

/** Matches one byte with the element at p, which is no star: the position behind the element, or -1. */
function matchOne(pattern: Uint8Array, p: number, patternEnd: number, byte: number, ignoreCase: boolean): number {
  let element = pattern[p];
  if (element === QUESTION) return p + 1;
  if (element === OPEN_BRACKET) return matchClass(pattern, p + 1, patternEnd, byte, ignoreCase);
  if (element === BACKSLASH && p + 1 < patternEnd) element = pattern[++p];
  if (element === byte || (ignoreCase && lower(element) === lower(byte))) return p + 1;
  return -1;
}

/** Matches one byte with the class whose first byte after `[` is at p: the position behind the class, or -1. */
function matchClass(pattern: Uint8Array, p: number, patternEnd: number, byte: number, ignoreCase: boolean): number {
  const folded = ignoreCase ? lower(byte) : byte;
  const negated = p < patternEnd && pattern[p] === CARET;
  if (negated) p++;
  let matched = false;
  for (; p < patternEnd; p++) {
    const element = pattern[p];
    if (element === BACKSLASH && p + 1 < patternEnd) {
      // An escaped byte is compared as it is, whatever the case rule: so does Redis.
      if (pattern[++p] === byte) matched = true;
    } else if (element === CLOSE_BRACKET) {
      p++;
      break;
    } else if (p + 2 < patternEnd && pattern[p + 1] === DASH) {
      const other = pattern[p + 2];
      const from = element < other ? element : other;
      const to = element < other ? other : element;
      if (ignoreCase ? folded >= lower(from) && folded <= lower(to) : byte >= from && byte <= to) matched = true;
      p += 2;
    } else if (element === byte || (ignoreCase && lower(element) === folded)) {
      matched = true;
    }
  }
  return matched === negated ? -1 : p;
}

function lower(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}
