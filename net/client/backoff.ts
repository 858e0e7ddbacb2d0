/** Pauses between tries: they grow, and each is drawn at random, so that clients that failed together do not return together. */

const FIRST_MS = 10;
const LONGEST_MS = 250;

export class Backoff {
  private tries = 0;

  /** Waits: 5 to 10 ms at first, up to 125 to 250. */
  async pause(): Promise<void> {
    const most = Math.min(FIRST_MS * 2 ** this.tries++, LONGEST_MS);
    await new Promise((resolve) => setTimeout(resolve, most * (0.5 + Math.random() / 2)));
  }
}
