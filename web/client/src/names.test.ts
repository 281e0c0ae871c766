import { expect, test } from "vitest";
import type { PaymentStatus, Provider } from "./gen/payment/payment_pb.js";
import { providerName, statusName } from "./names.js";

test("names are those of the contract, without its prefixes", () => {
  expect([0, 1, 2, 3, 99].map((n) => providerName(n as Provider))).toEqual([
    "UNKNOWN",
    "STRIPE",
    "RAZORPAY",
    "PAYPAL",
    "UNKNOWN",
  ]);
  expect([0, 1, 2, 3, 4, -1].map((n) => statusName(n as PaymentStatus))).toEqual([
    "UNKNOWN",
    "PENDING",
    "COMPLETED",
    "FAILED",
    "REFUNDED",
    "UNKNOWN",
  ]);
});
