import { Code, ConnectError, createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { existing, payment, retryInfo } from "../test/fake.js";
import { PaymentService, StreamEndSchema, type StreamPaymentsRequest } from "./gen/payment/payment_pb.js";
import { Stream } from "./stream.js";
import type { Gap, StreamOptions, StreamState } from "./types.js";

// Errors and their details as they come over the wire; the other tests of streams make them by hand.

type Answer = ReturnType<ServiceImpl<typeof PaymentService>["streamPayments"]>;

/** Runs a stream over a router, whose answers are given by number of the call, until it has so many payments. */
async function run(count: number, answer: (call: number) => Answer, options: StreamOptions = {}) {
  const requests: StreamPaymentsRequest[] = [];
  const transport = createRouterTransport(({ service }) =>
    service(PaymentService, {
      streamPayments(request) {
        requests.push(request);
        return answer(requests.length);
      },
    }),
  );
  const ids: string[] = [];
  const states: StreamState[] = [];
  const gaps: Gap[] = [];
  const stream = new Stream(
    {
      addresses: "http://a",
      onState: (state) => void states.push(state),
      onGap: (gap) => void gaps.push(gap),
      ...options,
    },
    () => ({ transport, close() {} }),
  );
  for await (const event of stream) {
    ids.push(event.payment.id);
    if (ids.length === count) break;
  }
  return { requests, ids, states, gaps };
}

function gatewaysError(code: Code, end?: { cursor: string }, retryAfterMs?: number): ConnectError {
  const details = end ? [{ desc: StreamEndSchema, value: end }] : [];
  const error = new ConnectError("said the gateway", code, undefined, details);
  if (retryAfterMs) error.details.push({ type: "google.rpc.RetryInfo", value: retryInfo(retryAfterMs) });
  return error;
}

test("a drain's cursor and retry delay", async () => {
  const { requests, ids, states } = await run(2, async function* (call) {
    if (call === 1) {
      yield existing(1);
      throw gatewaysError(Code.Unavailable, { cursor: "drained" }, 300);
    }
    yield* [payment(1), payment(2)];
  });
  expect(ids).toEqual(["0/1", "0/2"]);
  expect(requests[1]?.cursor).toBe("drained");
  const retrying = states.find((state) => state.name === "retrying");
  expect(retrying?.reason).toBe("Unavailable: said the gateway");
  expect((retrying?.at ?? 0) - Date.now()).toBeGreaterThan(-300);
});

test("a gap", async () => {
  const { requests, gaps } = await run(
    1,
    async function* (call) {
      if (call === 1) {
        const gap = { cursor: "on", gaps: [{ partition: 2, from: 10n, to: 2n ** 60n }] };
        throw gatewaysError(Code.DataLoss, gap);
      }
      yield payment(9);
    },
    { cursor: "mine" },
  );
  expect(requests.map((request) => request.cursor)).toEqual(["mine", "on"]);
  expect(gaps).toEqual([
    {
      ranges: [{ partition: 2, from: 10n, to: 2n ** 60n }],
      reason: "DataLoss: said the gateway",
      cursor: "on",
    },
  ]);
});

test("by-time: another cluster's cursor leads to a start by time", async () => {
  const { requests, ids } = await run(
    3,
    async function* (call) {
      if (call === 1) yield existing(7);
      else if (call === 2) throw gatewaysError(Code.FailedPrecondition);
      else yield* [payment(1), payment(2)];
    },
    { onForeignCursor: "by-time" },
  );
  expect(ids).toEqual(["0/7", "0/1", "0/2"]);
  expect(requests.map((request) => request.cursor)).toEqual(["", "after 0/7", ""]);
  expect(requests[2]?.since?.seconds).toBe(1_700_000_000n - 300n);
});

test("by-time: where a start by time is not served, it begins with what is retained", async () => {
  const { requests, ids } = await run(
    1,
    async function* (call) {
      if (call === 1) throw gatewaysError(Code.FailedPrecondition);
      if (call === 2) throw gatewaysError(Code.Unimplemented);
      yield existing(7);
    },
    { onForeignCursor: "by-time", cursor: "mine" },
  );
  expect(ids).toEqual(["0/7"]);
  expect(requests.map((request) => [request.cursor, request.since === undefined])).toEqual([
    ["mine", true],
    ["", false],
    ["", true],
  ]);
});
