import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Broker, Gateway, launch, type RawPayment } from "../src/index.ts";

/** What is served, by path. */
type Built = Map<string, { type: string; body: string | Uint8Array }>;

const servers: Server[] = [];
let browser: Browser;
let origin: string;
let stranger: string;

beforeAll(async () => {
  const built = await build();
  [origin, stranger] = [await serve(built), await serve(built)];
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  for (const server of servers) server.close();
});

/** What a test has started, to be stopped behind it, the latest first. */
const started: Array<() => unknown> = [];
afterEach(async () => {
  for (const stop of started.splice(0).reverse()) await stop();
});

async function build(): Promise<Built> {
  const { build } = await import("vite");
  const result = await build({
    root: join(import.meta.dirname),
    configFile: false,
    logLevel: "warn",
    resolve: { conditions: ["source", "module", "browser"] },
    build: { write: false, target: "es2022" },
  });
  const types: Record<string, string> = { html: "text/html", js: "text/javascript" };
  const built: Built = new Map();
  for (const file of [result].flat().flatMap((bundle) => ("output" in bundle ? bundle.output : []))) {
    const type = types[file.fileName.split(".").at(-1) ?? ""] ?? "text/plain";
    built.set(`/${file.fileName}`, { type, body: file.type === "chunk" ? file.code : file.source });
  }
  return built;
}

/** Serves the page and returns its origin. */
async function serve(built: Built): Promise<string> {
  const server = createServer((request, response) => {
    const file = built.get(new URL(request.url ?? "/", "http://localhost").pathname);
    response.writeHead(file ? 200 : 404, { "content-type": file?.type ?? "text/plain" });
    response.end(file?.body);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A topic, and a gateway that lets pages of our origin read it. */
async function start(...args: string[]): Promise<{ broker: Broker; gateway: Gateway }> {
  const broker = await Broker.start("-partitions=1"); // its order is known
  started.push(() => broker.stop());
  const gateway = await Gateway.start(broker, `--cors-origins=${origin}`, ...args);
  started.push(() => gateway.stop());
  return { broker, gateway };
}

async function open(gateway: Gateway, query: Record<string, string> = {}, from = origin): Promise<Page> {
  const page = await browser.newPage();
  started.push(() => page.close());
  await page.goto(`${from}/index.html?${new URLSearchParams({ gateway: gateway.url, ...query })}`);
  return page;
}

const patience = { timeout: 20_000, interval: 20 };

async function shows(page: Page, ...want: string[]): Promise<void> {
  const text = want.map((line) => `[LOG] ${line}\n`).join("");
  await expect.poll(() => page.locator("#lines").textContent(), patience).toBe(text);
}

/** Waits until the page has been in these states, one a line. */
async function says(page: Page, states: RegExp): Promise<void> {
  await expect.poll(() => page.locator("#states").textContent(), patience).toMatch(states);
}

const payments: RawPayment[] = [
  { id: "pay_abc", amount: 5000, currency: "USD", provider: "stripe" },
  { id: "pay_def", amount: 1500, currency: "INR", provider: "razorpay" },
  { id: "pay_ghi", amount: 500, currency: "JPY", provider: "paypal" },
];
const lines = [
  "pay_abc | $50.00 USD | STRIPE",
  "pay_def | ₹1,500.00 INR | RAZORPAY",
  "pay_ghi | ¥500 JPY | PAYPAL",
];

test("a stream in text gives existing payments, and then each new one as it comes", async () => {
  const { broker, gateway } = await start();
  await broker.write(...payments);
  const page = await open(gateway);
  await shows(page, ...lines);
  const want = [...lines];
  for (let i = 0; i < 20; i++) {
    const id = `pay_${"x".repeat(i)}`; // each length has another padding
    await broker.write({ id, amount: "90071992547409.93", currency: "USD", provider: "stripe" });
    want.push(`${id} | $90,071,992,547,409.93 USD | STRIPE`);
    await shows(page, ...want); // before the next one is written
  }
  await says(page, /^open\n$/);
});

test("many at once come in order and whole", async () => {
  const { broker, gateway } = await start();
  const page = await open(gateway);
  await says(page, /^open\n$/);
  const many = Array.from({ length: 2000 }, (_, i) => ({
    id: `pay_${i}`,
    amount: 5000,
    currency: "USD",
    provider: "stripe",
    metadata: { filler: "x".repeat(i) },
  }));
  await broker.write(...many);
  await shows(page, ...many.map(({ id }) => `${id} | $50.00 USD | STRIPE`));
});

test("a stream goes on from its cursor when the gateway comes back", async () => {
  const { broker, gateway } = await start();
  await broker.write(...payments);
  const page = await open(gateway);
  await shows(page, ...lines);
  await gateway.drain();
  await says(page, /^RpcError\(UNAVAILABLE\): .*go on from the cursor/m);
  await broker.write({ id: "while away", amount: 1, currency: "EUR", provider: "paypal" });
  await gateway.start();
  await shows(page, ...lines, "while away | €1.00 EUR | PAYPAL");
});

test("a deadline ends a stream as a deadline", async () => {
  const { broker, gateway } = await start();
  await broker.write(...payments);
  const page = await open(gateway, { deadline: "1500" });
  await shows(page, ...lines);
  await says(page, /^RpcError\(DEADLINE_EXCEEDED\): /m);
});

test.each(["text", "binary"])("single answers and errors come in %s", async (format) => {
  const { broker, gateway } = await start();
  await broker.write(...payments);
  const one = await open(gateway, { format, call: "pay_def" });
  await shows(one, lines[1] as string);
  await says(one, /^done\n$/);
  await shows(await open(gateway, { format, call: "list" }), ...[...lines].reverse());
  await says(
    await open(gateway, { format, call: "pay_none" }),
    /^RpcError\(NOT_FOUND\): no payment of this id/,
  );
});

test("a page of another origin is refused by the browser", async () => {
  const { broker, gateway } = await start();
  await broker.write(...payments);
  const page = await open(gateway, { call: "list" }, stranger);
  await says(page, /^RpcError\(UNKNOWN\): .* status code: 0$/m);
  await shows(page);
});
