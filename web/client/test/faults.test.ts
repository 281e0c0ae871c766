import { Broker, freePort, Gateway } from "@paystream/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Protocol } from "../src/index.js";
import { Follower, samples, sorted } from "./follower.js";

let broker: Broker;
let gateways: Gateway[];

beforeEach(async () => {
  broker = await Broker.start();
  gateways = [];
});
afterEach(async () => {
  await Promise.all(gateways.map((gateway) => gateway.stop()));
  await broker.stop();
});

async function start(...args: string[]): Promise<Gateway> {
  const gateway = await Gateway.start(broker, ...args);
  gateways.push(gateway);
  return gateway;
}

/** Writes payments and returns their ids. */
async function write(count: number): Promise<string[]> {
  const payments = samples(count);
  await broker.write(...payments);
  return payments.map(({ id }) => id);
}

describe.each<Protocol>(["grpc", "grpc-web", "connect"])("%s", (protocol) => {
  test("the gateway is killed and started again", async () => {
    const gateway = await start();
    const before = await write(5);
    const follower = new Follower({ addresses: gateway.url, protocol });
    await follower.has(5);
    await follower.is("live");
    await gateway.kill();
    await follower.is("retrying");
    const meanwhile = await write(5);
    await gateway.start();
    await follower.has(10);
    const after = await write(5);
    await follower.has(15);
    await follower.end();
    expect(sorted(follower.ids)).toEqual(sorted([...before, ...meanwhile, ...after]));
    expect(follower.names.slice(0, 4)).toEqual(["connecting", "existing", "live", "retrying"]);
    expect(follower.names.slice(-4)).toEqual(["retrying", "connecting", "live", "ended"]);
    expect(follower.gaps).toEqual([]);
  });

  test("the gateway is drained and started again", async () => {
    const gateway = await start();
    const before = await write(5);
    const follower = new Follower({ addresses: gateway.url, protocol });
    await follower.has(5);
    await gateway.drain();
    await follower.is("retrying");
    const drained = follower.states.find((state) => state.name === "retrying");
    expect(drained?.reason).toMatch(/^Unavailable: the gateway is shutting down/);
    const meanwhile = await write(5);
    await gateway.start();
    await follower.has(10);
    await follower.end();
    expect(sorted(follower.ids)).toEqual(sorted([...before, ...meanwhile]));
  });

  test("the gateway is frozen and thawed", async () => {
    const gateway = await start();
    const before = await write(5);
    const follower = new Follower({ addresses: gateway.url, protocol });
    await follower.is("live");
    gateway.freeze();
    await follower.is("retrying");
    const retrying = follower.states.find((state) => state.name === "retrying");
    expect(retrying?.reason).toMatch(/^Unavailable: no sign of life for \d/);
    await follower.is("connecting");
    const meanwhile = await write(5);
    gateway.thaw();
    await follower.has(10);
    await follower.end();
    expect(sorted(follower.ids)).toEqual(sorted([...before, ...meanwhile]));
  });

  test.each<[string, (gateway: Gateway) => unknown]>([
    ["killed", (gateway) => gateway.kill()],
    ["drained", (gateway) => gateway.drain()],
    ["frozen", (gateway) => gateway.freeze()],
  ])("the gateway is %s and another one takes over", async (_name, takeAway) => {
    const [one, other] = [await start(), await start()];
    const before = await write(5);
    const follower = new Follower({ addresses: [one.url, other.url], protocol });
    await follower.has(5);
    await follower.is("live");
    await takeAway(one);
    await follower.is("live", other.url);
    const after = await write(5);
    await follower.has(10);
    await follower.end();
    expect(sorted(follower.ids)).toEqual(sorted([...before, ...after]));
    expect(follower.states[follower.names.indexOf("retrying") + 1]).toEqual({
      name: "connecting",
      address: other.url,
    });
  });

  test("a gateway that is not there yet is waited for, and one beside it is found", async () => {
    const gateway = await start();
    const ids = await write(1);
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const follower = new Follower({ addresses: [nobody, gateway.url], protocol });
    await follower.has(1);
    await follower.end();
    expect(follower.ids).toEqual(ids);
  });

  test("the window has moved on: what was missed comes from Kafka", async () => {
    const gateway = await start("--retain-payments=20");
    const follower = new Follower({ addresses: gateway.url, protocol });
    await write(1);
    await follower.has(1);
    const { cursor } = follower.stream;
    const missed = await write(100);
    await follower.has(101); // also where it falls out of so small a window itself
    await follower.end();

    const later = new Follower({ addresses: gateway.url, protocol, cursor });
    await later.has(100);
    await later.end();
    expect(sorted(later.ids)).toEqual(sorted(missed));
    expect([...later.gaps, ...follower.gaps]).toEqual([]);
    expect(later.names).toEqual(["connecting", "live", "ended"]);
  });

  test("Kafka no longer has what was missed: the gap is told and gone on behind", async () => {
    const gateway = await start("--retain-payments=20");
    const follower = new Follower({ addresses: gateway.url, protocol });
    await write(1);
    await follower.has(1);
    const { cursor } = follower.stream;
    await follower.end();
    await write(100);
    for (const partition of [0, 1, 2]) await broker.deleteBefore(partition, 10);

    const later = new Follower({ addresses: gateway.url, protocol, cursor });
    await later.until("all are accounted for", () => later.ids.length + later.missed === 100);
    await later.end();
    expect(later.gaps.map(({ reason }) => reason)).toEqual([expect.stringMatching(/^DataLoss: /)]);
    expect(later.missed).toBeGreaterThan(0);
    expect(later.names).toEqual(["connecting", "live", "connecting", "live", "ended"]);
  });
});
