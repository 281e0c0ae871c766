/** The longest pause between two rounds through the addresses; the first is firstPause. */
export const longestPause = 15_000;
export const firstPause = 200;

/**
 * Route says which address to try next, and when. The pause before a round through all addresses
 * doubles from round to round and is random from zero up (full jitter). Within a round, an address
 * that has not failed yet is tried almost at once: failing over is quick. What a gateway itself said
 * about when to come back counts for that gateway.
 */
export class Route {
  /** How many tries have failed since one was good. */
  failures = 0;
  private current = 0;
  private readonly notBefore: number[];

  constructor(
    private readonly addresses: readonly string[],
    private readonly random: () => number = Math.random,
  ) {
    this.notBefore = addresses.map(() => 0);
  }

  get address(): string {
    return this.addresses[this.current] as string;
  }

  /** Moves on to the next address and returns how many ms to wait before it is tried. */
  failed(retryDelay: number): number {
    const now = performance.now();
    this.notBefore[this.current] = now + retryDelay;
    this.current = (this.current + 1) % this.addresses.length;
    this.failures++;
    const round = Math.floor(this.failures / this.addresses.length);
    const isNew = this.failures % this.addresses.length !== 0;
    const pause = isNew ? firstPause : Math.min(longestPause, firstPause * 2 ** Math.min(round - 1, 16));
    return Math.max(this.random() * pause, (this.notBefore[this.current] as number) - now);
  }

  /** Says that the current address serves. */
  good(): void {
    this.failures = 0;
  }
}
