import { Broker, Gateway, produce } from "@paystream/testing";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { type Dashboard, payment, test, until } from "./page.ts";

let broker: Broker;
let gateway: Gateway;

beforeAll(async () => {
  broker = await Broker.start();
  gateway = await Gateway.start(broker);
});
afterAll(async () => {
  await gateway.stop();
  await broker.stop();
});

describe("filters", () => {
  beforeAll(async () => {
    for (const provider of ["stripe", "razorpay", "paypal", "acme"])
      for (const status of ["pending", "paid", "failed", "refunded", "odd"])
        await broker.write(payment(`${provider}-${status}`, { provider, status }));
  });

  test("show the payments of some providers", async ({ open }) => {
    const dashboard = await open(gateway);
    await until(() => dashboard.shown(), "all").toBeGreaterThanOrEqual(20);
    await dashboard.button("Stripe").click();
    await shows(dashboard, "stripe-pending", "stripe-paid", "stripe-failed", "stripe-refunded", "stripe-odd");
    await dashboard.button("PayPal").click();
    await until(() => dashboard.shown(), "two providers'").toBe(10);
    await dashboard.button("Stripe").click();
    await shows(dashboard, "paypal-pending", "paypal-paid", "paypal-failed", "paypal-refunded", "paypal-odd");
    expect(await pressed(dashboard)).toEqual(["PayPal"]);
  });

  test("show the payments of some statuses", async ({ open }) => {
    const dashboard = await open(gateway);
    await dashboard.button("Failed").click();
    await shows(dashboard, "stripe-failed", "razorpay-failed", "paypal-failed", "acme-failed");
    await dashboard.button("No status").click();
    await until(() => dashboard.shown(), "two statuses'").toBe(8);
    await dashboard.button("Failed").click();
    await shows(dashboard, "stripe-odd", "razorpay-odd", "paypal-odd", "acme-odd");
  });

  test("narrow one another down, are cleared together, and hold for what arrives", async ({ open }) => {
    const dashboard = await open(gateway);
    for (const name of ["Razorpay", "Unknown", "Completed", "Refunded"]) await dashboard.button(name).click();
    await shows(dashboard, "razorpay-paid", "razorpay-refunded", "acme-paid", "acme-refunded");
    await dashboard.get("#search").fill("ACME");
    await shows(dashboard, "acme-paid", "acme-refunded");

    await broker.write(payment("acme-2", { provider: "acme", status: "failed" }));
    await broker.write(payment("acme-3", { provider: "acme", status: "paid" }));
    await shows(dashboard, "acme-paid", "acme-refunded", "acme-3");

    await dashboard.button("Clear").click();
    await until(() => dashboard.shown(), "all again").toBe(22);
    expect(await pressed(dashboard)).toEqual([]);
    await dashboard.button("Stripe").click();
    await dashboard.get("#search").fill("nothing like it");
    await until(() => dashboard.get(".empty").textContent(), "no row").toBe(
      "No payment that has come matches.",
    );
  });

  test("that say all are none", async ({ open }) => {
    const dashboard = await open(gateway);
    for (const name of ["Stripe", "Razorpay", "PayPal"]) await dashboard.button(name).click();
    expect(await pressed(dashboard)).toEqual(["Stripe", "Razorpay", "PayPal"]);
    await dashboard.button("Unknown").click();
    await until(() => pressed(dashboard), "no filter").toEqual([]);
  });
});

describe("the link", () => {
  test("brings filters, search and span", async ({ open }) => {
    const query = "?provider=stripe,paypal&status=failed,refunded&id=-F&window=15";
    const dashboard = await open(gateway, { query });
    await shows(dashboard, "stripe-failed", "paypal-failed");
    expect(await pressed(dashboard)).toEqual(["Stripe", "PayPal", "Failed", "Refunded"]);
    expect(await dashboard.get("#search").inputValue()).toBe("-F");
    expect(await dashboard.page.getByRole("radio", { name: "15 min" }).isChecked()).toBe(true);
    expect(new URL(dashboard.page.url()).search).toBe(query);
  });

  test("follows them, and brings back what it says", async ({ open }) => {
    const dashboard = await open(gateway);
    const search = () => new URL(dashboard.page.url()).search;
    expect(search()).toBe("");
    await dashboard.button("Razorpay").click();
    await dashboard.button("Pending").click();
    await dashboard.page.getByText("1 h", { exact: true }).click();
    await dashboard.get("#search").fill("pay&id=ü #1");
    await until(search, "the link").toBe(
      "?provider=razorpay&status=pending&id=pay%26id%3D%C3%BC%20%231&window=60",
    );

    const other = await open(gateway, { query: search() });
    expect(await other.get("#search").inputValue()).toBe("pay&id=ü #1");
    expect(await pressed(other)).toEqual(["Razorpay", "Pending"]);
    expect(await other.page.getByRole("radio", { name: "1 h" }).isChecked()).toBe(true);
    await other.button("Clear").click();
    await other.page.getByText("5 min", { exact: true }).click();
    await until(() => new URL(other.page.url()).search, "the link").toBe("");
  });

  test.for([
    ["that makes no sense", "?provider=acme,,&status=%F0&window=7&id="],
    ["with an id that is cut within a character", `?id=${"a".repeat(199)}%F0%9F%92%B8`],
    ["with what an object has anyway", "?provider=constructor&status=__proto__&window=__proto__"],
  ])("%s breaks nothing", async ([, query], { open }) => {
    const dashboard = await open(gateway, { query: query ?? "" });
    await until(() => dashboard.figure("received"), "payments").toBeGreaterThanOrEqual(20);
    expect(await pressed(dashboard)).toEqual([]);
    await dashboard.get("#search").fill("");
    await until(() => dashboard.shown(), "all").toBe(await dashboard.figure("received"));
  });
});

describe("the search", () => {
  beforeAll(async () => {
    await broker.write(payment("early-bird", { amount: "77.77", status: "refunded" }));
    await produce(broker, "--count=5100", "--interval=0");
    await broker.write(payment("late-bird"));
  });

  test("finds a payment by a part of its id, in any case", async ({ open }) => {
    const dashboard = await open(gateway);
    await dashboard.get("#search").fill("TE-bi");
    await shows(dashboard, "late-bird");
    await lookup(dashboard, "The gateway retains no payment with exactly this id.");
  });

  test("finds one that only the gateway has", async ({ open }) => {
    const dashboard = await open(gateway);
    await dashboard.hasReceived(5000);
    await dashboard.get("#search").fill(" early-bird ");
    await lookup(dashboard, /^Not on this page, but at the gateway: \$77.77 USD, Refunded/);
    await until(() => dashboard.shown(), "rows").toBe(0);
    await dashboard.button("Show it").click();
    const detail = dashboard.get("#detail");
    expect(await detail.locator(".sum").textContent()).toBe("$77.77 USD");
    expect(await detail.textContent()).toContain("Raw payment");
    expect(await detail.textContent()).toContain('"id": "early-bird"');
    expect(await detail.getByText("Cursor", { exact: true }).count()).toBe(0);
  });

  test("says that there is none, and goes away with its text", async ({ open }) => {
    const dashboard = await open(gateway);
    await dashboard.get("#search").fill("dodo");
    await lookup(dashboard, "The gateway retains no payment with exactly this id.");
    await until(() => dashboard.get(".empty").textContent(), "no row").toBe(
      "No payment that has come matches.",
    );
    await dashboard.get("#search").fill("");
    await until(() => dashboard.get("#lookup").count(), "answers").toBe(0);
    await until(() => dashboard.shown(), "all").toBe(5000);
  });

  test("says that the gateway can't be asked", async ({ open }) => {
    const mortal = await Gateway.start(broker);
    const dashboard = await open(mortal);
    await dashboard.hasReceived(5000);
    dashboard.allowFailedRequests();
    await mortal.kill();
    await dashboard.get("#search").fill("late-bird");
    await shows(dashboard, "late-bird");
    await lookup(dashboard, /^The gateway can't be asked: /);
  });
});

function lookup(dashboard: Dashboard, answer: string | RegExp) {
  return until(() => dashboard.get("#lookup").textContent(), "the gateway's answer").toMatch(answer);
}

/** The table has these payments, in any order, and no others. */
async function shows(dashboard: Dashboard, ...ids: string[]): Promise<void> {
  await until(async () => (await dashboard.ids()).sort(), "the rows' ids").toEqual(ids.sort());
  await until(() => dashboard.shown(), "rows").toBe(ids.length);
}

function pressed(dashboard: Dashboard): Promise<string[]> {
  return dashboard.get(".chip[aria-pressed=true]").allTextContents();
}
