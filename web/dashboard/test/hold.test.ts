import { produce } from "@paystream/testing";
import { describe, expect } from "vitest";
import { type Dashboard, payments, subscribers, test, until } from "./page.ts";

describe("a paused table", () => {
  test("stays as it is, and goes on with all that has come", async ({ serve, open }) => {
    const { broker, gateway } = await serve();
    const written = await broker.write(...payments("before", 30));
    const dashboard = await open(gateway);
    await dashboard.hasReceived(30);
    const before = await dashboard.ids();
    await dashboard.get("#pause").click();
    expect(await dashboard.get("#connection").textContent()).toBe("Paused");

    written.push(...(await broker.write(...payments("meanwhile", 120))));
    await until(() => dashboard.waiting(), "new payments").toBe(120);
    expect(await dashboard.ids()).toEqual(before);
    expect(await dashboard.shown()).toBe(30);

    await dashboard.get("#pause").click();
    await until(async () => (await dashboard.ids())[0], "the top row").toBe("meanwhile-119");
    expect(await dashboard.waiting()).toBe(0);
    await dashboard.hasExactly(written);
    await dashboard.isLive();
    expect(await dashboard.get("#connection").textContent()).toBe("Live");
  });

  test("leaves with the gateway what is more than the page holds, and gets it afterwards", async ({
    serve,
    open,
  }) => {
    const served = await serve();
    const { broker, gateway } = served;
    const dashboard = await open(gateway);
    await until(() => subscribers(served), "streams").toBe(1);
    await dashboard.get("#pause").click();
    await produce(broker, "--count=8000", "--interval=0");
    await until(() => dashboard.waiting(), "new payments").toBe(5000);
    await until(() => subscribers(served), "streams").toBe(0);
    await dashboard.hasReceived(5000);

    await dashboard.get("#pause").click();
    await dashboard.hasReceived(8000);
    await hasAll(dashboard, 8000);
  });

  test("that is full before the existing payments have come has each of them once", async ({
    serve,
    open,
  }) => {
    const served = await serve({ partitions: 20 });
    const { broker, gateway } = served;
    await produce(broker, "--count=6000", "--interval=0");
    let letGo = () => {};
    const paused = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const dashboard = await open(gateway, {
      prepare: (page) =>
        page.route("**/StreamPayments", async (route) => {
          await paused;
          await route.continue();
        }),
    });
    await dashboard.get("#pause").click();
    letGo();
    await until(() => dashboard.waiting(), "existing payments").toBe(5000);
    await until(() => subscribers(served), "streams").toBe(0);
    await broker.write(...payments("late", 10));
    await dashboard.get("#pause").click();
    await until(() => dashboard.row("late-9").count(), "the last payment's row").toBe(1);
    await hasEachOnce(dashboard);
  });
});

describe("a table away from its top", () => {
  test("holds its position while payments arrive, counts them, and goes to the top at a click", async ({
    serve,
    open,
  }) => {
    const { broker, gateway } = await serve();
    await produce(broker, "--count=1000", "--interval=0");
    const dashboard = await open(gateway);
    await dashboard.hasReceived(1000);
    await dashboard.scrollTo(4000);
    await until(async () => (await dashboard.ids()).length, "rows in the document").toBeGreaterThan(20);
    const inSight = await rowsInSight(dashboard);
    expect(await dashboard.waiting()).toBe(0);

    await broker.write(...payments("new", 7));
    await until(() => dashboard.waiting(), "new payments").toBe(7);
    await produce(broker, "--count=1500", "--interval=0");
    await until(() => dashboard.waiting(), "new payments").toBe(1507);
    expect(await dashboard.get("#new-rows").textContent()).toBe("↑ 1,507 new");
    expect(await dashboard.scrollTop()).toBe(4000);
    expect(await rowsInSight(dashboard)).toEqual(inSight);

    await dashboard.get("#new-rows").click();
    await until(() => dashboard.waiting(), "new payments").toBe(0);
    expect(await dashboard.scrollTop()).toBe(0);
    await broker.write(...payments("newest", 1));
    await until(async () => (await dashboard.ids())[0], "the top row").toBe("newest-0");
  });

  test("counts only what passes the filter", async ({ serve, open }) => {
    const { broker, gateway } = await serve();
    await produce(broker, "--count=1000", "--interval=0");
    const dashboard = await open(gateway, { query: "?provider=stripe" });
    await dashboard.hasReceived(1000);
    await dashboard.scrollTo(1000);
    await until(() => dashboard.scrollTop(), "the position").toBe(1000);
    await broker.write(...payments("no", 5, { provider: "paypal" }), ...payments("yes", 3));
    await until(() => dashboard.waiting(), "new payments").toBe(3);
    await dashboard.hasReceived(1008);
    expect(await dashboard.waiting()).toBe(3);
  });

  test("goes on where it is scrolled to the top again", async ({ serve, open }) => {
    const { broker, gateway } = await serve();
    await produce(broker, "--count=1000", "--interval=0");
    const dashboard = await open(gateway);
    await dashboard.hasReceived(1000);
    await dashboard.scrollTo(2000);
    await broker.write(...payments("new", 2));
    await until(() => dashboard.waiting(), "new payments").toBe(2);
    await dashboard.scrollTo(0);
    await until(async () => (await dashboard.ids()).slice(0, 2), "the top rows").toEqual(["new-1", "new-0"]);
    expect(await dashboard.waiting()).toBe(0);
  });
});

/** Which rows stand where in the table's window. */
function rowsInSight({ page }: Dashboard): Promise<unknown> {
  return page.evaluate(() => {
    const grid = document.querySelector("#payments")?.getBoundingClientRect();
    return [...document.querySelectorAll<HTMLElement>(".rows .row")]
      .map((row) => ({ id: row.dataset.id, top: row.getBoundingClientRect().top }))
      .filter(({ top }) => grid && top > grid.top - 40 && top < grid.bottom)
      .sort((a, b) => a.top - b.top);
  });
}

/** The table has all records of the topic, which are so many, each of them once. */
async function hasAll(dashboard: Dashboard, count: number): Promise<void> {
  const events = await hasEachOnce(dashboard);
  expect(events).toBe(count);
}

async function hasEachOnce(dashboard: Dashboard): Promise<number> {
  const names = (await dashboard.events()).map((e) => `${e.partition}/${e.offset}`);
  expect(new Set(names).size, "distinct records").toBe(names.length);
  return names.length;
}
