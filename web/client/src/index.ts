import { connect } from "#transport";
import type { Payment } from "./gen/payment/payment_pb.js";
import { get, Walk } from "./payments.js";
import { Stream } from "./stream.js";
import type { GatewayOptions, ListOptions, PaymentStream, PaymentWalk, StreamOptions } from "./types.js";

export { Code, ConnectError } from "@connectrpc/connect";
export * from "./gen/payment/payment_pb.js";
export { decimalAmount, formatMoney } from "./money.js";
export { providerName, statusName } from "./names.js";
export type * from "./types.js";

/**
 * Streams payments: each record once, in the order of its partition, through whatever breaks. It ends
 * when the loop is left or the signal aborts, and throws only what no other try can mend. Nothing is
 * connected before the loop begins.
 */
export function streamPayments(options: StreamOptions = {}): PaymentStream {
  return new Stream(options, connect);
}

/** Returns the latest retained state of one payment. Throws a ConnectError, NotFound if there is none. */
export function getPayment(id: string, options: GatewayOptions = {}): Promise<Payment> {
  return get(id, options, connect);
}

/**
 * Lists the latest state of each retained payment as of one moment, the newest first. With follow, the
 * payments after that moment come next, with nothing missed.
 */
export function listPayments(options: ListOptions = {}): PaymentWalk {
  return new Walk(options, connect);
}
