import type { Transport } from "@connectrpc/connect";
import type {
  Payment,
  PaymentEvent,
  PaymentStatus,
  Provider,
  StreamStart,
} from "./gen/payment/payment_pb.js";

/** The protocols that a gateway speaks; all share its one port. */
export type Protocol = "grpc" | "grpc-web" | "connect";

/** Which gateways to ask, and how. */
export interface GatewayOptions {
  /**
   * Base URLs of gateways ("http://localhost:50051"), tried in turn: all serve the same payments, and a
   * cursor of one is good on every other. In a browser the default is the page's own origin.
   */
  addresses?: string | readonly string[] | undefined;
  /** The default is "grpc" in Node.js and "grpc-web" in a browser, which has no gRPC. */
  protocol?: Protocol | undefined;
  /** Ends the call or the stream at once. */
  signal?: AbortSignal | undefined;
}

/** What to stream, from where on, and whom to tell. */
export interface StreamOptions extends GatewayOptions {
  /** Payments of one provider only. */
  provider?: Provider | undefined;
  /** Payments in one status only. */
  status?: PaymentStatus | undefined;
  /** Where a stream without a cursor starts; by default with the latest state of each retained payment. */
  start?: StreamStart | undefined;
  /** How many existing payments at the most, the newest kept; 0 (the default) is all that are retained. */
  limit?: number | undefined;
  /** All that Kafka got at this time or later. A cursor counts before it. */
  since?: Date | undefined;
  /** Go on after the event that had this cursor. */
  cursor?: string | undefined;
  /** How often the gateway gives a sign of life, in ms (default 5,000); two missed ones are a dead connection. */
  heartbeatMs?: number | undefined;
  /**
   * What to do when the gateway reads another cluster or topic than the cursor is of. "throw" is the default;
   * "by-time" starts again from five minutes before the last event, or before now if there was none, so that
   * payments may come again; with all that is retained, where the gateway does not serve times yet.
   */
  onForeignCursor?: "throw" | "by-time" | undefined;
  onState?: ((state: StreamState) => void) | undefined;
  /** Payments that nobody can have any more. The stream goes on behind them. */
  onGap?: ((gap: Gap) => void) | undefined;
}

/** Which payments to list, and whether to go on with those that follow. The callbacks are the stream's. */
export interface ListOptions
  extends GatewayOptions,
    Pick<StreamOptions, "provider" | "status" | "heartbeatMs" | "onForeignCursor" | "onState" | "onGap"> {
  /** Payments a page: 50 by default, at most 1,000. */
  pageSize?: number | undefined;
  /** Goes on with the payments that came after the list was made, until the loop is left or the signal aborts. */
  follow?: boolean | undefined;
}

/**
 * What a stream is doing. When it is retrying, address is the one that has failed, attempt is how many
 * tries have failed in a row, and at, in ms since 1970, is the time of the next one.
 */
export type StreamState =
  | { name: "connecting"; address: string }
  | { name: "existing"; address: string }
  | { name: "live"; address: string }
  | { name: "retrying"; address: string; reason: string; attempt: number; at: number }
  | { name: "ended" };

/** Payments that Kafka, or the gateway, no longer has. */
export interface Gap {
  /**
   * Which ones, where the gateway knows: offsets `from` up to, but without, `to`. Where `to` is less, Kafka has
   * lost those from `to` up to, but without, `from`, and what comes next at these offsets are other payments.
   */
  ranges: { partition: number; from: bigint; to: bigint }[];
  reason: string;
  /** Where the stream goes on. */
  cursor: string;
}

/** An event with its payment: heartbeats stay inside the library. */
export type PaymentMessage = PaymentEvent & { payment: Payment };

/** A stream of payments: iterate it once. Leaving the loop ends it, and so does the signal. */
export interface PaymentStream extends AsyncIterable<PaymentMessage> {
  /** Where to go on after the last payment that was handed over: store it with what you made of the payment. */
  readonly cursor: string | undefined;
  readonly state: StreamState;
}

/**
 * A list of payments: iterate it once. When the signal aborts, the loop throws the signal's reason, for
 * a list cut short is not the list; with follow, it ends.
 */
export interface PaymentWalk extends AsyncIterable<Payment> {
  /** How many payments the list has; known with the first payment. */
  readonly totalCount: number | undefined;
  /** From where streamPayments goes on after the list's moment; known with the first payment. */
  readonly streamCursor: string | undefined;
}

/** A transport to one gateway, and how to let go of its connections. */
export interface Connection {
  transport: Transport;
  close(): void;
}

/** Opens a connection to one gateway. */
export type Connect = (address: string, protocol: Protocol | undefined) => Connection;
