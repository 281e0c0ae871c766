const SECONDS = 10;

/** Counts events per second over the last few whole seconds. */
export class Rate {
  private readonly counts = new Array<number>(SECONDS + 1).fill(0);
  private readonly seconds = new Array<number>(SECONDS + 1).fill(-1);

  /** Counts one event, at a time in ms since 1970. */
  add(at: number): void {
    const second = Math.floor(at / 1000);
    const slot = second % this.counts.length;
    if (this.seconds[slot] !== second) {
      this.seconds[slot] = second;
      this.counts[slot] = 0;
    }
    this.counts[slot] = (this.counts[slot] ?? 0) + 1;
  }

  /** Events per second; since is when the counting began, in ms since 1970. */
  perSecond(now: number, since: number): number {
    const current = Math.floor(now / 1000);
    let sum = 0;
    this.seconds.forEach((second, slot) => {
      if (second < current && second >= current - SECONDS) sum += this.counts[slot] ?? 0;
    });
    const counted = Math.min(SECONDS, Math.max(1, current - since / 1000));
    return sum / counted;
  }
}
