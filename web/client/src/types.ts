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
  addresses?: string | readonly string[];
  /** The default is "grpc" in Node.js and "grpc-web" in a browser, which has no gRPC. */
  protocol?: Protocol;
  /** Ends the call or the stream at once. */
  signal?: AbortSignal;
}

/** What to stream, from where on, and whom to tell. */
export interface StreamOptions extends GatewayOptions {
  /** Payments of one provider only. */
  provider?: Provider;
  /** Payments in one status only. */
  status?: PaymentStatus;
  /** Where a stream without a cursor starts; by default with the latest state of each retained payment. */
  start?: StreamStart;
  /** How many existing payments at the most, the newest kept; 0 (the default) is all that are retained. */
  limit?: number;
  /** All that Kafka got at this time or later. A cursor counts before it. */
  since?: Date;
  /** Go on after the event that had this cursor. */
  cursor?: string;
  /** How often the gateway gives a sign of life, in ms (default 5,000); two missed ones are a dead connection. */
  heartbeatMs?: number;
  /**
   * What to do when the gateway reads another cluster or topic than the cursor is of. "throw" is the default;
   * "by-time" starts again from five minutes before the last event, or before now if there was none, so that
   * payments may come again.
   */
  onForeignCursor?: "throw" | "by-time";
  onState?: (state: StreamState) => void;
  /** Payments that nobody can have any more. The stream goes on behind them. */
  onGap?: (gap: Gap) => void;
}

/** What a stream is doing. Times are in ms since 1970. */
export type StreamState =
  | { name: "connecting"; address: string }
  | { name: "existing"; address: string }
  | { name: "live"; address: string }
  | { name: "retrying"; address: string; reason: string; attempt: number; at: number }
  | { name: "ended" };

/** Payments that Kafka, or the gateway, no longer has. */
export interface Gap {
  /** Which ones, where the gateway knows: offsets `from` up to, but without, `to`. */
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

/** A transport to one gateway, and how to let go of its connections. */
export interface Connection {
  transport: Transport;
  close(): void;
}
