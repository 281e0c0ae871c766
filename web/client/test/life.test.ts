import { spawn } from "node:child_process";
import diagnostics from "node:diagnostics_channel";
import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { Broker, freePort, Gateway } from "@paystream/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  getPayment,
  listPayments,
  type Protocol,
  StreamStart,
  type StreamState,
  streamPayments,
} from "../src/index.js";
import { Follower, samples, until } from "./follower.js";

let broker: Broker;
let gateway: Gateway;
let admin: string;
let nobody: string;
/** It accepts connections, and says nothing. */
let mute: Server;
let muteUrl: string;

beforeAll(async () => {
  broker = await Broker.start();
  admin = `127.0.0.1:${await freePort()}`;
  gateway = await Gateway.start(broker, "--write-timeout=1s", `--admin-addr=${admin}`);
  nobody = `http://127.0.0.1:${await freePort()}`;
  mute = createServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
  await once(mute, "listening");
  muteUrl = `http://127.0.0.1:${(mute.address() as AddressInfo).port}`;
});
afterAll(async () => {
  mute.close();
  await gateway.stop();
  await broker.stop();
});

/** What the process holds: sockets, timers and so on, each kind with how many. */
function held(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

/** Waits until the process holds no more than before. */
function letGo(before: Record<string, number>): Promise<void> {
  return until(`nothing more is held than ${JSON.stringify(before)}`, () =>
    Object.entries(held()).every(([kind, count]) => count <= (before[kind] ?? 0)),
  );
}

/** The sockets that this process has opened since the test began. */
let sockets: Socket[];
function onSocket(message: unknown): void {
  sockets.push((message as { socket: Socket }).socket);
}
beforeEach(() => {
  sockets = [];
  diagnostics.subscribe("net.client.socket", onSocket);
});
afterEach(() => {
  diagnostics.unsubscribe("net.client.socket", onSocket);
});

/** Lets what the harness itself has fetched close its connections, which it keeps for the next time. */
async function settled(): Promise<Record<string, number>> {
  await until("the harness is done", () => !("TCPSocketWrap" in held()));
  return held();
}

describe.each<Protocol>(["grpc", "grpc-web", "connect"])("%s", (protocol) => {
  test.each<[StreamState["name"], () => string]>([
    ["connecting", () => muteUrl],
    ["existing", () => gateway.url],
    ["live", () => gateway.url],
    ["retrying", () => nobody],
  ])("aborted when it is %s, it ends at once and leaves nothing", async (name, address) => {
    const before = await settled();
    const start = name === "live" ? StreamStart.START_NEW_ONLY : StreamStart.START_EXISTING_THEN_NEW;
    const follower = new Follower({ addresses: address(), protocol, start, heartbeatMs: 5000 });
    await follower.is(name);
    if (name === "connecting") await until("it waits for headers", () => sockets.some(isOpen));
    await follower.end();
    expect(follower.names.at(-1)).toBe("ended");
    expect(follower.names).not.toContain(name === "retrying" ? "live" : "retrying");
    await letGo(before);
    expect(sockets.length).toBeGreaterThan(0);
    expect(sockets.every((socket) => socket.destroyed)).toBe(true);
  });

  test("left by its consumer, it leaves nothing", async () => {
    await broker.write(...samples(3));
    const before = await settled();
    for await (const _ of streamPayments({ addresses: gateway.url, protocol })) break;
    await letGo(before);
  });

  test("getPayment and listPayments leave nothing, answered, left or aborted", async () => {
    const payments = samples(3);
    await broker.write(...payments);
    const follower = new Follower({ addresses: gateway.url, protocol });
    await follower.until("it is there", () => follower.ids.includes(payments.at(-1)?.id ?? ""));
    await follower.end();
    const before = await settled();
    const options = { addresses: gateway.url, protocol };
    await getPayment(payments[0]?.id ?? "", options);
    let pages = 0;
    for await (const _ of listPayments({ ...options, pageSize: 1 })) if (++pages === 3) break;
    await letGo(before);

    const opened = sockets.length;
    const stop = new AbortController();
    const answer = getPayment("any", { ...options, addresses: muteUrl, signal: stop.signal });
    await until("it waits for the answer", () => sockets.slice(opened).some(isOpen));
    stop.abort(new Error("enough"));
    await expect(answer).rejects.toThrow("enough");
    await letGo(before);
  });

  test("a consumer that takes nothing holds back the gateway, and misses nothing when it has been cut off", async () => {
    const [first, ...rest] = samples(1000, { metadata: { padding: "x".repeat(30_000) } });
    const start = StreamStart.START_NEW_ONLY;
    const stream = streamPayments({ addresses: gateway.url, protocol, start, heartbeatMs: 300 });
    const payments = stream[Symbol.asyncIterator]();
    const next = payments.next();
    await until("it is live", () => stream.state.name === "live");
    await broker.write({ ...first });
    const ids = [(await next).value?.payment.id];
    const socket = sockets.find(isOpen) as Socket;
    await broker.write(...rest);
    while ((await subscribers()) > 0) await sleep(20); // it takes nothing for longer than the gateway allows
    expect(socket.bytesRead).toBeLessThan(2 << 20); // of 30 MB
    while (ids.length < 1000) ids.push((await payments.next()).value?.payment.id);
    await payments.return?.();
    expect(ids).toHaveLength(new Set(ids).size);
  });
});

/** How many streams the gateway serves. Nothing is kept open for the next question. */
async function subscribers(): Promise<number> {
  const [answer] = (await once(http.get(`http://${admin}/metrics`, { agent: false }), "response")) as [
    IncomingMessage,
  ];
  return Number(/^paystream_subscribers (\d+)/m.exec(await text(answer))?.[1]);
}

function isOpen(socket: Socket): boolean {
  return socket.readyState === "open";
}

// Node.js itself would keep the socket of an HTTP/2 session until the system gives up connecting.
test.runIf(process.platform === "linux").each<Protocol>(["grpc", "grpc-web", "connect"])(
  "%s: aborted before the connection is accepted, it leaves nothing",
  async (protocol) => {
    const deaf = spawn(process.execPath, ["-e", notAccepting], { stdio: ["ignore", "pipe", "inherit"] });
    const [port] = (await once(deaf.stdout.setEncoding("utf8"), "data")) as [string];
    try {
      const before = await settled();
      const queued = Array.from({ length: 8 }, () => connect(Number(port), "127.0.0.1"));
      await until("the queue is full", () => queued.some(isOpen) && sockets.length === 8);
      const follower = new Follower({ addresses: `http://127.0.0.1:${Number(port)}`, protocol });
      await until("it connects", () => sockets.length === 9);
      expect(sockets.at(-1)?.connecting).toBe(true);
      await follower.end();
      for (const socket of queued) socket.destroy();
      await letGo(before);
    } finally {
      deaf.kill("SIGKILL");
      await once(deaf, "exit");
    }
  },
);

/** A program that listens, says where, and does nothing any more: a few connections are queued, others wait. */
const notAccepting = `
  const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    require("node:fs").writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

test("a signal that is aborted already: nothing is connected", async () => {
  const follower = new Follower({ addresses: gateway.url, signal: AbortSignal.abort() });
  await follower.done;
  expect(follower.names).toEqual(["ended"]);
  await sleep(0);
  expect(sockets).toEqual([]);
});
