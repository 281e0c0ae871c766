import { Broker, Gateway, produce } from "@paystream/testing";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { type Dashboard, payments, test, until } from "./page.ts";

let broker: Broker;
let gateway: Gateway;

beforeAll(async () => {
  broker = await Broker.start("--partitions=1");
  gateway = await Gateway.start(broker);
  await produce(broker, "--count=200", "--interval=0");
});
afterAll(async () => {
  await gateway.stop();
  await broker.stop();
});

describe("keys that work everywhere", () => {
  test("/ goes to the search; Escape clears it, and then leaves it", async ({ open }) => {
    const dashboard = await open(gateway);
    const { keyboard } = dashboard.page;
    await keyboard.press("/");
    await keyboard.type("p?/x");
    expect(await dashboard.get("#search").inputValue()).toBe("p?/x");
    expect(await dashboard.get("#pause").getAttribute("aria-pressed")).toBe("false");
    expect(await dashboard.get("dialog[open]").count()).toBe(0);
    await keyboard.press("Escape");
    expect(await dashboard.get("#search").inputValue()).toBe("");
    expect(await focused(dashboard)).toBe("search");
    await keyboard.press("Escape");
    expect(await focused(dashboard)).toBe("");
  });

  test("p pauses and goes on", async ({ open }) => {
    const dashboard = await open(gateway);
    const pressed = () => dashboard.get("#pause").getAttribute("aria-pressed");
    await dashboard.page.keyboard.press("p");
    expect(await pressed()).toBe("true");
    await dashboard.page.keyboard.press("Control+p");
    expect(await pressed()).toBe("true");
    await dashboard.page.keyboard.press("p");
    expect(await pressed()).toBe("false");
  });

  test("? says which there are; nothing but Escape works over it", async ({ open }) => {
    const dashboard = await open(gateway);
    const { keyboard } = dashboard.page;
    await dashboard.get("#pause").focus();
    await keyboard.press("?");
    await until(() => dashboard.get("#keys").isVisible(), "the dialog").toBe(true);
    await keyboard.press("p");
    await keyboard.press("/");
    expect(await dashboard.get("#pause").getAttribute("aria-pressed")).toBe("false");
    await keyboard.press("Escape");
    await until(() => dashboard.get("dialog[open]").count(), "dialogs").toBe(0);
    expect(await focused(dashboard)).toBe("pause");
    await dashboard.button("Keys").press("Enter");
    await until(() => dashboard.get("dialog[open]").count(), "dialogs").toBe(1);
  });

  test("? and Escape do what they say, however quickly they follow one another", async ({ open }) => {
    const dashboard = await open(gateway);
    const { keyboard } = dashboard.page;
    for (let i = 0; i < 10; i++) {
      await keyboard.press("?");
      await until(() => dashboard.get("#keys").isVisible(), "the dialog").toBe(true);
      // Both before the page is drawn again, and before the browser tells that the dialog is closed.
      await Promise.all([keyboard.press("Escape"), keyboard.press("?")]);
      await until(() => dashboard.get("#keys").isVisible(), "the dialog").toBe(true);
      await keyboard.press("Escape");
      await until(() => dashboard.get("#keys").isVisible(), "the dialog").toBe(false);
    }
  });
});

describe("keys in the table", () => {
  test("walk through the payments, show one and follow, and close it", async ({ open }) => {
    const dashboard = await loaded(open);
    const { keyboard } = dashboard.page;
    await dashboard.get("#payments").focus();
    const ids = await dashboard.ids();
    await keyboard.press("ArrowDown");
    expect(await activeId(dashboard)).toBe(ids[0]);
    await keyboard.press("ArrowDown");
    await keyboard.press("ArrowDown");
    await keyboard.press("ArrowUp");
    expect(await activeId(dashboard)).toBe(ids[1]);
    expect(await dashboard.get("#detail").count()).toBe(0);

    await keyboard.press("Enter");
    await shows(dashboard, ids[1]);
    await keyboard.press("ArrowDown");
    await shows(dashboard, ids[2]);
    expect(await dashboard.get(".row.selected").getAttribute("data-id")).toBe(ids[2]);
    await keyboard.press("Escape");
    expect(await dashboard.get("#detail").count()).toBe(0);
    expect(await focused(dashboard)).toBe("payments");
  });

  test("take what they go to into sight", async ({ open }) => {
    const dashboard = await loaded(open);
    const { keyboard } = dashboard.page;
    await dashboard.get("#payments").focus();
    for (let i = 0; i < 4; i++) await keyboard.press("PageDown");
    await until(() => isActiveInSight(dashboard), "the active row is in sight").toBe(true);
    expect(await dashboard.scrollTop()).toBeGreaterThan(500);
    for (let i = 0; i < 4; i++) await keyboard.press("PageUp");
    await until(() => isActiveInSight(dashboard), "the active row is in sight").toBe(true);
    expect(await dashboard.scrollTop()).toBe(0);

    await keyboard.press("End");
    await until(() => dashboard.scrollTop(), "the position").toBeGreaterThan(1000);
    const bottom = await dashboard.scrollTop();
    await keyboard.press("Home");
    await until(() => dashboard.scrollTop(), "the position").toBe(0);
    // Whoever has scrolled begins with what is in sight.
    await dashboard.scrollTo(bottom);
    await until(() => dashboard.get(".rows .row").first().getAttribute("aria-rowindex"), "rows").not.toBe(
      "2",
    );
    await keyboard.press("ArrowDown");
    await until(() => isActiveInSight(dashboard), "the active row is in sight").toBe(true);
    expect(await dashboard.scrollTop()).toBeGreaterThan(bottom - 100);
  });

  test.for(["Home", "a click on what is new"])(
    "hold the table while one walks; %s lets it go on",
    async (key, { open }) => {
      const dashboard = await loaded(open);
      await dashboard.get("#payments").focus();
      await dashboard.page.keyboard.press("ArrowDown");
      const before = await dashboard.ids();
      await broker.write(...payments("new", 3));
      await until(() => dashboard.waiting(), "new payments").toBe(3);
      expect(await dashboard.ids()).toEqual(before);
      if (key === "Home") await dashboard.page.keyboard.press("Home");
      else await dashboard.get("#new-rows").click();
      await until(() => dashboard.waiting(), "new payments").toBe(0);
      await until(async () => (await dashboard.ids())[0], "the top row").toBe("new-2");
      await broker.write(...payments("newer", 1));
      await until(async () => (await dashboard.ids())[0], "the top row").toBe("newer-0");
    },
  );
});

describe("the tab key", () => {
  test("reaches everything that can be used, and shows where it is", async ({ open }) => {
    const dashboard = await loaded(open, "?provider=stripe");
    const stops = await tabThrough(dashboard);
    expect(stops.map((s) => s.name)).toEqual([
      "Subscribe",
      "Keys",
      "5 min",
      "Search by payment id/",
      ...["Stripe", "Razorpay", "PayPal", "Unknown"],
      ...["Pending", "Completed", "Failed", "Refunded", "No status"],
      ...["Clear", "⤓ Export", "❚❚ Pause"],
      "Payments, the newest first",
    ]);
    expect(stops.filter((s) => !s.visible).map((s) => s.name)).toEqual([]);
  });

  test("reaches the panel of a payment too", async ({ open }) => {
    const dashboard = await loaded(open);
    await dashboard.get("#payments").focus();
    await dashboard.page.keyboard.press("ArrowDown");
    await dashboard.page.keyboard.press("Enter");
    const stops = await tabThrough(dashboard);
    const names = stops.map((s) => s.name);
    expect(names.slice(names.indexOf("Payments, the newest first") + 1)).toEqual([
      ...["Close", "Copy Payment", "Copy E-mail", "Copy Cursor", "Copy JSON"],
      expect.stringMatching(/^\{\s*"payment"/),
    ]);
    expect(stops.filter((s) => !s.visible).map((s) => s.name)).toEqual([]);

    await dashboard.get("#detail").getByRole("button", { name: "Close" }).press("Enter");
    expect(await focused(dashboard)).toBe("payments");
  });

  test("goes through the export's menu, which Escape closes and nothing else", async ({ open }) => {
    const dashboard = await loaded(open);
    const { keyboard } = dashboard.page;
    await dashboard.get(".rows .row").first().click();
    await dashboard.get("#export").press("Enter");
    await keyboard.press("Tab");
    expect(await dashboard.page.evaluate(() => document.activeElement?.textContent)).toMatch(/^CSV/);
    await keyboard.press("Tab");
    expect(await dashboard.page.evaluate(() => document.activeElement?.textContent)).toMatch(/^NDJSON/);
    await keyboard.press("Escape");
    expect(await dashboard.get(".items").count()).toBe(0);
    expect(await dashboard.get("#detail").count()).toBe(1);
    expect(await focused(dashboard)).toBe("export");
    await dashboard.get("#export").press("Enter");
    await keyboard.press("Shift+Tab");
    await until(() => dashboard.get(".items").count(), "open menus").toBe(0);
  });
});

async function loaded(
  open: (g: Gateway, o: { query: string }) => Promise<Dashboard>,
  query = "",
): Promise<Dashboard> {
  const dashboard = await open(gateway, { query });
  const list = await fetch(`${gateway.url}/payments?limit=1`);
  await dashboard.hasReceived(((await list.json()) as { totalCount: number }).totalCount);
  return dashboard;
}

function focused({ page }: Dashboard): Promise<string> {
  return page.evaluate(() => document.activeElement?.id ?? "");
}

/** The id of the payment that the keyboard stands on, as a screen reader finds it. */
function activeId({ page }: Dashboard): Promise<string | undefined> {
  return page.evaluate(() => {
    const id = document.activeElement?.getAttribute("aria-activedescendant") ?? "";
    const row = document.getElementById(id);
    return row?.classList.contains("active") ? row.dataset.id : undefined;
  });
}

function isActiveInSight({ page }: Dashboard): Promise<boolean> {
  return page.evaluate(() => {
    const row = document.querySelector(".row.active")?.getBoundingClientRect();
    const grid = document.querySelector("#payments")?.getBoundingClientRect();
    const head = document.querySelector(".row.head")?.getBoundingClientRect();
    return Boolean(row && grid && head && row.top >= head.bottom - 1 && row.bottom <= grid.bottom + 1);
  });
}

async function shows(dashboard: Dashboard, id: string | undefined): Promise<void> {
  const shown = () => dashboard.get("#detail dd > span").first().textContent();
  await until(shown, "the payment in the panel").toBe(id);
}

interface Stop {
  name: string;
  /** Whether it is to be seen that the focus is there. */
  visible: boolean;
}

/** Presses Tab from the beginning of the document to its end. */
async function tabThrough({ page }: Dashboard): Promise<Stop[]> {
  await page.evaluate(() => {
    (document.activeElement as HTMLElement).blur();
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
  });
  const stops: Stop[] = [];
  while (stops.length < 60) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const element = document.activeElement as HTMLInputElement | null;
      if (!element || element === document.body) return null;
      const label = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent;
      // A radio's mark is beside it.
      const shown = element.type === "radio" ? element.nextElementSibling : element;
      const { outlineStyle, outlineWidth } = getComputedStyle(shown ?? element);
      const { width, height } = (shown ?? element).getBoundingClientRect();
      const outlined = outlineStyle !== "none" && Number.parseFloat(outlineWidth) > 0;
      return { name: label ?? element.textContent ?? "", visible: outlined && width > 0 && height > 0 };
    });
    if (!stop) return stops;
    stops.push(stop);
  }
  throw new Error(`the focus does not come to an end: ${JSON.stringify(stops)}`);
}
