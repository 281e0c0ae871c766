import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { parseAddresses } from "./addresses.js";
import { Call } from "./call.js";
import { describe, isFinal, retryDelay, streamEnd } from "./errors.js";
import { type PaymentEvent, type StreamEnd, StreamStart } from "./gen/payment/payment_pb.js";
import { pause } from "./pause.js";
import { Route } from "./route.js";
import type {
  Connection,
  PaymentMessage,
  PaymentStream,
  Protocol,
  StreamOptions,
  StreamState,
} from "./types.js";

/** Opens a connection to one gateway. */
export type Connect = (address: string, protocol: Protocol | undefined) => Connection;

/** Where "by-time" starts again: so long before the last event, whose clock was another cluster's. */
const overlapMs = 5 * 60_000;
const defaultHeartbeatMs = 5000;
/** The gateway sends no heartbeats at shorter intervals. */
const minHeartbeatMs = 100;
/** What a living gateway may take for an answer, beside two heartbeats. */
const marginMs = 1000;

/**
 * Stream hands over each payment record once, in the order of its partition, over as many calls as
 * that takes. Between two calls it stands at a cursor, which never runs ahead of what was handed
 * over; what comes again is told by partition and offset.
 */
export class Stream implements PaymentStream {
  private readonly route: Route;
  private readonly heartbeatMs: number;
  private readonly stopping = new AbortController();
  private call: Call | undefined;
  private iterated = false;
  private current: StreamState;
  private told: StreamState | undefined;
  /** What a callback has thrown. */
  private failure: { error: unknown } | undefined;

  private at: string | undefined;
  private since: Date | undefined;
  /** The first cursor of the latest call: it stands before all of it. */
  private first = "";
  private readonly seen = new Map<number, bigint>();
  private last: PaymentEvent | undefined;
  /** A gap or a restart has been followed by nothing yet. */
  private skipped = false;

  constructor(
    private readonly options: StreamOptions,
    private readonly connect: Connect,
  ) {
    this.route = new Route(parseAddresses(options.addresses));
    this.heartbeatMs = checkHeartbeat(options.heartbeatMs);
    this.at = options.cursor || undefined;
    this.since = options.since;
    this.current = { name: "connecting", address: this.route.address };
  }

  get cursor(): string | undefined {
    return this.at;
  }

  get state(): StreamState {
    return this.current;
  }

  [Symbol.asyncIterator](): AsyncIterator<PaymentMessage, undefined> {
    if (this.iterated)
      throw new Error("a payment stream is iterated once: for another loop, start another from its cursor");
    this.iterated = true;
    const messages = this.messages();
    return {
      next: () => messages.next(),
      return: async () => {
        this.stop();
        const result = await messages.return(undefined);
        this.surface();
        return result;
      },
    };
  }

  private async *messages(): AsyncGenerator<PaymentMessage, undefined> {
    const { signal } = this.options;
    const stop = () => this.stop();
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) this.stop();
    try {
      while (!this.stopping.signal.aborted) {
        try {
          const call = await this.open();
          while (!this.stopping.signal.aborted) {
            const message = this.take(await call.next());
            if (message) yield message;
          }
        } catch (error) {
          await this.recover(error);
        } finally {
          this.call?.close();
        }
      }
      this.surface();
      return undefined;
    } finally {
      signal?.removeEventListener("abort", stop);
      this.stop();
    }
  }

  /** Ends the stream, whatever it is waiting for. */
  private stop(): void {
    this.stopping.abort();
    this.call?.close();
    this.tell({ name: "ended" });
  }

  private async open(): Promise<Call> {
    const { address } = this.route;
    this.tell({ name: "connecting", address });
    this.call = new Call(this.connect(address, this.options.protocol), 2 * this.heartbeatMs + marginMs);
    const goesOn = this.at !== undefined || this.since !== undefined || this.startsNew();
    const header = await this.call.open({
      provider: this.options.provider ?? 0,
      status: this.options.status ?? 0,
      limit: this.options.limit ?? 0,
      start: this.options.start ?? 0,
      cursor: this.at ?? "",
      since: this.since && timestampFromMs(this.since.getTime()),
      heartbeat: durationFromMs(this.heartbeatMs),
    });
    // Of a stream that begins with existing payments, the first cursor stands before all that are
    // retained: starting afresh is better, as long as nothing has been handed over.
    this.first = header.get("paystream-cursor") ?? "";
    if (goesOn) this.at ??= this.first || undefined;
    this.tell({ name: goesOn ? "live" : "existing", address });
    return this.call;
  }

  private startsNew(): boolean {
    return this.options.start === StreamStart.START_NEW_ONLY;
  }

  /** Moves on behind an event, and returns it if it is for the consumer. */
  private take(event: PaymentEvent | undefined): PaymentMessage | undefined {
    if (!event) throw new ConnectError("the stream ended", Code.Unavailable);
    if (this.current.name === "existing" && event.eventType !== "existing")
      this.tell({ name: "live", address: this.current.address });
    if (this.stopping.signal.aborted) return undefined;
    const seen = this.seen.get(event.partition);
    const isMessage = event.payment !== undefined && (seen === undefined || event.offset > seen);
    if (isMessage) {
      this.seen.set(event.partition, event.offset);
      this.last = event;
      this.at ??= this.first || undefined;
    }
    if (event.cursor) this.at = event.cursor;
    if (isMessage || !event.payment) {
      this.route.good();
      this.skipped = false;
    }
    return isMessage ? (event as PaymentMessage) : undefined;
  }

  /** Makes ready for the next call, after a pause where one is due; or throws what no other call can mend. */
  private async recover(error: unknown): Promise<void> {
    this.call?.close();
    if (this.stopping.signal.aborted) return;
    if (!(error instanceof ConnectError)) throw error;
    const end = streamEnd(error);
    const next = nextAfterGap(error, end);
    if (end && next) {
      this.skip(error, end, next);
      if (this.mayGoOnAtOnce()) return;
    } else if (
      error.code === Code.FailedPrecondition &&
      this.at &&
      this.options.onForeignCursor === "by-time"
    ) {
      const reason = this.startAgain(error);
      if (this.mayGoOnAtOnce()) return this.retryAfter(0, reason);
    } else if (isFinal(error)) throw error;
    else if (end?.cursor && this.at) this.at = end.cursor;
    await this.retryAfter(this.route.failed(retryDelay(error)), describe(error));
  }

  /** Tells of payments that can not be had, and goes on behind them. */
  private skip(error: ConnectError, end: StreamEnd, cursor: string): void {
    const ranges = end.gaps.map(({ partition, from, to }) => ({ partition, from, to }));
    this.run(() => this.options.onGap?.({ ranges, reason: describe(error), cursor }));
    if (!this.failure) this.at = cursor;
  }

  /** Lets go of another cluster's cursor and offsets. */
  private startAgain(error: ConnectError): string {
    const last = this.last ? Number(this.last.publishedAt) : Date.now();
    this.since = new Date(last - overlapMs);
    this.at = undefined;
    this.first = "";
    this.seen.clear();
    return `${describe(error)}; starting again with the payments since ${this.since.toISOString()}`;
  }

  /** What can go on at once does so the first time; a repetition, with nothing between, has to wait. */
  private mayGoOnAtOnce(): boolean {
    const may = !this.skipped;
    this.skipped = true;
    return may;
  }

  private async retryAfter(ms: number, reason: string): Promise<void> {
    const { address } = this.current as { address: string };
    const attempt = this.route.failures;
    this.tell({ name: "retrying", address, reason, attempt, at: Date.now() + ms });
    await pause(ms, this.stopping.signal);
  }

  private tell(state: StreamState): void {
    if (this.told?.name === "ended" || same(this.told, state)) return;
    this.current = this.told = state;
    this.run(() => this.options.onState?.(state));
  }

  /** Runs a callback; what it throws ends the stream. */
  private run(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.failure ??= { error };
      this.stop();
    }
  }

  /** Throws what a callback has thrown, once. */
  private surface(): void {
    const failure = this.failure;
    this.failure = undefined;
    if (failure) throw failure.error;
  }
}

function same(a: StreamState | undefined, b: StreamState): boolean {
  return a !== undefined && a.name !== "retrying" && JSON.stringify(a) === JSON.stringify(b);
}

/** Returns where a stream goes on after an error that says that payments are missing. */
function nextAfterGap(error: ConnectError, end: StreamEnd | undefined): string | undefined {
  if (error.code === Code.DataLoss) return end?.cursor;
  if (error.code === Code.OutOfRange) return end?.oldestCursor;
  return undefined;
}

function checkHeartbeat(ms = defaultHeartbeatMs): number {
  if (!(ms > 0 && ms <= 3_600_000))
    throw new RangeError(`heartbeatMs is ${ms}: give it in ms, at most an hour`);
  return Math.max(minHeartbeatMs, ms);
}
