import { Code } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
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
import { Stream } from "./stream.js";
import type { StreamOptions, StreamState } from "./types.js";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const ended = { done: true, value: undefined };

/** A gateway that never answers, not even with headers. */
function deaf(gateways: FakeGateways) {
  return (address: string) => {
    const connection = gateways.connect(address);
    return {
      ...connection,
      transport: { ...connection.transport, stream: () => new Promise<never>(() => {}) },
    };
  };
}

/** Where a stream can be when it is ended, and how to bring it there. */
const places: [string, (options: StreamOptions) => { stream: Stream; gateways: FakeGateways }][] = [
  [
    "waiting for headers",
    (options) => {
      const gateways = new FakeGateways();
      return { gateways, stream: new Stream(options, deaf(gateways)) };
    },
  ],
  ["among existing payments", (options) => scripted(options, () => silent())],
  [
    "live",
    (options) =>
      scripted(options, async function* () {
        yield heartbeat("beat");
        yield* silent();
      }),
  ],
  ["waiting for another try", (options) => scripted(options, refusal(Code.Unavailable, undefined, 60_000))],
];

function scripted(options: StreamOptions, ...scripts: Script[]) {
  const gateways = new FakeGateways(...scripts);
  return { gateways, stream: new Stream(options, gateways.connect) };
}

/** Counts the listeners on a signal. */
function listenersOf(signal: AbortSignal) {
  let count = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    count++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    count--;
    removeEventListener.apply(signal, args);
  };
  return () => count;
}

describe.each(places)("%s", (_name, place) => {
  test("an abort ends it at once and leaves nothing", async () => {
    const stop = new AbortController();
    const listeners = listenersOf(stop.signal);
    const { stream, gateways } = place({ addresses: "http://a", signal: stop.signal });
    const next = stream[Symbol.asyncIterator]().next();
    await pass();
    expect(listeners()).toBe(1);
    stop.abort();
    expect(stream.state).toEqual({ name: "ended" });
    expect(await next).toEqual(ended);
    expect(gateways.open).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    expect(listeners()).toBe(0);
  });

  test("return ends it at once, although something is waited for", async () => {
    const { signal } = new AbortController();
    const listeners = listenersOf(signal);
    const { stream, gateways } = place({ addresses: "http://a", signal });
    const iterator = stream[Symbol.asyncIterator]();
    const next = iterator.next();
    await pass();
    expect(await iterator.return?.()).toEqual(ended);
    expect(await next).toEqual(ended);
    expect(stream.state).toEqual({ name: "ended" });
    expect([gateways.open, vi.getTimerCount(), listeners()]).toEqual([0, 0, 0]);
    expect(await iterator.next()).toEqual(ended);
  });
});

test("an aborted signal ends it before it connects", async () => {
  const { stream, gateways } = scripted({ addresses: "http://a", signal: AbortSignal.abort() });
  expect(await stream[Symbol.asyncIterator]().next()).toEqual(ended);
  expect(gateways.calls).toHaveLength(0);
  expect(gateways.open).toBe(0);
});

test("an abort while the consumer is busy lets go of all at once", async () => {
  const stop = new AbortController();
  const { stream, gateways } = scripted({ addresses: "http://a", signal: stop.signal }, async function* () {
    yield* [existing(1), existing(2)];
    yield* silent();
  });
  const iterator = stream[Symbol.asyncIterator]();
  const first = iterator.next();
  await pass();
  expect((await first).value?.payment.id).toBe("0/1");
  stop.abort();
  expect([gateways.open, vi.getTimerCount(), stream.state.name]).toEqual([0, 0, "ended"]);
  expect(await iterator.next()).toEqual(ended);
  expect(stream.cursor).toBe("after 0/1");
});

test("a stream that is never begun holds nothing, and can be left", async () => {
  const { signal } = new AbortController();
  const listeners = listenersOf(signal);
  const { stream, gateways } = scripted({ addresses: "http://a", signal });
  const iterator = stream[Symbol.asyncIterator]();
  expect([gateways.open, vi.getTimerCount(), listeners()]).toEqual([0, 0, 0]);
  expect(await iterator.return?.()).toEqual(ended);
  expect(await iterator.next()).toEqual(ended);
  expect(gateways.calls).toHaveLength(0);
});

test("it is iterated once", () => {
  const { stream } = scripted({ addresses: "http://a" });
  stream[Symbol.asyncIterator]();
  expect(() => stream[Symbol.asyncIterator]()).toThrow("iterated once");
});

test("a connection without headers is given up after two heartbeats", async () => {
  const gateways = new FakeGateways();
  const states: StreamState[] = [];
  const options = { heartbeatMs: 300, onState: (state: StreamState) => void states.push(state) };
  const stream = new Stream({ addresses: ["http://a", "http://b"], ...options }, deaf(gateways));
  const iterator = stream[Symbol.asyncIterator]();
  void iterator.next();
  await pass(1599);
  expect(stream.state).toEqual({ name: "connecting", address: "http://a" });
  await pass(1);
  expect(stream.state).toMatchObject({ name: "retrying", reason: "Unavailable: no sign of life for 1.6 s" });
  expect(gateways.open).toBe(0);
  await pass(100);
  expect(stream.state).toEqual({ name: "connecting", address: "http://b" });
  await iterator.return?.();
});

test("a silent stream is given up after two heartbeats, one with heartbeats is not", async () => {
  const { stream, gateways } = scripted({ addresses: "http://a", heartbeatMs: 300 }, async function* () {
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 400));
      yield heartbeat("");
    }
    yield* silent();
  });
  const iterator = stream[Symbol.asyncIterator]();
  void iterator.next();
  await pass(8000 + 1599);
  expect(stream.state.name).toBe("live");
  await pass(1);
  expect(stream.state.name).toBe("retrying");
  expect(gateways.open).toBe(0);
  await iterator.return?.();
});

test("a gateway gives no heartbeats at less than 100 ms: it is waited for accordingly", async () => {
  const { stream, gateways } = scripted({ addresses: "http://a", heartbeatMs: 1 }, () => silent());
  const iterator = stream[Symbol.asyncIterator]();
  void iterator.next();
  await pass(1199);
  expect(stream.state.name).toBe("existing");
  expect(gateways.calls[0]?.request.heartbeat).toMatchObject({ seconds: 0n, nanos: 100_000_000 });
  await iterator.return?.();
});

test("a slow consumer is not a dead connection, and nothing is read ahead of it", async () => {
  let written = 0;
  const { stream } = scripted({ addresses: "http://a", heartbeatMs: 100 }, async function* () {
    for (; ; written++) yield payment(written);
  });
  const iterator = stream[Symbol.asyncIterator]();
  const first = iterator.next();
  await pass();
  await first;
  await pass(600_000);
  expect(written).toBeLessThan(5);
  expect(stream.state.name).toBe("live");
  const second = iterator.next();
  await pass();
  expect((await second).value?.payment.id).toBe("0/1");
  await iterator.return?.();
});

test("a process that slept looks at what has come meanwhile before it gives a connection up", async () => {
  let wake = () => {};
  const { stream } = scripted({ addresses: "http://a", heartbeatMs: 100 }, async function* () {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    yield heartbeat("beat");
    yield* silent();
  });
  const iterator = stream[Symbol.asyncIterator]();
  void iterator.next();
  await pass();
  const clock = vi.spyOn(performance, "now");
  const now = performance.now();
  clock.mockImplementation(() => now + 3_600_000);
  await pass(1200); // the timer is an hour late
  expect(stream.state.name).toBe("existing");
  wake();
  await pass();
  expect(stream.state.name).toBe("live");
  await iterator.return?.();
});

const boom = new Error("the callback's own");

describe.each<StreamState["name"]>(["connecting", "existing", "live", "retrying", "ended"])(
  "onState throws at %s",
  (name) => {
    test("it is the iteration's error, once all is let go of", async () => {
      const { stream, gateways } = scripted(
        {
          addresses: "http://a",
          onState: (state) => {
            if (state.name === name) throw boom;
          },
        },
        () => [payment(1), payment(2)],
      );
      const ids: string[] = [];
      const done = (async () => {
        for await (const event of stream) {
          ids.push(event.payment.id);
          if (name === "ended") break;
        }
      })();
      done.catch(() => {}); // expected below
      await pass();
      await expect(done).rejects.toBe(boom);
      expect([gateways.open, vi.getTimerCount(), stream.state.name]).toEqual([0, 0, "ended"]);
      expect(stream.cursor).toBe(ids.length ? `after ${ids.at(-1)}` : undefined);
    });
  },
);

test("onGap throws: the gap is not behind the cursor, so that it is told again another time", async () => {
  const { stream } = scripted(
    {
      addresses: "http://a",
      cursor: "mine",
      onGap: () => {
        throw boom;
      },
    },
    refusal(Code.DataLoss, { cursor: "on" }),
  );
  const next = stream[Symbol.asyncIterator]().next();
  next.catch(() => {}); // expected below
  await pass();
  await expect(next).rejects.toBe(boom);
  expect(stream.cursor).toBe("mine");
});

test("a callback may abort", async () => {
  const stop = new AbortController();
  const { stream, gateways } = scripted({
    addresses: "http://a",
    signal: stop.signal,
    onState: () => stop.abort(),
  });
  expect(await stream[Symbol.asyncIterator]().next()).toEqual(ended);
  expect(gateways.calls).toHaveLength(0);
});

test.each<[string, StreamOptions, string]>([
  ["no scheme", { addresses: "localhost:50051" }, "no base URL"],
  ["no URL", { addresses: ["http://a", ""] }, "no base URL"],
  ["no address", { addresses: [] }, "addresses is empty"],
  ["no heartbeat", { heartbeatMs: 0 }, "heartbeatMs is 0"],
  ["more than a timer holds", { heartbeatMs: 2 ** 31 }, "heartbeatMs"],
  ["not a number", { heartbeatMs: Number.NaN }, "heartbeatMs is NaN"],
])("options are checked at once: %s", (_name, options, text) => {
  expect(() => scripted(options)).toThrow(text);
});
