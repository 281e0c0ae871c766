import { setTimeout as sleep } from "node:timers/promises";
import { Stream } from "../src/stream.js";
import { connect as connectNode } from "../src/transport-node.js";
import type { Gap, PaymentMessage, PaymentStream, StreamOptions, StreamState } from "../src/types.js";

/** How often conditions are looked at, and how long they may take, in ms. */
const every = 5;
const atMost = 30_000;

/** Waits until a condition holds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + atMost; !holds(); await sleep(every))
    if (Date.now() > end) throw new Error(`in vain waited until ${what}`);
}

/**
 * Follower iterates a stream in the background and checks what it is handed: every record once, in the
 * order of its partition.
 */
export class Follower {
  readonly ids: string[] = [];
  readonly events: PaymentMessage[] = [];
  readonly states: StreamState[] = [];
  readonly gaps: Gap[] = [];
  readonly stream: PaymentStream;
  /** Settles when the iteration does; never rejects. */
  readonly done: Promise<void>;
  /** What the iteration has thrown. */
  error: unknown;
  private readonly stop = new AbortController();
  private readonly last = new Map<number, bigint>();

  constructor(options: StreamOptions, connect = connectNode) {
    const callbacks = {
      onState: (state: StreamState) => void this.states.push(state),
      onGap: (gap: Gap) => void this.gaps.push(gap),
    };
    this.stream = new Stream(
      { signal: this.stop.signal, heartbeatMs: 300, ...callbacks, ...options },
      connect,
    );
    this.done = this.follow();
  }

  /** The states' names in the order that they were told in. */
  get names(): string[] {
    return this.states.map((state) => state.name);
  }

  /** How many payments are known to be missing. */
  get missed(): number {
    const ranges = this.gaps.flatMap((gap) => gap.ranges);
    return ranges.reduce((sum, { from, to }) => sum + Number(to - from), 0);
  }

  /** Waits until so many payments have been handed over. */
  has(count: number): Promise<void> {
    return this.until(`${count} payments have come`, () => this.ids.length >= count);
  }

  /** Waits until the stream is in a state, or has been meanwhile; at an address if one is given. */
  is(name: StreamState["name"], address?: string): Promise<void> {
    const from = this.states.length - 1;
    const is = (state: StreamState) =>
      state.name === name && (address === undefined || (state.name !== "ended" && state.address === address));
    return this.until(`it is ${name}`, () => this.states.slice(Math.max(0, from)).some(is));
  }

  /** Ends the stream as its consumer does, and throws what the iteration has thrown. */
  async end(): Promise<void> {
    this.stop.abort();
    await this.done;
    if (this.error) throw this.error;
  }

  /** Waits until a condition holds, or throws what the iteration has thrown. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const inTime = until(what, () => holds() || this.error !== undefined);
    await inTime.catch((error: Error) => {
      throw new Error(
        `${error.message}: ${this.ids.length} payments, ${JSON.stringify(this.states.slice(-5))}`,
      );
    });
    if (this.error) throw this.error;
  }

  private async follow(): Promise<void> {
    try {
      for await (const event of this.stream) this.take(event);
    } catch (error) {
      this.error = error;
    }
  }

  private take(event: PaymentMessage): void {
    const { partition, offset } = event;
    const last = this.last.get(partition) ?? -1n;
    if (offset <= last) throw new Error(`partition ${partition}: offset ${offset} came after ${last}`);
    this.last.set(partition, offset);
    this.ids.push(event.payment.id);
    this.events.push(event);
  }
}

let written = 0;

/** So many payments as a producer writes them, each of another id. */
export function samples(count: number, more: object = {}) {
  return Array.from({ length: count }, () => ({
    id: `pay_${written++}`,
    provider: "stripe",
    amount: 5000,
    currency: "usd",
    status: "paid",
    ...more,
  }));
}

/** The ids of payments, sorted, as two lists of them compare. */
export function sorted(ids: Iterable<string>): string[] {
  return [...ids].sort();
}
