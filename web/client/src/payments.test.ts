import { Code } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeGateways, pass, payment, refusal, silent } from "../test/fake.js";
import { PaymentStatus, Provider } from "./gen/payment/payment_pb.js";
import { get, Walk } from "./payments.js";

const addresses = ["http://a", "http://b"];
const unavailable = refusal(Code.Unavailable, undefined, 1000);

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("getPayment", () => {
  test("asks the next address when one does not serve", async () => {
    const gateways = new FakeGateways();
    gateways.get = ({ paymentId }) => {
      if (gateways.gets.length < 3) throw unavailable;
      return { id: paymentId };
    };
    const answer = get("pay_1", { addresses }, gateways.connect);
    await pass(5000);
    expect((await answer).id).toBe("pay_1");
    expect(gateways.gets.map(({ address }) => address)).toEqual(["http://a", "http://b", "http://a"]);
    expect(gateways.open).toBe(0);
  });

  test("gives up after a few tries, with the last error", async () => {
    const gateways = new FakeGateways();
    gateways.get = () => {
      throw unavailable;
    };
    const answer = get("pay_1", { addresses }, gateways.connect);
    answer.catch(() => {}); // expected below
    await pass(20_000);
    await expect(answer).rejects.toMatchObject({ code: Code.Unavailable });
    expect(gateways.gets).toHaveLength(8);
    expect(gateways.open).toBe(0);
  });

  test("throws what another try would not mend", async () => {
    const gateways = new FakeGateways();
    gateways.get = () => {
      throw refusal(Code.NotFound);
    };
    const answer = get("pay_1", { addresses }, gateways.connect);
    answer.catch(() => {}); // expected below
    await pass();
    await expect(answer).rejects.toMatchObject({ code: Code.NotFound });
    expect(gateways.gets).toHaveLength(1);
  });

  test("an abort ends it at once, with the signal's reason", async () => {
    const gateways = new FakeGateways();
    gateways.get = () => {
      throw unavailable;
    };
    const stop = new AbortController();
    const answer = get("pay_1", { addresses, signal: stop.signal }, gateways.connect);
    answer.catch(() => {}); // expected below
    await pass();
    stop.abort(new Error("enough"));
    await expect(answer).rejects.toThrow("enough");
    expect([gateways.open, vi.getTimerCount()]).toEqual([0, 0]);
    await expect(get("pay_1", { addresses, signal: stop.signal }, gateways.connect)).rejects.toThrow(
      "enough",
    );
  });

  test("an answer that does not come is asked for at the next address", async () => {
    const gateways = new FakeGateways();
    const connect = (address: string) => {
      const connection = gateways.connect(address);
      const never = { ...connection.transport, unary: neverAnswers };
      return address === "http://a" ? { ...connection, transport: never } : connection;
    };
    gateways.get = () => ({ id: "pay_1" });
    const answer = get("pay_1", { addresses }, connect);
    await pass(11_000);
    expect((await answer).id).toBe("pay_1");
    expect(gateways.open).toBe(0);
  });
});

/** A transport keeps the time itself. */
function neverAnswers(_method: unknown, _signal: unknown, timeoutMs?: number): Promise<never> {
  return new Promise((_resolve, reject) => setTimeout(reject, timeoutMs, refusal(Code.DeadlineExceeded)));
}

/** Serves three pages of two payments. */
function pages(gateways: FakeGateways) {
  gateways.list = ({ cursor }) => {
    const page = Number(cursor || 0);
    return {
      payments: [{ id: `p${page}.1` }, { id: `p${page}.2` }],
      nextCursor: page < 2 ? String(page + 1) : "",
      totalCount: 6,
      streamCursor: "behind the list",
    };
  };
}

const allIds = ["p0.1", "p0.2", "p1.1", "p1.2", "p2.1", "p2.2"];

async function idsOf(walk: Walk): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of walk) ids.push(id);
  return ids;
}

describe("listPayments", () => {
  test("goes through all pages, each asked for when it is reached", async () => {
    const gateways = new FakeGateways();
    pages(gateways);
    const filters = { provider: Provider.PAYPAL, status: PaymentStatus.STATUS_FAILED, pageSize: 2 };
    const walk = new Walk({ addresses, ...filters }, gateways.connect);
    const ids: string[] = [];
    for await (const { id } of walk) {
      ids.push(id);
      expect(gateways.lists).toHaveLength(Math.ceil(ids.length / 2));
      expect([walk.totalCount, walk.streamCursor]).toEqual([6, "behind the list"]);
    }
    expect(ids).toEqual(allIds);
    expect(gateways.lists.map(({ request }) => request)).toMatchObject([
      { provider: Provider.PAYPAL, status: PaymentStatus.STATUS_FAILED, limit: 2, cursor: "" },
      { provider: Provider.PAYPAL, status: PaymentStatus.STATUS_FAILED, limit: 2, cursor: "1" },
      { provider: Provider.PAYPAL, status: PaymentStatus.STATUS_FAILED, limit: 2, cursor: "2" },
    ]);
    expect(gateways.open).toBe(0);
  });

  test("a page that is not served yet is asked for again, at the next address", async () => {
    const gateways = new FakeGateways();
    pages(gateways);
    const { list } = gateways;
    gateways.list = (request) => {
      if (gateways.lists.length === 2) throw unavailable;
      return list(request);
    };
    const ids = idsOf(new Walk({ addresses }, gateways.connect));
    await pass(5000);
    expect(await ids).toEqual(allIds);
    expect(gateways.lists.map(({ address, request }) => [address, request.cursor])).toEqual([
      ["http://a", ""],
      ["http://a", "1"],
      ["http://b", "1"],
      ["http://b", "2"],
    ]);
  });

  test("with follow it goes on with what came after", async () => {
    const gateways = new FakeGateways(async function* () {
      yield* [payment(1), payment(2)];
      yield* silent();
    });
    pages(gateways);
    const stop = new AbortController();
    const walk = new Walk({ addresses, follow: true, signal: stop.signal }, gateways.connect);
    const ids: string[] = [];
    const done = (async () => {
      for await (const { id } of walk) ids.push(id);
    })();
    await pass();
    expect(ids).toEqual([...allIds, "0/1", "0/2"]);
    expect(gateways.calls[0]?.request.cursor).toBe("behind the list");
    stop.abort();
    await done;
    expect(gateways.open).toBe(0);
  });

  test("aborted, a list throws: cut short it is not the list", async () => {
    const gateways = new FakeGateways();
    pages(gateways);
    const stop = new AbortController();
    const payments = new Walk({ addresses, signal: stop.signal }, gateways.connect)[Symbol.asyncIterator]();
    await payments.next();
    stop.abort(new Error("enough"));
    await expect(payments.next()).rejects.toThrow("enough");
    expect(gateways.open).toBe(0);
  });

  test("aborted, a list that is followed ends", async () => {
    const gateways = new FakeGateways();
    pages(gateways);
    const stop = new AbortController();
    const options = { addresses, signal: stop.signal, follow: true };
    const payments = new Walk(options, gateways.connect)[Symbol.asyncIterator]();
    for (let i = 0; i < 2; i++) await payments.next();
    stop.abort(new Error("enough"));
    expect(await payments.next()).toEqual({ done: true, value: undefined });
    expect(gateways.open).toBe(0);
  });

  test("return ends it at once, although something is waited for", async () => {
    const gateways = new FakeGateways();
    pages(gateways);
    const payments = new Walk({ addresses, follow: true }, gateways.connect)[Symbol.asyncIterator]();
    for (let i = 0; i < 6; i++) await payments.next();
    const next = payments.next();
    await pass();
    expect(gateways.open).toBe(1);
    await payments.return?.();
    expect(await next).toEqual({ done: true, value: undefined });
    expect([gateways.open, vi.getTimerCount()]).toEqual([0, 0]);
  });

  test("it is iterated once", () => {
    const walk = new Walk({ addresses }, new FakeGateways().connect);
    walk[Symbol.asyncIterator]();
    expect(() => walk[Symbol.asyncIterator]()).toThrow("iterated once");
  });
});
