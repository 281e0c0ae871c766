import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { parseAddresses } from "./addresses.js";
import { Call } from "./call.js";
import { describe, isFinal, retryDelay, streamEnd } from "./errors.js";
import { type PaymentEvent, type StreamEnd, StreamStart } from "./gen/payment/payment_pb.js";
import { pause } from "./pause.js";
import { Position } from "./position.js";
import { Reporter } from "./reporter.js";
import { Route } from "./route.js";
import type { Connect, PaymentMessage, PaymentStream, StreamOptions, StreamState } from "./types.js";

const defaultHeartbeatMs = 5000;
/** The gateway sends no heartbeats at shorter intervals. */
const minHeartbeatMs = 100;
const maxHeartbeatMs = 3_600_000;
/** What a living gateway may take for an answer, beside two heartbeats. */
const marginMs = 1000;

/**
 * Stream hands over each payment record once, in the order of its partition, over as many calls as
 * that takes. It holds a connection, timers and listeners only while it is iterated.
 */
export class Stream implements PaymentStream {
  private readonly route: Route;
  private readonly position: Position;
  private readonly reporter: Reporter;
  private readonly heartbeatMs: number;
  private readonly stopping = new AbortController();
  private stopped = false;
  private iterated = false;
  private call: Call | undefined;
  /** The stream went on elsewhere without a pause, and nothing has come since. */
  private jumped = false;

  constructor(
    private readonly options: StreamOptions,
    private readonly connect: Connect,
  ) {
    this.heartbeatMs = checkHeartbeat(options.heartbeatMs);
    this.route = new Route(parseAddresses(options.addresses));
    this.position = new Position(options);
    const initial = { name: "connecting", address: this.route.address } as const;
    this.reporter = new Reporter(initial, options, () => this.stop());
  }

  get cursor(): string | undefined {
    return this.position.cursor;
  }

  get state(): StreamState {
    return this.reporter.state;
  }

  [Symbol.asyncIterator](): AsyncIterator<PaymentMessage, undefined> {
    if (this.iterated)
      throw new Error("a payment stream is iterated once: for another loop, start another from its cursor");
    this.iterated = true;
    const messages = this.messages();
    return {
      next: () => messages.next(),
      // A generator's own return would wait for the payment that is waited for.
      return: async () => {
        this.stop();
        const result = await messages.return(undefined);
        this.reporter.surface();
        return result;
      },
    };
  }

  private async *messages(): AsyncGenerator<PaymentMessage, undefined> {
    const { signal } = this.options;
    const stop = () => this.stop();
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) this.stop();
    try {
      while (!this.stopped) {
        try {
          const call = await this.open();
          while (!this.stopped) {
            const message = this.take(await call.next());
            if (message) yield message;
          }
        } catch (error) {
          await this.recover(error);
        }
      }
      this.reporter.surface();
      return undefined;
    } finally {
      signal?.removeEventListener("abort", stop);
      this.stop();
    }
  }

  /** Ends the stream, whatever it is waiting for. */
  private stop(): void {
    this.stopped = true;
    this.stopping.abort();
    this.call?.close();
    this.reporter.tell({ name: "ended" });
  }

  private async open(): Promise<Call> {
    const { address } = this.route;
    this.reporter.tell({ name: "connecting", address });
    if (this.stopped) throw new ConnectError("stopped by a callback", Code.Canceled);
    const { provider = 0, status = 0, limit = 0, start = 0, protocol } = this.options;
    const { cursor = "", since, beginsWithExisting } = this.position;
    this.call = new Call(this.connect(address, protocol), 2 * this.heartbeatMs + marginMs);
    const header = await this.call.open({
      provider,
      status,
      limit,
      start: beginsWithExisting ? StreamStart.START_EXISTING_THEN_NEW : start,
      cursor,
      since: since && timestampFromDate(since),
      heartbeat: durationFromMs(this.heartbeatMs),
    });
    // Headers without a cursor may be those of a refusal: what follows tells.
    const first = header.get("paystream-cursor");
    if (first) {
      this.position.opened(first);
      this.reporter.tell({ name: beginsWithExisting ? "existing" : "live", address });
    }
    return this.call;
  }

  /** Moves on behind an event, and returns it if it is for the consumer. */
  private take(event: PaymentEvent | undefined): PaymentMessage | undefined {
    if (!event) throw new ConnectError("the stream ended", Code.Unavailable);
    if (this.state.name !== "live") {
      const name = event.eventType === "existing" ? "existing" : "live";
      this.reporter.tell({ name, address: this.route.address });
      if (this.stopped) return undefined;
    }
    const message = this.position.take(event);
    if (message || !event.payment) {
      this.route.good();
      this.jumped = false;
    }
    return message;
  }

  /** Gets ready for another call, after a pause where one is due; or throws what no other call can mend. */
  private async recover(error: unknown): Promise<void> {
    this.call?.close();
    if (this.stopped) return;
    if (!(error instanceof ConnectError)) throw error;
    const end = streamEnd(error);
    const behindGap = end && cursorBehindGap(error, end);
    let reason = describe(error);
    if (behindGap) {
      if (!this.skip(reason, end, behindGap) || this.mayJump()) return;
    } else if (this.mayStartAgain(error)) {
      reason += `; starting again from ${this.position.startAgain().toISOString()}`;
      if (this.mayJump()) return this.retryAfter(0, reason);
    } else if (error.code === Code.Unimplemented && this.position.startAnew()) {
      reason = "the gateway does not serve times; starting again with what it retains";
      return this.retryAfter(0, reason);
    } else if (isFinal(error)) throw error;
    else if (end) this.position.ended(end);
    await this.retryAfter(this.route.failed(retryDelay(error)), reason);
  }

  /** Tells of payments that can not be had, and goes on behind them. Returns false when the telling failed. */
  private skip(reason: string, end: StreamEnd, cursor: string): boolean {
    const ranges = end.gaps.map(({ partition, from, to }) => ({ partition, from, to }));
    if (!this.reporter.gap({ ranges, reason, cursor })) return false;
    this.position.skip(cursor, ranges);
    return true;
  }

  private mayStartAgain(error: ConnectError): boolean {
    const isForeign = error.code === Code.FailedPrecondition && this.position.cursor !== undefined;
    return isForeign && this.options.onForeignCursor === "by-time";
  }

  /** Reports whether to go on elsewhere at once: not twice without anything between. */
  private mayJump(): boolean {
    const may = !this.jumped;
    this.jumped = true;
    return may;
  }

  private async retryAfter(ms: number, reason: string): Promise<void> {
    const attempt = this.route.failures;
    if (this.state.name !== "ended")
      this.reporter.tell({
        name: "retrying",
        address: this.state.address,
        reason,
        attempt,
        at: Date.now() + ms,
      });
    await pause(ms, this.stopping.signal);
  }
}

/** Returns where a stream goes on after an error that says that payments are missing. */
function cursorBehindGap(error: ConnectError, end: StreamEnd): string {
  if (error.code === Code.DataLoss) return end.cursor;
  if (error.code === Code.OutOfRange) return end.oldestCursor;
  return "";
}

function checkHeartbeat(ms = defaultHeartbeatMs): number {
  if (!(ms > 0 && ms <= maxHeartbeatMs))
    throw new RangeError(`heartbeatMs is ${ms}: it must be from 1 to 3,600,000`);
  return Math.max(minHeartbeatMs, ms);
}
