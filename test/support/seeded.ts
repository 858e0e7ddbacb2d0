import { Random } from '../../engine/random.ts';

/** A generator from a small number: the first draws of one that was seeded so are themselves small, so they are skipped. */
export function seeded(seed: number): Random {
  const random = new Random(Math.imul(seed, 0x9e3779b1));
  for (let i = 0; i < 16; i++) random.next();
  return random;
}
