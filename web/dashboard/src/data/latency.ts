/** Each class of latencies ends 5 % above the one before, from 1 ms to about 10 minutes. */
const STEP = Math.log(1.05);
const CLASSES = Math.ceil(Math.log(600_000) / STEP) + 1;
const SECONDS = 60;

/** Quantiles of the latencies of the last minute, each within 5 %. */
export class Latencies {
  private readonly counts = Array.from({ length: SECONDS }, () => new Uint32Array(CLASSES));
  private readonly seconds = new Array<number>(SECONDS).fill(-1);

  /** Adds a latency in ms, at a time in ms since 1970. */
  add(latency: number, at: number): void {
    const second = Math.floor(at / 1000);
    const slot = second % SECONDS;
    const counts = this.counts[slot];
    if (!counts) return;
    if (this.seconds[slot] !== second) {
      this.seconds[slot] = second;
      counts.fill(0);
    }
    const c = latency <= 1 ? 0 : Math.min(Math.ceil(Math.log(latency) / STEP), CLASSES - 1);
    counts[c] = (counts[c] ?? 0) + 1;
  }

  /** The latencies in ms below which the given shares lie, or null where there was no payment. */
  quantiles(shares: number[], now: number): number[] | null {
    const oldest = Math.floor(now / 1000) - SECONDS;
    const sums = new Array<number>(CLASSES).fill(0);
    let total = 0;
    this.counts.forEach((counts, slot) => {
      if ((this.seconds[slot] ?? -1) <= oldest) return;
      counts.forEach((n, c) => {
        sums[c] = (sums[c] ?? 0) + n;
        total += n;
      });
    });
    if (total === 0) return null;
    return shares.map((share) => {
      let seen = 0;
      const c = sums.findIndex((n) => {
        seen += n;
        return seen >= share * total;
      });
      return Math.exp(c * STEP);
    });
  }
}
