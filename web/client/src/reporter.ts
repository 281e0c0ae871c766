import type { Gap, StreamOptions, StreamState } from "./types.js";

/** Reporter tells the consumer's callbacks what a stream does. What one of them throws is kept, and ends it. */
export class Reporter {
  private told = false;
  private failure: { error: unknown } | undefined;

  /** @param end ends the stream */
  constructor(
    private current: StreamState,
    private readonly options: Pick<StreamOptions, "onState" | "onGap">,
    private readonly end: () => void,
  ) {}

  get state(): StreamState {
    return this.current;
  }

  /** Tells a state unless it is the one told last. Nothing follows "ended". */
  tell(state: StreamState): void {
    if (this.told && (this.current.name === "ended" || same(this.current, state))) return;
    this.told = true;
    this.current = state;
    this.run(() => this.options.onState?.(state));
  }

  /** Tells of a gap. Returns false when that has failed. */
  gap(gap: Gap): boolean {
    return this.run(() => this.options.onGap?.(gap));
  }

  /** Throws what a callback has thrown, once. */
  surface(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure) throw failure.error;
  }

  private run(callback: () => void): boolean {
    try {
      callback();
      return true;
    } catch (error) {
      this.failure ??= { error };
      this.end();
      return false;
    }
  }
}

function same(a: StreamState, b: StreamState): boolean {
  if (a.name === "ended" || b.name === "ended") return a.name === b.name;
  return a.name === b.name && a.name !== "retrying" && a.address === b.address;
}
