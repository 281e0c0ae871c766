import {
  Code,
  ConnectError,
  type Gap,
  type PaymentMessage,
  type StreamState,
  streamPayments,
} from "@paystream/client";

/** How many existing payments are asked for at the start. */
const EXISTING = 5_000;

/** A tab that nobody has looked at for so long lets go of its stream. */
export const HIDDEN_AFTER = 60_000;

/** What the feed tells. */
export interface FeedEvents {
  payment(event: PaymentMessage): void;
  gap(gap: Gap): void;
  /** The gateway reads another topic now, and the stream has begun anew with what is retained of that. */
  replaced(): void;
  state(state: FeedState): void;
}

/** The stream's states; asleep is that of one let go of, failed that of one which no retry can mend. */
export type FeedState = StreamState | { name: "asleep" } | { name: "failed"; reason: string };

/**
 * The gateway's stream, as long as somebody may be looking: a browser has six connections to a host on
 * HTTP/1.1, which hidden tabs should not keep. What comes meanwhile is asked for by the cursor.
 */
export class Feed {
  private cursor: string | undefined;
  /** By partition, the offset of the last payment: of many partitions a cursor may stand before it. */
  private readonly last = new Map<number, bigint>();
  private running: AbortController | undefined;
  private hiding: ReturnType<typeof setTimeout> | undefined;
  private full = false;

  constructor(
    private readonly address: string,
    private readonly events: FeedEvents,
  ) {}

  /** Streams from now on; the page's visibility is watched. Call it once. */
  start(): void {
    document.addEventListener("visibilitychange", () => this.visibility());
    this.visibility();
    // A tab that was opened in the background is loaded all the same, so that it is there when shown.
    if (!this.running) this.wake();
  }

  private visibility(): void {
    clearTimeout(this.hiding);
    if (document.visibilityState === "hidden") this.hiding = setTimeout(() => this.sleep(), HIDDEN_AFTER);
    else this.wake();
  }

  /** Lets go of the stream until there is room again: what comes meanwhile stays with the gateway. */
  setFull(full: boolean): void {
    if (this.full === full) return;
    this.full = full;
    if (full) this.sleep();
    else this.visibility();
  }

  private sleep(): void {
    this.running?.abort();
    this.running = undefined;
    this.events.state({ name: "asleep" });
  }

  private wake(): void {
    if (this.running || this.full) return;
    const running = new AbortController();
    this.running = running;
    void this.run(running.signal);
  }

  private async run(signal: AbortSignal): Promise<void> {
    const stream = streamPayments({
      addresses: this.address,
      signal,
      heartbeatMs: 3_000,
      ...(this.cursor === undefined ? { limit: EXISTING } : { cursor: this.cursor }),
      onState: (state) => {
        if (!signal.aborted) this.events.state(state);
      },
      onGap: (gap) => this.events.gap(gap),
    });
    try {
      for await (const event of stream) {
        this.cursor = stream.cursor;
        if (event.offset > (this.last.get(event.partition) ?? -1n)) {
          this.last.set(event.partition, event.offset);
          this.events.payment(event);
        }
        if (signal.aborted) return;
      }
      if (this.running?.signal === signal) this.cursor = stream.cursor;
    } catch (error) {
      if (signal.aborted) return;
      if (this.cursor !== undefined && ConnectError.from(error).code === Code.FailedPrecondition) {
        this.cursor = undefined;
        this.last.clear();
        this.events.replaced();
        return this.run(signal);
      }
      this.events.state({ name: "failed", reason: ConnectError.from(error).rawMessage });
    }
  }
}
