import { Broker, freePort, Gateway } from "@paystream/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  Code,
  formatMoney,
  getPayment,
  listPayments,
  PaymentStatus,
  type Protocol,
  Provider,
  providerName,
  statusName,
} from "../src/index.js";
import { connect as connectWeb } from "../src/transport-web.js";
import { Follower, samples, sorted, until } from "./follower.js";

let broker: Broker;
let gateway: Gateway;
let addresses: string[];

beforeAll(async () => {
  broker = await Broker.start();
  gateway = await Gateway.start(broker);
  addresses = [`http://127.0.0.1:${await freePort()}`, gateway.url]; // nobody is at the first
});
afterAll(async () => {
  await gateway.stop();
  await broker.stop();
});

/** Waits until the gateway has payments. */
async function known(ids: string[], protocol: Protocol): Promise<void> {
  const follower = new Follower({ addresses, protocol });
  await follower.until("the gateway has them", () => ids.every((id) => follower.ids.includes(id)));
  await follower.end();
}

describe.each<Protocol>(["grpc", "grpc-web", "connect"])("%s", (protocol) => {
  test("getPayment", async () => {
    const [payment] = samples(1, { provider: "razorpay", amount: 1500, currency: "inr", status: "failed" });
    const id = payment?.id ?? "";
    await broker.write({ ...payment });
    await known([id], protocol);
    const got = await getPayment(id, { addresses, protocol });
    expect(formatMoney(got, "en-US")).toBe("₹1,500.00 INR");
    expect([providerName(got.provider), statusName(got.status)]).toEqual(["RAZORPAY", "FAILED"]);
    await expect(getPayment("nobody's", { addresses, protocol })).rejects.toMatchObject({
      code: Code.NotFound,
    });
    await expect(getPayment("", { addresses, protocol })).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
  });

  test("listPayments, over several pages and filtered", async () => {
    const payments = samples(7, { provider: "paypal", status: "refunded" });
    const ids = payments.map(({ id }) => id);
    await broker.write(...payments, ...samples(3));
    await known(ids, protocol);
    const filters = { provider: Provider.PAYPAL, status: PaymentStatus.STATUS_REFUNDED };
    const list = listPayments({ addresses, protocol, pageSize: 3, ...filters });
    const listed: string[] = [];
    for await (const { id } of list) listed.push(id);
    expect(listed.filter((id) => ids.includes(id)).sort()).toEqual(sorted(ids));
    expect(list.totalCount).toBe(listed.length);
    expect(list.streamCursor).toMatch(/^\w/);
  });

  test("listPayments with follow: what comes after the list, with nothing missed", async () => {
    const before = samples(5);
    await broker.write(...before);
    await known([before.at(-1)?.id ?? ""], protocol);
    const stop = new AbortController();
    const list = listPayments({ addresses, protocol, pageSize: 2, follow: true, signal: stop.signal });
    const ids: string[] = [];
    const after = samples(5);
    const done = (async () => {
      for await (const { id } of list) {
        if (ids.push(id) === 1) await broker.write(...after); // the list is that of a moment before
      }
    })();
    const all = [...before, ...after].map(({ id }) => id);
    await until("all have come", () => all.every((id) => ids.includes(id)));
    stop.abort();
    await done;
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length).toBe((list.totalCount ?? 0) + after.length);
  });

  test("another cluster's cursor is thrown, or leads to what that cluster has", async () => {
    const other = await Broker.start("-cluster-id=another");
    const elsewhere = await Gateway.start(other);
    try {
      await broker.write(...samples(1));
      const here = new Follower({ addresses, protocol });
      await here.has(1);
      await here.end();
      const { cursor } = here.stream;
      const there = new Follower({ addresses: elsewhere.url, protocol, cursor });
      await there.done;
      expect(there.error).toMatchObject({ code: Code.FailedPrecondition });
      expect(there.stream.cursor).toBe(cursor);

      const payments = samples(3);
      await other.write(...payments);
      const onForeignCursor = "by-time";
      const byTime = new Follower({ addresses: elsewhere.url, protocol, cursor, onForeignCursor });
      await byTime.has(3);
      await byTime.end();
      expect(sorted(byTime.ids)).toEqual(sorted(payments.map(({ id }) => id)));
    } finally {
      await elsewhere.stop();
      await other.stop();
    }
  });
});

test("over fetch, as in a browser: killed and started again, then aborted", async () => {
  const follower = new Follower({ addresses: gateway.url }, connectWeb);
  await follower.is("live");
  const count = follower.ids.length;
  await gateway.kill();
  await follower.is("retrying");
  const meanwhile = samples(3);
  await broker.write(...meanwhile);
  await gateway.start();
  await follower.has(count + 3);
  await follower.end();
  expect(sorted(follower.ids.slice(count))).toEqual(sorted(meanwhile.map(({ id }) => id)));
});
