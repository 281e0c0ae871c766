import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Broker, Gateway, produce } from "@paystream/testing";
import type axe from "axe-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { type Dashboard, payment, payments, test, until } from "./page.ts";

/** DevTools runs it in the page, to which the page's policy does not apply: there is no need to lift it. */
const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let broker: Broker;
let gateway: Gateway;

beforeAll(async () => {
  broker = await Broker.start("--partitions=1");
  gateway = await Gateway.start(broker);
  await produce(broker, "--count=200", "--interval=0");
  const odd = { provider: "acme", status: "odd", metadata: { order: "42" } };
  await broker.write(payment("odd", odd), payment("one", { status: "pending" }), payment("one"));
});
afterAll(async () => {
  await gateway.stop();
  await broker.stop();
});

describe("axe finds nothing wrong with", () => {
  const views: Record<string, (dashboard: Dashboard) => Promise<unknown>> = {
    "the overview": async () => {},
    "a payment's detail and history": async (dashboard) => {
      await broker.write(payment("two", { status: "pending" }), payment("two", { metadata: { a: "b" } }));
      await dashboard.row("two").click();
      await dashboard.get(".history li").nth(1).waitFor();
    },
    "a payment's endless texts": async (dashboard) => {
      const text = "W".repeat(2000);
      await broker.write(payment("wide", { customer_email: text, metadata: { [text]: text } }));
      await dashboard.row("wide").click();
      await dashboard.get("#detail").waitFor();
    },
    "a search with a result": async (dashboard) => {
      // It is not in the table, whose rows say more than an answer does.
      await dashboard.button("Failed").click();
      await dashboard.get("#search").fill("one");
      await dashboard.button("Show it").waitFor();
    },
    "a search without": async (dashboard) => {
      await dashboard.get("#search").fill("none");
      await until(() => dashboard.get("#lookup").textContent(), "the answer").toContain("no payment");
    },
    "filters and the export's menu": async (dashboard) => {
      for (const name of ["Stripe", "Completed", "No status"]) await dashboard.button(name).click();
      await dashboard.get("#export").click();
      await dashboard.get(".items").waitFor();
    },
    "the dialog on subscribing": async (dashboard) => {
      await dashboard.button("Subscribe").click();
      await dashboard.get("#connect[open]").waitFor();
    },
    "the dialog of keys": async (dashboard) => {
      await dashboard.button("Keys").click();
      await dashboard.get("#keys[open]").waitFor();
    },
    "a paused table with new payments": async (dashboard) => {
      await dashboard.get("#payments").press("ArrowDown");
      await dashboard.get("#pause").click();
      await broker.write(...payments("new", 3));
      await until(() => dashboard.waiting(), "new payments").toBe(3);
    },
  };

  test.for(Object.entries(views))("%s", async ([, show], { open }) => {
    const dashboard = await open(gateway);
    await dashboard.row("odd").waitFor();
    await show(dashboard);
    await isAccessible(dashboard);
  });

  test("a phone, and a payment on it", async ({ open }) => {
    const dashboard = await open(gateway, { viewport: { width: 390, height: 844 }, hasTouch: true });
    await dashboard.row("odd").waitFor();
    await isAccessible(dashboard);
    await dashboard.row("odd").tap();
    await dashboard.get("#detail").waitFor();
    await isAccessible(dashboard);
  });

  test("a lost connection, and a gap", async ({ serve, open }) => {
    const served = await serve({ args: ["--retain-payments=100"] });
    const dashboard = await open(served.gateway);
    dashboard.allowFailedRequests();
    await served.broker.write(...payments("before", 3));
    await dashboard.hasReceived(3);
    await served.gateway.kill();
    await dashboard.get("#reason").waitFor();
    await isAccessible(dashboard);

    await served.broker.write(...payments("lost", 300));
    await served.broker.deleteBefore(0, 210);
    await served.gateway.start();
    await dashboard.row("lost-299").waitFor();
    await dashboard.scrollTo(1e6);
    await dashboard.get(".row.gap").waitFor();
    await isAccessible(dashboard);
  });

  test("no payment at all", async ({ serve, open }) => {
    const { gateway: empty } = await serve();
    const dashboard = await open(empty);
    expect(await dashboard.get(".empty").textContent()).toBe("Waiting for the first payment.");
    await isAccessible(dashboard);
  });
});

/** axe-core finds nothing, in the light and in the dark. */
async function isAccessible({ page }: Dashboard): Promise<void> {
  await page.evaluate(source);
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    const found = await page.evaluate(async () => {
      const { violations } = await (globalThis as never as { axe: typeof axe }).axe.run();
      return violations.map(({ id, nodes }) => ({ id, nodes: nodes.map((n) => [n.html, n.failureSummary]) }));
    });
    expect(found, `what axe finds in the ${colorScheme}`).toEqual([]);
  }
}
