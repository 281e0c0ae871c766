/** How many ms a gateway's clock is ahead of this one. */
export interface Offset {
  ms: number;
  /** The true difference lies within so many ms. */
  within: number;
}

/**
 * Asks a gateway for its time, a few times, and believes the quickest answer: the time that it took is
 * what can't be told apart from a difference between the clocks. Null where no answer has the header.
 */
export async function clockOffset(url: string, signal: AbortSignal, tries = 5): Promise<Offset | null> {
  let best: Offset | null = null;
  for (let i = 0; i < tries; i++) {
    const offset = await ask(url, signal);
    if (offset && (!best || offset.within < best.within)) best = offset;
  }
  return best;
}

async function ask(url: string, signal: AbortSignal): Promise<Offset | null> {
  try {
    const before = Date.now();
    const started = performance.now();
    const response = await fetch(url, { cache: "no-store", signal });
    const took = performance.now() - started;
    await response.text(); // a body that nobody reads keeps the request open
    const theirs = Number(response.headers.get("Paystream-Time") ?? Number.NaN);
    return Number.isFinite(theirs) ? { ms: theirs - (before + took / 2), within: took / 2 } : null;
  } catch {
    return null; // no gateway, no offset: asked again later
  }
}
