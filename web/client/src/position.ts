import { type PaymentEvent, type StreamEnd, StreamStart } from "./gen/payment/payment_pb.js";
import type { PaymentMessage, StreamOptions } from "./types.js";

/** Where "by-time" starts again: so long before the last event, whose time another cluster gave it. */
const overlapMs = 5 * 60_000;

/**
 * Position is how far a stream has come: the cursor to go on from, which never runs ahead of what was
 * handed over, and by partition the last offset of it, so that what comes again can be told.
 */
export class Position {
  cursor: string | undefined;
  since: Date | undefined;
  private startsNew: boolean;
  /** since is not the caller's, but ours. */
  private again = false;
  /** The first cursor of the call that began with existing payments: it stands before all of them. */
  private first: string | undefined;
  private readonly offsets = new Map<number, bigint>();
  private last: PaymentMessage | undefined;

  constructor(options: Pick<StreamOptions, "cursor" | "since" | "start">) {
    this.cursor = options.cursor || undefined;
    this.since = options.since;
    this.startsNew = options.start === StreamStart.START_NEW_ONLY;
  }

  /** Reports whether the next call begins with existing payments, and not behind some point. */
  get beginsWithExisting(): boolean {
    return this.cursor === undefined && this.since === undefined && !this.startsNew;
  }

  /**
   * Takes the first cursor of a call. Where the call begins with existing payments, that cursor stands
   * before all that the gateway retains, superseded or not. As long as nothing was handed over,
   * beginning anew loses nothing and is shorter; later it serves until an event has a cursor.
   */
  opened(first: string): void {
    if (this.beginsWithExisting) this.first = first;
    else this.cursor ??= first;
  }

  /** Moves on behind an event. Returns it if it is a payment that was not handed over before. */
  take(event: PaymentEvent): PaymentMessage | undefined {
    const isNews = hasPayment(event) && !this.has(event);
    if (isNews) {
      this.offsets.set(event.partition, event.offset);
      this.last = event;
      this.cursor ??= this.first;
    }
    // With more than 16 partitions not every event has one: the older one serves as well.
    if (event.cursor) this.cursor = event.cursor;
    return isNews ? event : undefined;
  }

  /** Takes the cursor that the gateway ended a stream with: all before it has arrived. */
  ended(end: StreamEnd): void {
    if (end.cursor && !this.beginsWithExisting) this.cursor = end.cursor;
  }

  /** Moves on to a cursor behind a gap. Where Kafka has gone back, what it puts at those offsets is new. */
  skip(cursor: string, gaps: readonly { partition: number; from: bigint; to: bigint }[]): void {
    this.cursor = cursor;
    for (const { partition, from, to } of gaps) if (to < from) this.offsets.set(partition, to - 1n);
  }

  /** Lets go of another topic's cursor and offsets. Returns the time to go on from. */
  startAgain(): Date {
    const last = this.last ? Number(this.last.publishedAt) : Date.now();
    this.since = new Date(last - overlapMs);
    this.cursor = this.first = undefined;
    this.offsets.clear();
    this.again = true;
    return this.since;
  }

  /** Starts with all that is retained, where startAgain's time is not served. Returns false where it is not at fault. */
  startAnew(): boolean {
    if (!this.again || this.since === undefined) return false;
    this.since = undefined;
    this.startsNew = false;
    return true;
  }

  private has(event: PaymentEvent): boolean {
    const last = this.offsets.get(event.partition);
    return last !== undefined && event.offset <= last;
  }
}

function hasPayment(event: PaymentEvent): event is PaymentMessage {
  return event.payment !== undefined;
}
