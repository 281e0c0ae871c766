import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { type Payment, PaymentEventSchema, type PaymentMessage, PaymentSchema } from "@paystream/client";

/** A payment for tests, with what matters in the test. */
export function payment(fields: MessageInitShape<typeof PaymentSchema> = {}): Payment {
  return create(PaymentSchema, { id: "pay_1", amount: 50, currency: "USD", amountMinor: 5000n, ...fields });
}

/** Its event. */
export function event(
  fields: MessageInitShape<typeof PaymentSchema> = {},
  about: { partition?: number; offset?: bigint; publishedAt?: bigint } = {},
): PaymentMessage {
  const message = create(PaymentEventSchema, {
    topic: "payments.raw",
    eventType: "new",
    cursor: "cur",
    ...about,
  });
  return Object.assign(message, { payment: payment(fields) });
}
