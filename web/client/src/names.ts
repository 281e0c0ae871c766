import { PaymentStatus, Provider } from "./gen/payment/payment_pb.js";

/** "STRIPE"; "UNKNOWN" for 0 and for numbers that this version does not know. */
export function providerName(provider: Provider): string {
  return Provider[provider] ?? "UNKNOWN";
}

/** "COMPLETED"; "UNKNOWN" for 0 and for numbers that this version does not know. */
export function statusName(status: PaymentStatus): string {
  return PaymentStatus[status]?.replace("STATUS_", "") ?? "UNKNOWN";
}
