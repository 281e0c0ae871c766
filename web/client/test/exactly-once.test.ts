import diagnostics from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { Broker, Gateway, produce } from "@paystream/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { PaymentStatus, type Protocol, streamPayments } from "../src/index.js";
import { Follower, samples } from "./follower.js";

const count = 200_000;
const breaks = 10;

let broker: Broker;
let gateway: Gateway;
const sockets: Socket[] = [];
function onSocket(message: unknown): void {
  sockets.push((message as { socket: Socket }).socket);
}

beforeAll(() => diagnostics.subscribe("net.client.socket", onSocket));
afterAll(() => void diagnostics.unsubscribe("net.client.socket", onSocket));
beforeEach(async () => {
  broker = await Broker.start();
  gateway = await Gateway.start(broker, "--retain-payments=400000", "--retain-bytes=512MiB");
});
afterEach(async () => {
  await gateway.stop();
  await broker.stop();
});

/** Breaks all connections, as a network does. */
function cut(): void {
  for (const socket of sockets.splice(0)) socket.destroy();
}

// Half of them exist before the stream begins, half come while it runs. The connection is cut by turns
// on this side and by killing the gateway.
test("200,000 payments through 10 breaks: each once and in order", async () => {
  await produce(broker, `-count=${count / 2}`, "-interval=0");
  const producing = produce(broker, `-count=${count / 2}`, "-interval=0");
  const restarts: Promise<void>[] = [];
  const breakNow = (i: number) => {
    if (i % 2 === 0) cut();
    else restarts.push(gateway.kill().then(() => gateway.start()));
  };
  let retries = 0;
  const stream = streamPayments({
    addresses: gateway.url,
    onState: ({ name }) => {
      if (name === "retrying") retries++;
    },
    onGap: ({ reason }) => {
      throw new Error(reason);
    },
  });

  const next = new Map<number, bigint>();
  const ids = new Set<string>();
  let received = 0;
  let broken = 0;
  for await (const { payment, partition, offset } of stream) {
    if (offset !== (next.get(partition) ?? 0n)) throw new Error(`${offset} is not what follows`);
    next.set(partition, offset + 1n);
    ids.add(payment.id);
    if (++received === count) break;
    if (broken < breaks && received * (breaks + 1) >= count * (broken + 1)) breakNow(broken++);
  }
  await Promise.all([producing, ...restarts]);
  expect(ids.size).toBe(count);
  expect(retries).toBeGreaterThanOrEqual(breaks);
});

test.each<Protocol>(["grpc", "grpc-web", "connect"])(
  "%s: cut among existing payments, the latest state of each comes all the same",
  async (protocol) => {
    // Each payment's second state comes 500 payments behind its first: a later cursor stands between them.
    const first = samples(2000, { status: "pending", metadata: { padding: "x".repeat(2000) } });
    const second = first.map((payment) => ({ ...payment, status: "paid" }));
    for (let i = 0; i < 2500; i += 500)
      await broker.write(...first.slice(i, i + 500), ...second.slice(Math.max(0, i - 500), i));
    const follower = new Follower({ addresses: gateway.url, protocol });
    await follower.has(1);
    cut();
    await follower.is("retrying");
    const early = follower.ids.length;
    const latest = () => new Map(follower.events.map(({ payment }) => [payment.id, payment.status]));
    await follower.until("all have come in their last state", () => {
      const statuses = [...latest().values()];
      return (
        statuses.length === 2000 && statuses.every((status) => status === PaymentStatus.STATUS_COMPLETED)
      );
    });
    await follower.end();
    expect(early).toBeLessThan(2000);
    expect(follower.names).toContain("existing");
  },
);
