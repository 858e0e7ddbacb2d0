/**
 * The keys and values of `bench:durability`, as requests ready to send: keys of 16 bytes, `key:` and twelve digits, as
 * redis-benchmark names them; values of 100 bytes that look like a small JSON document, 36 of them random hexadecimal
 * digits, so that they compress somewhat (neither like zeros nor like noise). Written into one buffer, about 0.2 us each.
 */
const DIGITS = 12;
const HEX = Uint8Array.from(Buffer.from('0123456789abcdef'));
const RANDOM_DIGITS = '#'.repeat(12);
const VALUE = `{"id":"${RANDOM_DIGITS}","name":"user ${RANDOM_DIGITS}","token":"${RANDOM_DIGITS}","active":true,"visits":12,"x":1}`;

export const VALUE_BYTES = VALUE.length;
/** What answers a SET, and a GET of a key that is there. */
export const SET_REPLY_BYTES = '+OK\r\n'.length;
export const GET_REPLY_BYTES = `$${VALUE_BYTES}\r\n${VALUE}\r\n`.length;

const KEY = `key:${'0'.repeat(DIGITS)}`;
const SET = `*3\r\n$3\r\nSET\r\n$${KEY.length}\r\n${KEY}\r\n$${VALUE_BYTES}\r\n${VALUE}\r\n`;
const GET = `*2\r\n$3\r\nGET\r\n$${KEY.length}\r\n${KEY}\r\n`;
export const SET_BYTES = SET.length;
export const GET_BYTES = GET.length;

const setTemplate = Uint8Array.from(Buffer.from(SET));
const getTemplate = Uint8Array.from(Buffer.from(GET));
const setDigits = SET.indexOf(KEY) + 'key:'.length;
const getDigits = GET.indexOf(KEY) + 'key:'.length;
/** Where the random digits of a SET are. */
const randomAt = [...SET.matchAll(/#/g)].map((match) => match.index);

/** State of a xorshift generator (Marsaglia 2003); never 0. */
let state = 0x2545f491;

export function randomBits(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return state >>> 0;
}

function putDigits(into: Uint8Array, at: number, index: number): void {
  for (let i = at + DIGITS - 1; index > 0; i--) {
    into[i] = 48 + (index % 10);
    index = Math.floor(index / 10);
  }
}

/** Writes `SET key value` for key number `index`, with a new value, and gives the offset behind it. */
export function putSet(into: Uint8Array, at: number, index: number): number {
  into.set(setTemplate, at);
  putDigits(into, at + setDigits, index);
  let bits = 0;
  for (let i = 0; i < randomAt.length; i++) {
    bits = i % 8 === 0 ? randomBits() : bits >>> 4;
    into[at + randomAt[i]] = HEX[bits & 15];
  }
  return at + SET_BYTES;
}

/** Writes `GET key` for key number `index`, and gives the offset behind it. */
export function putGet(into: Uint8Array, at: number, index: number): number {
  into.set(getTemplate, at);
  putDigits(into, at + getDigits, index);
  return at + GET_BYTES;
}
