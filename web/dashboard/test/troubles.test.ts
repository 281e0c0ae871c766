import { type Broker, sleep, type Written } from "@paystream/testing";
import type { Page } from "playwright-core";
import { describe, expect } from "vitest";
import { type Dashboard, payment, payments, subscribers, test, until } from "./page.ts";

describe("a gateway that", () => {
  test("is killed and starts again: nothing is missing and nothing comes twice", async ({ serve, open }) => {
    const { broker, gateway } = await serve({ partitions: 3 });
    const dashboard = await open(gateway, { prepare: watchConnection });
    dashboard.allowFailedRequests();
    const writing = write(broker);
    for (let i = 0; i < 2; i++) {
      await until(() => dashboard.figure("received"), "payments").toBeGreaterThan(100 * i + 20);
      await gateway.kill();
      await isReconnecting(dashboard);
      await gateway.start();
      await dashboard.isLive();
    }
    await until(() => dashboard.get("#reason").count(), "reasons").toBe(0);
    await arrivesWhole(dashboard, await writing.stop());
  });

  test("hangs and wakes up: nothing is missing and nothing comes twice", async ({ serve, open }) => {
    const { broker, gateway } = await serve({ partitions: 3 });
    const dashboard = await open(gateway, { prepare: watchConnection });
    dashboard.allowFailedRequests();
    const writing = write(broker);
    await until(() => dashboard.figure("received"), "payments").toBeGreaterThan(20);
    gateway.freeze();
    // It says nothing and its connection stays open: two heartbeats that do not come are the sign.
    await isReconnecting(dashboard, "no sign of life for");
    gateway.thaw();
    await dashboard.isLive();
    await arrivesWhole(dashboard, await writing.stop());
  });

  test("ends in order and starts again: nothing is missing and nothing comes twice", async ({
    serve,
    open,
  }) => {
    const { broker, gateway } = await serve({ partitions: 3 });
    const dashboard = await open(gateway, { prepare: watchConnection });
    dashboard.allowFailedRequests();
    const writing = write(broker);
    await until(() => dashboard.figure("received"), "payments").toBeGreaterThan(20);
    await gateway.drain();
    await isReconnecting(dashboard);
    await gateway.start();
    await dashboard.isLive();
    await arrivesWhole(dashboard, await writing.stop());
  });

  test("has lost what a page missed: the page shows the gap, and goes on", async ({ serve, open }) => {
    const { broker, gateway } = await serve({ args: ["--retain-payments=100"] });
    const dashboard = await open(gateway, { prepare: watchConnection });
    dashboard.allowFailedRequests();
    const before = await broker.write(...payments("before", 10));
    await dashboard.hasReceived(10);
    await gateway.kill();
    await isReconnecting(dashboard);
    await broker.write(...payments("lost", 300));
    await broker.deleteBefore(0, 210);
    await gateway.start();
    await until(() => dashboard.row("lost-299").count(), "the last payment's row").toBe(1);

    // The mark tells of all that is missing: from the last payment before it to the first after it.
    const offsets = (await dashboard.events()).map((e) => Number(e.offset)).reverse();
    const first = offsets[10] ?? 0;
    expect(first).toBe(210);
    expect(offsets).toEqual([...before.keys(), ...Array.from({ length: 310 - first }, (_, i) => first + i)]);
    await dashboard.scrollTo(1e6);
    const gap = dashboard.get(".row.gap");
    await until(() => gap.allTextContents(), "gap marks").toEqual([
      expect.stringContaining(`Payments are missing here. partition 0, offsets 10 to ${first - 1}: `),
    ]);
    expect(await gap.isVisible()).toBe(true);
    expect(await gap.getAttribute("title")).toContain(`offsets 10 to ${first - 1}: DataLoss: `);

    await dashboard.scrollTo(0);
    await broker.write(payment("after"));
    await until(() => dashboard.row("after").count(), "the next payment's row").toBe(1);
  });
});

describe("a hidden tab", () => {
  test("lets go of the stream after a minute, and gets what came meanwhile when shown", async ({
    serve,
    open,
  }) => {
    const served = await serve({ partitions: 3 });
    const { broker, gateway } = served;
    const written = await broker.write(...payments("before", 20));
    const dashboard = await open(gateway, { prepare: withClock });
    await dashboard.hasReceived(20);
    expect(await subscribers(served)).toBe(1);

    await dashboard.setHidden(true);
    await dashboard.page.clock.runFor(50_000);
    expect(await dashboard.state()).not.toBe("asleep");
    await dashboard.page.clock.runFor(15_000);
    await until(() => dashboard.state(), "the connection's state").toBe("asleep");
    await until(() => subscribers(served), "streams").toBe(0);
    written.push(...(await broker.write(...payments("meanwhile", 200))));

    await dashboard.setHidden(false);
    await arrivesWhole(dashboard, written);
    await until(() => subscribers(served), "streams").toBe(1);
    await dashboard.isLive();
  });

  test("that is shown again soon does not let go of it", async ({ serve, open }) => {
    const { broker, gateway } = await serve();
    const dashboard = await open(gateway, { prepare: withClock });
    await broker.write(payment("before"));
    await dashboard.isLive();
    await dashboard.setHidden(true);
    await dashboard.page.clock.runFor(40_000);
    await dashboard.setHidden(false);
    await dashboard.page.clock.runFor(40_000);
    expect(await dashboard.state()).not.toBe("asleep");
    await broker.write(...payments("after", 5));
    await dashboard.hasReceived(6);
    expect(await dashboard.events()).toHaveLength(6);
  });
});

/** The page's timers can be run ahead; by themselves they run as ever. */
const withClock = (page: Page) => page.clock.install();

/** Notes all that the page says of its connection: some of it stands there for a few milliseconds only. */
async function watchConnection(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const said: string[] = [];
    const note = () => {
      const text = (id: string) => document.getElementById(id)?.textContent ?? "";
      const now = `${text("connection")} | ${text("reason")}`;
      if (now !== said.at(-1)) said.push(now);
    };
    new MutationObserver(note).observe(document, { childList: true, subtree: true, characterData: true });
    Object.assign(globalThis, { takeSaid: () => said.splice(0).join("\n") });
  });
}

/** Since this was last asked, the page has said that it has no connection, why, and when it tries again. */
async function isReconnecting({ page }: Dashboard, reason = ""): Promise<void> {
  let said = "";
  const look = async () => {
    said += `${await page.evaluate(() => (globalThis as never as { takeSaid(): string }).takeSaid())}\n`;
    return said;
  };
  await until(look, "what the page says of its connection").toMatch(
    new RegExp(`^Reconnectingin \\d+ s \\| No connection: .*${reason}.*\\. What comes meanwhile`, "m"),
  );
}

/** Writes payments, one by one, until it is stopped. */
function write(broker: Broker) {
  const written: Written[] = [];
  let stopped = false;
  const writing = (async () => {
    for (let i = 0; !stopped; i++) {
      written.push(...(await broker.write(payment(`w-${i}`))));
      await sleep(5);
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await writing;
      return written;
    },
  };
}

/** All these payments are there, each once, and no other. */
async function arrivesWhole(dashboard: Dashboard, written: Written[]): Promise<void> {
  await dashboard.hasReceived(written.length);
  await dashboard.hasExactly(written);
}
