import { Broker, Gateway, produce } from "@paystream/testing";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { type Dashboard, payment, test, until } from "./page.ts";

describe("a dashboard with 5,000 payments", () => {
  let broker: Broker;
  let gateway: Gateway;

  beforeAll(async () => {
    broker = await Broker.start();
    await produce(broker, "--count=5000", "--interval=0");
    gateway = await Gateway.start(broker);
  });
  afterAll(async () => {
    await gateway.stop();
    await broker.stop();
  });

  test("has its first row on screen within a second of navigation", async ({ open }) => {
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const dashboard = await open(gateway, { prepare: watchForFirstRow });
      await until(() => firstRow(dashboard.page), "the first row").toBeGreaterThan(0);
      times.push(await firstRow(dashboard.page));
      await dashboard.page.close();
    }
    const median = times.sort((a, b) => a - b)[2];
    console.log(`first row after ${times.map(Math.round).join(", ")} ms`);
    expect(median).toBeLessThan(1000);
  });

  test("takes at most 100 kB to load", async ({ open }) => {
    const sizes = new Map<string, number>();
    const dashboard = await open(gateway, { prepare: (page) => countBytes(page, sizes) });
    await dashboard.hasReceived(5000);
    await until(() => [...sizes.keys()].join(), "the time was asked for").toContain("/healthz");
    const total = [...sizes.values()].reduce((a, b) => a + b, 0);
    console.log(`${total} bytes:`, Object.fromEntries(sizes));
    // The stream, which goes on, is not among them.
    expect([...sizes.keys()]).not.toContain("/payment.PaymentService/StreamPayments");
    expect(total).toBeLessThanOrEqual(100 * 1024);
  });

  test("shows a payment within a second of its acknowledgement", async ({ open }) => {
    const dashboard = await open(gateway);
    await dashboard.hasReceived(5000);
    const times: number[] = [];
    // The best of five: a busy machine may hold up any one of them, by what is not the dashboard's.
    for (let i = 0; i < 5; i++) times.push(await timeToTable(dashboard, broker, `timed-${i}`));
    console.log(`in the table after ${times.map(Math.round).join(", ")} ms`);
    expect(Math.min(...times)).toBeLessThan(1000);
  });
});

/** How long a payment takes from the broker's acknowledgement to its row, by the page's own clock. */
async function timeToTable({ page }: Dashboard, broker: Broker, id: string): Promise<number> {
  const appeared = page.evaluate(
    (wanted) =>
      new Promise<number>((resolve) => {
        const look = () => {
          if (!document.querySelector(`.rows .row[data-id="${wanted}"]`)) return;
          observer.disconnect();
          resolve(Date.now());
        };
        const observer = new MutationObserver(look);
        observer.observe(document.body, { childList: true, subtree: true, attributes: true });
      }),
    id,
  );
  // Both clocks are this machine's.
  const acknowledged = await broker.write(payment(id)).then(() => Date.now());
  return (await appeared) - acknowledged;
}

async function watchForFirstRow(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const observer = new MutationObserver(() => {
      if (!document.querySelector(".rows .row")) return;
      observer.disconnect();
      Object.assign(globalThis, { firstRow: performance.now() });
    });
    observer.observe(document, { childList: true, subtree: true });
  });
}

function firstRow(page: Page): Promise<number> {
  return page.evaluate(() => (globalThis as { firstRow?: number }).firstRow ?? 0);
}

/** Counts what is transferred, headers included, by path. */
async function countBytes(page: Page, sizes: Map<string, number>): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const paths = new Map<string, string>();
  devtools.on("Network.requestWillBeSent", ({ requestId, request }) => {
    paths.set(requestId, new URL(request.url).pathname);
  });
  devtools.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    const path = paths.get(requestId) ?? requestId;
    sizes.set(path, (sizes.get(path) ?? 0) + encodedDataLength);
  });
  await devtools.send("Network.enable");
}
