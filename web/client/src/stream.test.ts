import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  existing,
  FakeGateways,
  heartbeat,
  pass,
  payment,
  refusal,
  type Script,
  silent,
} from "../test/fake.js";
import { PaymentStatus, Provider, StreamStart } from "./gen/payment/payment_pb.js";
import { Stream } from "./stream.js";
import type { Gap, StreamOptions, StreamState } from "./types.js";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Iterates a stream until it ends, writing down what it says and hands over. */
function follow(gateways: FakeGateways, options: StreamOptions = {}, leaveAfter = Number.POSITIVE_INFINITY) {
  const ids: string[] = [];
  const states: StreamState[] = [];
  const cursors: (string | undefined)[] = []; // at each state
  const gaps: Gap[] = [];
  const stop = new AbortController();
  const stream = new Stream(
    {
      addresses: "http://a",
      signal: stop.signal,
      onState: (state) => {
        states.push(state);
        cursors.push(stream.cursor);
      },
      onGap: (gap) => void gaps.push(gap),
      ...options,
    },
    gateways.connect,
  );
  const done = (async () => {
    if (leaveAfter === 0) return;
    for await (const event of stream) {
      ids.push(event.payment.id);
      if (ids.length >= leaveAfter) break;
    }
  })();
  done.catch(() => {}); // expected later
  const names = () => states.map((state) => state.name);
  const end = async () => {
    stop.abort();
    await done;
    expect(gateways.open).toBe(0);
  };
  return { stream, ids, states, cursors, names, gaps, stop, done, end };
}

/** A stream that is accepted and then breaks. */
const breaks: Script = function* () {
  yield* [];
  throw refusal(Code.Internal);
};

test("existing payments, then new ones: states and cursor move with what is handed over", async () => {
  const gateways = new FakeGateways(async function* () {
    yield existing(1);
    yield payment(2);
    yield* silent();
  });
  const { stream, ids, states, cursors, end } = follow(gateways, {
    provider: Provider.STRIPE,
    status: PaymentStatus.STATUS_COMPLETED,
    limit: 7,
  });
  await pass();
  expect(ids).toEqual(["0/1", "0/2"]);
  const address = "http://a";
  expect(states).toEqual([
    { name: "connecting", address },
    { name: "existing", address },
    { name: "live", address },
  ]);
  expect(cursors).toEqual([undefined, undefined, "after 0/1"]);
  expect(stream.cursor).toBe("after 0/2");
  expect(gateways.calls[0]?.request).toMatchObject({
    provider: Provider.STRIPE,
    status: PaymentStatus.STATUS_COMPLETED,
    limit: 7,
    cursor: "",
    heartbeat: { seconds: 5n, nanos: 0 },
  });
  await end();
  expect(states.at(-1)).toEqual({ name: "ended" });
  expect(stream.state).toEqual({ name: "ended" });
});

test("after a break it goes on from the last cursor, and hands nothing over twice", async () => {
  const gateways = new FakeGateways(
    function* () {
      yield* [existing(1), existing(2), existing(1, { partition: 1 })];
      throw refusal(Code.Unknown);
    },
    async function* () {
      yield* [payment(2), payment(1, { partition: 1 }), payment(3), payment(2, { partition: 1 })];
      yield* silent();
    },
  );
  const { ids, states, end } = follow(gateways);
  await pass();
  expect(states.at(-1)).toEqual({
    name: "retrying",
    address: "http://a",
    reason: "Unknown: said the gateway",
    attempt: 1,
    at: Date.now() + 100,
  });
  await pass(100);
  expect(gateways.calls[1]?.request.cursor).toBe("after 1/1");
  expect(ids).toEqual(["0/1", "0/2", "1/1", "0/3", "1/2"]);
  await end();
});

test("a stream that ends without an error is gone on with", async () => {
  const gateways = new FakeGateways(() => [payment(1)]);
  const { states, end } = follow(gateways);
  await pass();
  expect(states.at(-1)).toMatchObject({ name: "retrying", reason: "Unavailable: the stream ended" });
  await pass(100);
  expect(gateways.calls).toHaveLength(2);
  await end();
});

test("broken before the first existing payment, it begins anew", async () => {
  const gateways = new FakeGateways(
    breaks,
    refusal(Code.Unavailable, { cursor: "drained", oldestCursor: "oldest" }),
  );
  const { stream, end } = follow(gateways);
  await pass(1000);
  expect(gateways.calls.map(({ request }) => request.cursor)).toEqual(["", "", ""]);
  expect(stream.cursor).toBeUndefined();
  await end();
});

test("broken among existing payments without cursors, it goes on from before all of them", async () => {
  const gateways = new FakeGateways(
    function* () {
      yield* [existing(1, { cursor: "" }), existing(4, { cursor: "" })];
      throw refusal(Code.Unknown);
    },
    async function* () {
      yield* [1, 3, 4, 5].map((offset) => payment(offset, { cursor: offset === 5 ? "fifth" : "" }));
      yield* silent();
    },
  );
  const { stream, ids, names, end } = follow(gateways);
  await pass();
  expect(stream.cursor).toBe("first");
  await pass(100);
  expect(gateways.calls[1]?.request.cursor).toBe("first");
  expect(ids).toEqual(["0/1", "0/4", "0/5"]);
  expect(stream.cursor).toBe("fifth");
  expect(names()).toEqual(["connecting", "existing", "retrying", "connecting", "live"]);
  await end();
});

test.each<[string, StreamOptions]>([
  ["new only", { start: StreamStart.START_NEW_ONLY }],
  ["since a time", { since: new Date(1e12) }],
])("%s: live at once, and the first cursor counts before any event", async (_name, options) => {
  const gateways = new FakeGateways(breaks);
  const { stream, names, end } = follow(gateways, options);
  await pass();
  expect(stream.cursor).toBe("first");
  await pass(100);
  expect(names()).toEqual(["connecting", "live", "retrying", "connecting", "live"]);
  expect(gateways.calls[1]?.request.cursor).toBe("first");
  await end();
});

test("since and cursor are passed on", async () => {
  const gateways = new FakeGateways(breaks);
  const { stream, end } = follow(gateways, { since: new Date(1_500), cursor: "mine" });
  expect(stream.cursor).toBe("mine");
  await pass(100);
  expect(gateways.calls[0]?.request).toMatchObject({
    cursor: "mine",
    since: { seconds: 1n, nanos: 500_000_000 },
  });
  expect(gateways.calls[1]?.request.cursor).toBe("mine");
  await end();
});

test("heartbeats make it live and move the cursor, and stay inside", async () => {
  const gateways = new FakeGateways(
    function* () {
      yield heartbeat("beat");
      throw refusal(Code.Unknown);
    },
    () => silent(),
  );
  const { ids, names, end } = follow(gateways);
  await pass(100);
  expect(names()).toEqual(["connecting", "existing", "live", "retrying", "connecting", "live"]);
  expect(gateways.calls[1]?.request.cursor).toBe("beat");
  expect(ids).toEqual([]);
  await end();
});

test("a drain's cursor and retry delay are taken", async () => {
  const gateways = new FakeGateways(function* () {
    yield payment(1, { cursor: "" });
    throw refusal(Code.Unavailable, { cursor: "drained" }, 1200);
  });
  const { states, end } = follow(gateways);
  await pass();
  expect(states.at(-1)).toMatchObject({ name: "retrying", at: Date.now() + 1200 });
  await pass(1199);
  expect(gateways.calls).toHaveLength(1);
  await pass(1);
  expect(gateways.calls[1]?.request.cursor).toBe("drained");
  await end();
});

test("a drained gateway's retry delay does not hold up failing over to another one", async () => {
  const gateways = new FakeGateways(function* () {
    yield payment(1);
    throw refusal(Code.Unavailable, { cursor: "drained" }, 1200);
  }, breaks);
  const { end } = follow(gateways, { addresses: ["http://a", "http://b/"] });
  await pass(100);
  expect(gateways.calls.map(({ address }) => address)).toEqual(["http://a", "http://b"]);
  await pass(1099);
  expect(gateways.calls).toHaveLength(2);
  await pass(1);
  expect(gateways.calls.map(({ address }) => address)).toEqual(["http://a", "http://b", "http://a"]);
  await end();
});

test("the pause grows until an event comes that is no duplicate, or a heartbeat", async () => {
  const gateways = new FakeGateways(
    () => [payment(1)],
    breaks,
    () => [payment(1)],
    () => [payment(2)],
    breaks,
    () => [heartbeat("beat")],
    breaks,
  );
  const { states, end } = follow(gateways);
  await pass(4000);
  const attempts = states.flatMap((state) => (state.name === "retrying" ? state.attempt : []));
  expect(attempts).toEqual([1, 2, 3, 1, 2, 1, 2]);
  await end();
});

const ranges = [{ partition: 1, from: 5n, to: 9n }];

test.each([
  ["Kafka's", Code.DataLoss, "on"],
  ["the window's", Code.OutOfRange, "oldest"],
])("%s gap is told, and gone on behind at once; a repetition has to wait", async (_name, code, next) => {
  const gap: Script = refusal(code, { cursor: "on", oldestCursor: "oldest", gaps: ranges });
  const gateways = new FakeGateways(
    gap,
    gap,
    () => [payment(1)],
    gap,
    () => silent(),
  );
  const { stream, gaps, names, end } = follow(gateways, { cursor: "mine" });
  await pass();
  expect(gaps[0]).toEqual({ ranges, reason: `${Code[code]}: said the gateway`, cursor: next });
  expect(stream.cursor).toBe(next);
  expect(gateways.calls.map(({ request }) => request.cursor)).toEqual(["mine", next]);
  expect(names()).toEqual(["connecting", "retrying"]);
  await pass(10_000);
  expect(names()).toEqual([
    ...["connecting", "retrying", "connecting", "live", "retrying"],
    ...["connecting", "live"],
  ]);
  expect(gaps).toHaveLength(3);
  await end();
});

test("where Kafka has gone back, what it has put there is handed over, and what comes again is not", async () => {
  const gateways = new FakeGateways(
    function* () {
      for (const offset of [1, 2, 3, 4]) yield payment(offset);
      throw refusal(Code.DataLoss, { cursor: "back", gaps: [{ partition: 0, from: 5n, to: 3n }] });
    },
    () => [payment(2), payment(3), payment(4), payment(5)],
    () => silent(),
  );
  const { ids, end } = follow(gateways);
  await pass(2000);
  expect(ids).toEqual([1, 2, 3, 4, 3, 4, 5].map((offset) => `0/${offset}`));
  await end();
});

test("a gap without a way on is tried again", async () => {
  const gateways = new FakeGateways(refusal(Code.DataLoss));
  const { gaps, end } = follow(gateways, { cursor: "mine" });
  await pass(100);
  expect(gaps).toEqual([]);
  expect(gateways.calls).toHaveLength(2);
  await end();
});

const foreign: Script = refusal(Code.FailedPrecondition);

test("a foreign cursor is thrown", async () => {
  const { done, stream } = follow(new FakeGateways(() => [payment(1)], foreign));
  await pass(100);
  await expect(done).rejects.toMatchObject({ code: Code.FailedPrecondition });
  expect(stream.state.name).toBe("ended");
  expect(stream.cursor).toBe("after 0/1");
});

test("by-time: a foreign cursor leads to a new start, five minutes before the last event", async () => {
  const gateways = new FakeGateways(
    () => [payment(7)],
    foreign,
    async function* () {
      yield* [payment(1), payment(2)];
      yield* silent();
    },
  );
  const { ids, names, states, end } = follow(gateways, { onForeignCursor: "by-time" });
  await pass(101);
  const { request } = gateways.calls[2] ?? {};
  expect(request).toMatchObject({ cursor: "", since: { seconds: 1_700_000_000n - 300n } });
  expect(ids).toEqual(["0/7", "0/1", "0/2"]);
  expect(names()).toEqual([
    ...["connecting", "existing", "live", "retrying", "connecting", "retrying"],
    ...["connecting", "live"],
  ]);
  const reason = "FailedPrecondition: said the gateway; starting again from 2023-11-14T22:08:20.007Z";
  expect(states[5]).toMatchObject({ reason, at: expect.any(Number) });
  await end();
});

test("by-time without an event: five minutes before now; with all that is retained where that is not served", async () => {
  const gateways = new FakeGateways(foreign, refusal(Code.Unimplemented), async function* () {
    yield payment(1);
    yield* silent();
  });
  const { ids, end } = follow(gateways, {
    cursor: "mine",
    start: StreamStart.START_NEW_ONLY,
    onForeignCursor: "by-time",
  });
  await pass(101);
  expect(gateways.calls[2]?.request).toMatchObject({
    cursor: "",
    start: StreamStart.START_EXISTING_THEN_NEW,
  });
  expect(gateways.calls[2]?.request.since).toBeUndefined();
  expect(ids).toEqual(["0/1"]);
  await end();
  const since = Number(gateways.calls[1]?.request.since?.seconds);
  expect(since).toBe(1_800_000_000 - 300);
});

test("by-time: a gateway that finds its own cursor foreign does not make it spin", async () => {
  const gateways = new FakeGateways(foreign, breaks, foreign, foreign, foreign);
  const { end } = follow(gateways, { cursor: "mine", onForeignCursor: "by-time" });
  await pass(0);
  await pass(300);
  expect(gateways.calls.length).toBeLessThan(5);
  await end().catch(() => {});
});

const codes = Object.values(Code).filter((code): code is Code => typeof code === "number");
const final = [
  Code.InvalidArgument,
  Code.Unimplemented,
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.NotFound,
  Code.AlreadyExists,
  Code.FailedPrecondition,
];

test.each(codes.map((code) => [Code[code], code] as const))("%s", async (_name, code) => {
  const gateways = new FakeGateways(refusal(code));
  const { done, end } = follow(gateways);
  await pass(100);
  if (final.includes(code)) await expect(done).rejects.toMatchObject({ code });
  else {
    expect(gateways.calls).toHaveLength(2);
    await end();
  }
});

test("a stream cut short is gone on with, whatever code connect-es gives it", async () => {
  const gateways = new FakeGateways();
  let calls = 0;
  const cut = new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument);
  const stop = new AbortController();
  const stream = new Stream({ addresses: "http://a", signal: stop.signal }, (address) => {
    const connection = gateways.connect(address);
    if (++calls > 1) return connection;
    return { ...connection, transport: { ...connection.transport, stream: () => Promise.reject(cut) } };
  });
  const next = stream[Symbol.asyncIterator]().next();
  await pass(100);
  expect(gateways.calls).toHaveLength(1);
  stop.abort();
  expect(await next).toEqual({ done: true, value: undefined });
});
