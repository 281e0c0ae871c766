import { Broker, Gateway, produce, sleep } from "@paystream/testing";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { type Dashboard, payment, type ShownRow, test, until } from "./page.ts";

let broker: Broker;
let gateway: Gateway;

beforeAll(async () => {
  broker = await Broker.start("--partitions=1");
  gateway = await Gateway.start(broker);
  await produce(broker, "--count=100", "--interval=0");
  await broker.write(payment("pay_on_phone", { amount: "1234.5" }));
});
afterAll(async () => {
  await gateway.stop();
  await broker.stop();
});

describe("on a phone", () => {
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

  test("the document is as wide as the screen, and the payments can be read", async ({ open }) => {
    const dashboard = await open(gateway, phone);
    await dashboard.row("pay_on_phone").waitFor();
    await dashboard.fitsItsWidth();
    expect(await onPhone(dashboard)).toMatchObject({ amount: "$1,234.50 USD", status: "Completed" });
    for (const part of ["amount", "status", "id", "provider", "time"])
      expect(await isWhole(dashboard, `[data-id=pay_on_phone] > .${part}`), part).toBe(true);
  });

  test("a payment opens as a sheet over everything, scrolls, and closes", async ({ open }) => {
    const dashboard = await open(gateway, phone);
    await dashboard.row("pay_on_phone").tap();
    const sheet = dashboard.get("#detail");
    expect(await sheet.boundingBox()).toEqual({ x: 0, y: 0, width: 390, height: 844 });
    await dashboard.fitsItsWidth();
    expect(await isOnTop(dashboard, "#detail .sum")).toBe(true);
    await dashboard.button("Copy JSON").scrollIntoViewIfNeeded();
    expect(await isOnTop(dashboard, "#detail [aria-label='Copy JSON']")).toBe(true);
    await sheet.getByRole("button", { name: "Close" }).tap();
    expect(await sheet.count()).toBe(0);
    expect(await isOnTop(dashboard, "#connection")).toBe(true);
  });

  test("filters, search and export are there", async ({ open }) => {
    const dashboard = await open(gateway, phone);
    await dashboard.button("No status").scrollIntoViewIfNeeded();
    await dashboard.button("Completed").tap();
    await dashboard.get("#search").fill("ON_PHONE");
    await until(() => dashboard.shown(), "rows").toBe(1);
    await until(() => dashboard.get("#lookup").textContent(), "the answer").toContain("no payment with");
    await dashboard.fitsItsWidth();
    expect(await dashboard.events()).toHaveLength(1);
    await dashboard.get("#export").tap();
    await dashboard.fitsItsWidth();
    expect(await isOnTop(dashboard, ".items button")).toBe(true);
  });

  test("turned, it is right again", async ({ open }) => {
    const dashboard = await open(gateway, phone);
    await dashboard.row("pay_on_phone").waitFor();
    await dashboard.page.setViewportSize({ width: 844, height: 390 });
    await dashboard.fitsItsWidth();
    const height = async () => (await dashboard.row("pay_on_phone").boundingBox())?.height;
    await until(height, "a row's height").toBe(40);
    await dashboard.page.setViewportSize({ width: 390, height: 844 });
    await until(height, "a row's height").toBe(66);
    await dashboard.fitsItsWidth();
  });
});

test.for([320, 600, 768, 1024, 1280, 1920])(
  "at %i pixels the document is as wide as the window",
  async (width, { open }) => {
    const dashboard = await open(gateway, { viewport: { width, height: 800 } });
    await dashboard.row("pay_on_phone").click();
    await dashboard.fitsItsWidth();
  },
);

test("follows the viewer's colours, and changes with them", async ({ open }) => {
  const dashboard = await open(gateway, { colorScheme: "dark" });
  await dashboard.row("pay_on_phone").click();
  expect(await brightness(dashboard, "body")).toBeLessThan(40);
  for (const part of [".top", ".card", ".table", ".detail", ".search input"])
    expect(await brightness(dashboard, part), part).toBeLessThan(60);
  const dark = await plot(dashboard);
  await dashboard.page.emulateMedia({ colorScheme: "light" });
  expect(await brightness(dashboard, "body")).toBeGreaterThan(220);
  for (const part of [".top", ".card", ".table", ".detail", ".search input"])
    expect(await brightness(dashboard, part), part).toBeGreaterThan(220);
  // Plots are painted, so they have to be painted anew.
  await until(() => plot(dashboard), "the plot's brightest pixel").not.toBe(dark);
});

test("does not move where the viewer wants less motion", async ({ open }) => {
  const dashboard = await open(gateway, { reducedMotion: "reduce" });
  await dashboard.row("pay_on_phone").waitFor();
  await broker.write(payment("pay_now"));
  await dashboard.isLive();
  const running = () => dashboard.page.evaluate(() => document.getAnimations().length);
  expect(await running()).toBe(0);
  await dashboard.page.emulateMedia({ reducedMotion: "no-preference" });
  await until(running, "animations").toBe(1);
});

test("costs the browser next to nothing while no payment comes", async ({ open }) => {
  const dashboard = await open(gateway);
  await broker.write(payment("pay_live"));
  await dashboard.isLive();
  const devtools = await dashboard.devtools();
  await devtools.send("Performance.enable");
  const styled = async () => {
    const { metrics } = await devtools.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "RecalcStyleCount")?.value ?? 0;
  };
  const before = await styled();
  await sleep(2000);
  // The figures and the plots, twice; an animation that the page has to draw would make it 120.
  expect((await styled()) - before).toBeLessThan(30);
});

describe("numbers", () => {
  test("are written as the viewer's country does", async ({ open }) => {
    const dashboard = await open(gateway, { locale: "de-DE" });
    await dashboard.row("pay_on_phone").waitFor();
    expect((await onPhone(dashboard))?.amount).toBe("1.234,50\u00a0$ USD");
  });

  test("are written even where a browser names a language that it refuses itself", async ({ open }) => {
    // Chromium does so when it is started in the C locale.
    const dashboard = await open(gateway, {
      prepare: (page) =>
        page.addInitScript(() => {
          Object.defineProperty(Navigator.prototype, "language", { get: () => "en-US@posix" });
          Object.defineProperty(Navigator.prototype, "languages", { get: () => ["en-US@posix"] });
        }),
    });
    await dashboard.row("pay_on_phone").waitFor();
    expect((await onPhone(dashboard))?.amount).toBe("$1,234.50 USD");
  });
});

async function onPhone(dashboard: Dashboard): Promise<ShownRow | undefined> {
  return (await dashboard.rows()).find(({ id }) => id === "pay_on_phone");
}

/** Whether an element has room for all of its text. */
function isWhole(dashboard: Dashboard, selector: string): Promise<boolean> {
  return dashboard.get(selector).evaluate((e) => {
    const { width, height } = e.getBoundingClientRect();
    return width > 0 && height > 0 && e.scrollWidth <= e.clientWidth;
  });
}

/** Whether an element is what one sees, and touches, where it is. */
function isOnTop(dashboard: Dashboard, selector: string): Promise<boolean> {
  return dashboard
    .get(selector)
    .first()
    .evaluate((e) => {
      const { left, top, width, height } = e.getBoundingClientRect();
      const there = document.elementFromPoint(left + width / 2, top + height / 2);
      return there !== null && (e.contains(there) || there.contains(e));
    });
}

/** An element's background, from 0 for black to 255 for white. */
function brightness(dashboard: Dashboard, selector: string): Promise<number> {
  return dashboard
    .get(selector)
    .first()
    .evaluate((e) => {
      const [r = 0, g = 0, b = 0] = getComputedStyle(e).backgroundColor.match(/\d+/g)?.map(Number) ?? [];
      return (r + g + b) / 3;
    });
}

/** The brightest red of the first plot's pixels. */
function plot(dashboard: Dashboard): Promise<number> {
  return dashboard.page.evaluate(() => {
    const canvas = document.querySelector("canvas");
    const data = canvas?.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    let brightest = 0;
    for (let i = 0; i < data.length; i += 4)
      if ((data[i + 3] ?? 0) > 200) brightest = Math.max(brightest, data[i] ?? 0);
    return brightest;
  });
}
