import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type PaymentEvent,
  PaymentService,
  type StreamPaymentsRequestSchema,
} from "./gen/payment/payment_pb.js";
import type { Connection } from "./types.js";

type Request = MessageInitShape<typeof StreamPaymentsRequestSchema>;

/** How long after waking up this process looks again whether something has arrived, in ms. */
const secondLook = 250;

/**
 * Call is one call of StreamPayments over a connection of its own. It is pulled: nothing is read
 * ahead of next. What it waits for fails when nothing arrives for too long, and at once when it is
 * closed. All its errors are ConnectErrors.
 */
export class Call {
  private readonly controller = new AbortController();
  private events: AsyncIterator<PaymentEvent> | undefined;
  private failure: ConnectError | undefined;
  /** Fails what is being waited for. */
  private fail: ((error: ConnectError) => void) | undefined;
  private since = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** @param silence how long a living gateway can be silent, in ms */
  constructor(
    private readonly connection: Connection,
    private readonly silence: number,
  ) {
    this.watch(silence, false);
  }

  /** Sends the request and returns the response's headers, which come at once. */
  async open(request: Request): Promise<Headers> {
    const { transport } = this.connection;
    const { signal } = this.controller;
    const method = PaymentService.method.streamPayments;
    const response = await this.wait(transport.stream(method, signal, undefined, undefined, once(request)));
    this.events = response.message[Symbol.asyncIterator]();
    return response.header;
  }

  /** Returns the next event, heartbeats included, or undefined when the stream has ended without an error. */
  async next(): Promise<PaymentEvent | undefined> {
    const result = await this.wait((this.events as AsyncIterator<PaymentEvent>).next());
    return result.done ? undefined : result.value;
  }

  /** Ends the call and lets go of its connection. */
  close(error = new ConnectError("the stream is closed", Code.Canceled)): void {
    if (this.failure) return;
    this.failure = error;
    clearTimeout(this.timer);
    this.fail?.(error);
    this.controller.abort(error);
    this.connection.close();
  }

  private wait<T>(promise: PromiseLike<T>): Promise<T> {
    this.since = performance.now();
    return new Promise((resolve, reject) => {
      this.fail = reject;
      if (this.failure) reject(this.failure);
      promise.then(
        (value) => {
          this.fail = undefined;
          resolve(value);
        },
        (error) => {
          this.fail = undefined;
          reject(ConnectError.from(error));
        },
      );
    });
  }

  /** Looks after ms whether the gateway has been silent for too long while something was waited for. */
  private watch(ms: number, again: boolean): void {
    this.timer = setTimeout(() => {
      const silent = this.fail ? performance.now() - this.since : 0;
      if (silent < this.silence) this.watch(this.silence - silent, false);
      else if (silent > this.silence + secondLook && !again) {
        // The timer is late: this process slept, and what came meanwhile has not been read yet.
        this.watch(secondLook, true);
      } else
        this.close(
          new ConnectError(`no sign of life for ${Math.round(silent / 100) / 10} s`, Code.Unavailable),
        );
    }, ms);
  }
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
