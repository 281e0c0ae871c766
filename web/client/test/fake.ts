import { create, type DescMethodStreaming, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import {
  type Code,
  ConnectError,
  createRouterTransport,
  type StreamResponse,
  type Transport,
} from "@connectrpc/connect";
import { vi } from "vitest";
import {
  type GetPaymentRequest,
  type ListPaymentsRequest,
  type PaymentEvent,
  PaymentEventSchema,
  type PaymentListSchema,
  type PaymentSchema,
  PaymentService,
  StreamEndSchema,
  type StreamPaymentsRequest,
  StreamPaymentsRequestSchema,
} from "../src/gen/payment/payment_pb.js";
import type { Connection } from "../src/types.js";

export type EventInit = MessageInitShape<typeof PaymentEventSchema>;

/** What one call of StreamPayments yields; or the error that refuses it. */
export type Script = (() => AsyncIterable<EventInit> | Iterable<EventInit>) | ConnectError;

/** One call as the gateway saw it. */
export interface Seen<Request> {
  address: string;
  request: Request;
}

/** Gateways in this process that do as they are told, call by call; without a script, they stay silent. */
export class FakeGateways {
  readonly calls: Seen<StreamPaymentsRequest>[] = [];
  readonly gets: Seen<GetPaymentRequest>[] = [];
  readonly lists: Seen<ListPaymentsRequest>[] = [];
  /** How many connections are open. */
  open = 0;
  get: (request: GetPaymentRequest) => MessageInitShape<typeof PaymentSchema> = () => ({});
  list: (request: ListPaymentsRequest) => MessageInitShape<typeof PaymentListSchema> = () => ({});
  private readonly scripts: Script[];

  constructor(...scripts: Script[]) {
    this.scripts = scripts;
  }

  readonly connect = (address: string): Connection => {
    this.open++;
    let isOpen = true;
    const close = () => {
      if (isOpen) this.open--;
      isOpen = false;
    };
    // A router's headers wait for the first message, which a gateway's do not.
    const stream: StreamCall = async (method, _signal, _timeoutMs, _header, input) => {
      const { value } = await input[Symbol.asyncIterator]().next();
      const request = create(StreamPaymentsRequestSchema, value);
      this.calls.push({ address, request });
      const script = this.scripts.shift() ?? silent;
      if (script instanceof ConnectError) throw script;
      const header = new Headers({ "paystream-cursor": "first" });
      const message = events(script());
      return { stream: true, service: method.parent, method, header, trailer: new Headers(), message };
    };
    return { transport: { unary: this.router(address).unary, stream: stream as Transport["stream"] }, close };
  };

  private router(address: string): Transport {
    return createRouterTransport(({ service }) =>
      service(PaymentService, {
        getPayment: (request) => {
          this.gets.push({ address, request });
          return this.get(request);
        },
        listPayments: (request) => {
          this.lists.push({ address, request });
          return this.list(request);
        },
      }),
    );
  }
}

type StreamCall = (
  method: DescMethodStreaming<typeof StreamPaymentsRequestSchema, typeof PaymentEventSchema>,
  signal: AbortSignal | undefined,
  timeoutMs: number | undefined,
  header: HeadersInit | undefined,
  input: AsyncIterable<MessageInitShape<typeof StreamPaymentsRequestSchema>>,
) => Promise<StreamResponse<typeof StreamPaymentsRequestSchema, typeof PaymentEventSchema>>;

async function* events(inits: AsyncIterable<EventInit> | Iterable<EventInit>): AsyncGenerator<PaymentEvent> {
  for await (const init of inits) yield create(PaymentEventSchema, init);
}

/** The event of a payment at an offset; its id and cursor say which. */
export function payment(offset: number, more: { partition?: number; cursor?: string } = {}): EventInit {
  const id = `${more.partition ?? 0}/${offset}`;
  return {
    payment: { id } as PaymentEvent["payment"],
    eventType: "new",
    offset: BigInt(offset),
    cursor: `after ${id}`,
    publishedAt: 1_700_000_000_000n + BigInt(offset),
    ...more,
  } as EventInit;
}

export function existing(...args: Parameters<typeof payment>): EventInit {
  return { ...payment(...args), eventType: "existing" } as EventInit;
}

export function heartbeat(cursor: string): EventInit {
  return { eventType: "heartbeat", cursor };
}

/** The gateway's error as it arrives, with what it says about going on. */
export function refusal(
  code: Code,
  end?: MessageInitShape<typeof StreamEndSchema>,
  retryAfterMs?: number,
): ConnectError {
  const error = new ConnectError("said the gateway", code, { "content-type": "application/grpc" });
  if (end) {
    const value = toBinary(StreamEndSchema, create(StreamEndSchema, end));
    error.details.push({ type: StreamEndSchema.typeName, value });
  }
  if (retryAfterMs !== undefined)
    error.details.push({ type: "google.rpc.RetryInfo", value: retryInfo(retryAfterMs) });
  return error;
}

export function retryInfo(ms: number): Uint8Array<ArrayBuffer> {
  const duration = new BinaryWriter()
    .tag(1, 0)
    .int64(Math.floor(ms / 1000))
    .tag(2, 0)
    .int32((ms % 1000) * 1e6)
    .finish();
  return new BinaryWriter().tag(1, 2).bytes(duration).finish();
}

/** Lets time pass, and then all happen that can happen without more of it. */
export async function pass(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  for (let i = 0; i < 3; i++) await vi.advanceTimersByTimeAsync(0);
}

/** Never yields. */
export async function* silent(): AsyncGenerator<EventInit> {
  await new Promise(() => {});
}
