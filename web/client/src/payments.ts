import { Asker, type Question } from "./asker.js";
import { type Payment, type PaymentList, PaymentService } from "./gen/payment/payment_pb.js";
import { Stream } from "./stream.js";
import type { Connect, GatewayOptions, ListOptions, PaymentWalk } from "./types.js";

/** Returns the latest retained state of one payment. */
export async function get(id: string, options: GatewayOptions, connect: Connect): Promise<Payment> {
  const asker = new Asker(options, connect);
  try {
    return await asker.ask(async (transport, signal, timeoutMs) => {
      const method = PaymentService.method.getPayment;
      const { message } = await transport.unary(method, signal, timeoutMs, undefined, { paymentId: id });
      return message;
    });
  } finally {
    asker.close();
  }
}

/** Walk goes through the pages of one list, asking for each when it is reached. */
export class Walk implements PaymentWalk {
  totalCount: number | undefined;
  streamCursor: string | undefined;
  private iterated = false;
  private readonly stopping = new AbortController();

  constructor(
    private readonly options: ListOptions,
    private readonly connect: Connect,
  ) {}

  [Symbol.asyncIterator](): AsyncIterator<Payment, undefined> {
    if (this.iterated) throw new Error("a list of payments is iterated once: for another loop, ask again");
    this.iterated = true;
    const payments = this.payments();
    return {
      next: () => payments.next(),
      return: () => {
        this.stopping.abort();
        return payments.return(undefined);
      },
    };
  }

  private async *payments(): AsyncGenerator<Payment, undefined> {
    const { follow, signal } = this.options;
    const stop = () => this.stopping.abort(signal?.reason);
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    try {
      yield* this.listed();
      if (follow) yield* this.followed();
    } catch (error) {
      // A list that is cut short must not look like a whole one.
      if (!this.stopping.signal.aborted || (signal?.aborted && !follow)) throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
    return undefined;
  }

  private async *listed(): AsyncGenerator<Payment> {
    const { signal } = this.stopping;
    const asker = new Asker({ ...this.options, signal }, this.connect);
    try {
      let token = "";
      do {
        const page = await asker.ask(this.page(token));
        this.totalCount ??= page.totalCount;
        this.streamCursor ??= page.streamCursor;
        for (const payment of page.payments) {
          signal.throwIfAborted();
          yield payment;
        }
        token = page.nextCursor;
      } while (token);
    } finally {
      asker.close();
    }
  }

  private page(token: string): Question<PaymentList> {
    const { provider = 0, status = 0, pageSize = 0 } = this.options;
    const request = { provider, status, limit: pageSize, cursor: token };
    return async (transport, signal, timeoutMs) => {
      const method = PaymentService.method.listPayments;
      const { message } = await transport.unary(method, signal, timeoutMs, undefined, request);
      return message;
    };
  }

  private async *followed(): AsyncGenerator<Payment> {
    const options = { ...this.options, signal: this.stopping.signal, cursor: this.streamCursor };
    for await (const { payment } of new Stream(options, this.connect)) yield payment;
  }
}
