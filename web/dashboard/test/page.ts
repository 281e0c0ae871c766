import { readFileSync } from "node:fs";
import { Broker, freePort, Gateway, launch, type RawPayment, type Written } from "@paystream/testing";
import type { Browser, BrowserContextOptions, CDPSession, Locator, Page } from "playwright-core";
import { test as base, expect } from "vitest";

/** One line of an exported NDJSON file, as far as the tests look at it. */
export interface ExportedEvent {
  payment: { id: string; status: string };
  eventType: string;
  partition: number;
  offset: string;
}

/** What a row of the table shows, as text; a gap mark has but the first. */
export interface ShownRow {
  text: string;
  id: string;
  time: string;
  provider: string;
  amount: string;
  status: string;
  email: string;
  offset: string;
}

export interface OpenOptions extends BrowserContextOptions {
  /** The page's query, with its question mark. */
  query?: string;
  /** Readies the page before it is loaded. */
  prepare?: (page: Page) => Promise<unknown>;
}

/** Opens the dashboard of a gateway in a browser context of its own. */
export type Open = (gateway: Pick<Gateway, "url">, options?: OpenOptions) => Promise<Dashboard>;

/** A gateway of a test's own, and the topic that it reads. */
export interface Served {
  broker: Broker;
  gateway: Gateway;
  /** Where its metrics are. */
  admin: string;
}

/** Starts them. The order in which payments arrive is that of the writing as long as there is one partition. */
export type Serve = (options?: { partitions?: number; args?: string[] }) => Promise<Served>;

/**
 * A test with dashboards. At its end each of them is closed, and the test fails if one has logged an
 * error or a warning, has thrown, was stopped by its policy, or has asked another origin for anything.
 */
export const test = base.extend<{ browser: Browser; serve: Serve; open: Open }>({
  browser: [
    // biome-ignore lint/correctness/noEmptyPattern: it is how fixtures are declared
    async ({}, use) => {
      const browser = await launch();
      await use(browser);
      await browser.close();
    },
    { scope: "file" },
  ],
  // biome-ignore lint/correctness/noEmptyPattern: it is how fixtures are declared
  serve: async ({}, use) => {
    const served: Served[] = [];
    await use(async ({ partitions = 1, args = [] } = {}) => {
      const admin = `127.0.0.1:${await freePort()}`;
      const broker = await Broker.start(`--partitions=${partitions}`);
      const gateway = await Gateway.start(broker, `--admin-addr=${admin}`, ...args);
      served.push({ broker, gateway, admin });
      return { broker, gateway, admin };
    });
    for (const { broker, gateway } of served) {
      await gateway.stop();
      await broker.stop();
    }
  },
  // It is after serve that dashboards are opened, and so they are closed before their gateways end.
  open: async ({ browser, serve: _ }, use) => {
    const opened: Dashboard[] = [];
    await use(async (gateway, { query = "", prepare, ...options } = {}) => {
      const context = await browser.newContext({
        locale: "en-US",
        timezoneId: "UTC",
        viewport: { width: 1440, height: 900 },
        ...options,
      });
      const dashboard = new Dashboard(await context.newPage(), gateway.url);
      opened.push(dashboard);
      await dashboard.load(query, prepare);
      return dashboard;
    });
    const problems: string[] = [];
    for (const dashboard of opened) problems.push(...(await dashboard.close()));
    expect(problems, "what the dashboards should not have done").toEqual([]);
  },
});

/** A page that is watched, and how to read what it shows. */
export class Dashboard {
  private readonly problems: string[] = [];
  private failuresAllowed = false;

  constructor(
    readonly page: Page,
    private readonly origin: string,
  ) {
    page.on("request", (request) => {
      const url = request.url().replace(/^blob:/, "");
      if (!url.startsWith(`${origin}/`)) this.problems.push(`a request leaves the origin: ${url}`);
    });
    page.on("pageerror", (error) => this.problems.push(`thrown: ${error.stack ?? error}`));
    page.on("crash", () => this.problems.push("the page has crashed"));
    page.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      const { url } = message.location();
      const failed = /^Failed to load resource: net::ERR_/.test(message.text());
      if (this.failuresAllowed && failed && url.startsWith(`${origin}/`)) return;
      this.problems.push(`console ${message.type()}: ${message.text()} (${url})`);
    });
  }

  async load(query: string, prepare: OpenOptions["prepare"]): Promise<void> {
    await prepare?.(this.page);
    await this.page.goto(`${this.origin}/${query}`);
    await this.page.locator("#payments").waitFor();
  }

  /** Ends the page and returns what it should not have done. */
  async close(): Promise<string[]> {
    await this.page.context().close();
    return this.problems;
  }

  /** For a gateway that goes away: requests to it may fail, and the browser may log that they do. */
  allowFailedRequests(): void {
    this.failuresAllowed = true;
  }

  get(selector: string): Locator {
    return this.page.locator(selector);
  }

  /** The button, chip or field of that name. */
  button(name: string): Locator {
    return this.page.getByRole("button", { name, exact: true });
  }

  /** The row of the payment of that id; of its newest state, if it has several. */
  row(id: string): Locator {
    return this.page.locator(`.rows .row[data-id="${id}"]`).first();
  }

  /** The rows in the document, from the top down. */
  rows(): Promise<ShownRow[]> {
    return this.page.evaluate(() =>
      [...document.querySelectorAll<HTMLElement>(".rows .row")]
        .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
        .map((row) => {
          const cell = (name: string) => row.querySelector(`:scope > .${name}`)?.textContent ?? "";
          return {
            text: row.textContent ?? "",
            id: cell("id"),
            time: cell("time"),
            provider: cell("provider"),
            amount: cell("amount"),
            status: cell("status"),
            email: cell("email"),
            offset: cell("offset"),
          };
        }),
    );
  }

  async ids(): Promise<string[]> {
    return (await this.rows()).map((row) => row.id);
  }

  /** A figure's number: "received", "failed", ... */
  async figure(id: string): Promise<number> {
    return numberIn(await this.page.locator(`#${id}`).textContent());
  }

  /** How many rows the table has, those out of sight included. */
  async shown(): Promise<number> {
    return numberIn(await this.page.locator("#shown").textContent());
  }

  /** How many the button over a held table says are new; 0 where there is none. */
  async waiting(): Promise<number> {
    return numberIn((await this.page.locator("#new-rows").allTextContents()).join());
  }

  /** What the connection is doing: "live", "retrying", ... */
  state(): Promise<string | null> {
    return this.page.locator("#connection").getAttribute("data-state");
  }

  async isLive(): Promise<void> {
    await until(() => this.state(), "the connection's state").toBe("live");
  }

  /** Waits until that many payments have come, and not one more. */
  async hasReceived(count: number): Promise<void> {
    await until(() => this.figure("received"), "payments received").toBe(count);
  }

  scrollTop(): Promise<number> {
    return this.page.locator("#payments").evaluate((grid) => grid.scrollTop);
  }

  scrollTo(top: number): Promise<void> {
    return this.page.locator("#payments").evaluate((grid, y) => grid.scrollTo({ top: y }), top);
  }

  /** Exports what the table shows, and returns the file's name and content. */
  async export(kind: "CSV" | "NDJSON"): Promise<{ name: string; text: string }> {
    await this.page.locator("#export").click();
    const [download] = await Promise.all([
      this.page.waitForEvent("download"),
      this.page.locator(".items button", { hasText: new RegExp(`^${kind}`) }).click(),
    ]);
    return { name: download.suggestedFilename(), text: readFileSync(await download.path(), "utf8") };
  }

  /** The events behind all rows, the newest first. */
  async events(): Promise<ExportedEvent[]> {
    const { text } = await this.export("NDJSON");
    return text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as ExportedEvent);
  }

  /** Checks that what the table has are these records, each of them once. */
  async hasExactly(written: Iterable<Written>): Promise<void> {
    const name = (r: { partition: number; offset: string | bigint }) => `${r.partition}/${r.offset}`;
    expect((await this.events()).map(name).sort()).toEqual(Array.from(written, name).sort());
  }

  /** Checks that the document is no wider than the window. */
  async fitsItsWidth(): Promise<void> {
    const [content, window] = await this.page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      return [scrollWidth, clientWidth];
    });
    expect(content, "the document's width").toBeLessThanOrEqual(window ?? 0);
  }

  /** Tells the page that it is out of sight, or in sight again. A headless browser shows all its pages. */
  setHidden(hidden: boolean): Promise<void> {
    return this.page.evaluate(
      (state) => {
        Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      },
      hidden ? "hidden" : "visible",
    );
  }

  /** The browser's own protocol, for what a page can't measure. */
  devtools(): Promise<CDPSession> {
    return this.page.context().newCDPSession(this.page);
  }
}

/** Polls until what is read is what a matcher wants. */
export function until<T>(read: () => T | Promise<T>, what: string) {
  return expect.poll(read, { timeout: 30_000, interval: 50, message: what });
}

/** A payment as a provider writes it. */
export function payment(id: string, fields: RawPayment = {}): RawPayment {
  return {
    id,
    provider: "stripe",
    amount: "12.50",
    currency: "USD",
    status: "succeeded",
    customer_email: "ada@example.com",
    ...fields,
  };
}

/** Payments with ids of one prefix: "a-0", "a-1", ... */
export function payments(prefix: string, count: number, fields: RawPayment = {}): RawPayment[] {
  return Array.from({ length: count }, (_, i) => payment(`${prefix}-${i}`, fields));
}

/** How many streams a gateway serves. */
export async function subscribers({ admin }: Served): Promise<number> {
  const text = await (await fetch(`http://${admin}/metrics`)).text();
  return Number(/^paystream_subscribers (\d+)$/m.exec(text)?.[1]);
}

function numberIn(text: string | null): number {
  return Number((text ?? "").replace(/\D/g, ""));
}
