import diagnostics from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { Broker, Gateway, produce } from "@paystream/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { streamPayments } from "../src/index.js";

const count = 200_000;
const breaks = 10;

let broker: Broker;
let gateway: Gateway;
const sockets: Socket[] = [];
function onSocket(message: unknown): void {
  sockets.push((message as { socket: Socket }).socket);
}

beforeAll(async () => {
  broker = await Broker.start();
  gateway = await Gateway.start(broker, "--retain-payments=400000", "--retain-bytes=512MiB");
  diagnostics.subscribe("net.client.socket", onSocket);
});
afterAll(async () => {
  diagnostics.unsubscribe("net.client.socket", onSocket);
  await gateway.stop();
  await broker.stop();
});

// Half of them exist before the stream begins, half come while it runs. The connection is cut by turns
// on this side and by killing the gateway.
test("200,000 payments through 10 breaks: each once and in order", async () => {
  await produce(broker, `-count=${count / 2}`, "-interval=0");
  const producing = produce(broker, `-count=${count / 2}`, "-interval=0");
  const restarts: Promise<void>[] = [];
  const breakNow = (i: number) => {
    if (i % 2 === 0) for (const socket of sockets.splice(0)) socket.destroy();
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
