import { Broker, Gateway, produce, type Written } from "@paystream/testing";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { type Dashboard, payment, test, until } from "./page.ts";

let broker: Broker;
let gateway: Gateway;
let written: Written[];

beforeAll(async () => {
  broker = await Broker.start("--partitions=1");
  gateway = await Gateway.start(broker);
  written = await broker.write(
    payment("plain", { metadata: { order: "42", note: "two\nlines", nested: { a: [1] }, nothing: null } }),
    payment("bare", { provider: "acme", status: "odd", customer_email: "", currency: "JPY", amount: "500" }),
    payment('=cmd|"quoted", and\nmore', {
      provider: "paypal",
      status: "refunded",
      customer_email: "@SUM(A1)",
      amount: "1.5",
      currency: "KWD",
      timestamp: 1_700_000_000,
      metadata: { b: "2", a: '"' },
    }),
  );
});
afterAll(async () => {
  await gateway.stop();
  await broker.stop();
});

describe("the detail of a payment", () => {
  test("has its fields, its metadata, its cursor and the raw event", async ({ open }) => {
    const dashboard = await open(gateway);
    await dashboard.row("plain").click();
    expect(await fields(dashboard)).toMatchObject({
      Payment: "plain",
      Provider: "Stripe",
      "E-mail": "ada@example.com",
      Topic: "payments.raw",
      "Partition · offset": `0 · ${written[0]?.offset}`,
      Cursor: expect.stringMatching(/^[\w-]{16,}$/),
      order: "42",
      note: "two\nlines",
      nested: '{"a":[1]}',
      nothing: "",
    });
    expect(await dashboard.get("#detail .sum").textContent()).toBe("$12.50 USD");
    const [event] = (await dashboard.events()).filter((e) => e.payment.id === "plain");
    const raw = JSON.parse((await dashboard.get("#detail pre").textContent()) ?? "");
    expect(raw).toEqual(event);
    expect(raw.cursor).toBe((await fields(dashboard)).Cursor);

    await dashboard.row("bare").click();
    expect(await fields(dashboard)).toMatchObject({ Payment: "bare", Provider: "Unknown", "E-mail": "–" });
    expect(await dashboard.get("#detail .sum").textContent()).toBe("¥500 JPY");
    expect(await dashboard.get("#detail").textContent()).toContain("MetadataNone.");
    await dashboard.get("#detail").getByRole("button", { name: "Close" }).click();
    expect(await dashboard.get("#detail").count()).toBe(0);
  });

  test("is copied", async ({ open }) => {
    const dashboard = await open(gateway, { permissions: ["clipboard-read", "clipboard-write"] });
    const copied = () => dashboard.page.evaluate(() => navigator.clipboard.readText());
    await dashboard.row("plain").click();
    for (const [what, text] of [
      ["Payment", "plain"],
      ["E-mail", "ada@example.com"],
      ["Cursor", (await fields(dashboard)).Cursor],
      ["JSON", await dashboard.get("#detail pre").textContent()],
    ]) {
      const button = dashboard.button(`Copy ${what}`);
      await button.click();
      await until(() => button.textContent(), "the button").toBe("Copied");
      expect(await copied()).toBe(text);
    }
  });

  test.for([
    ["the viewer does not allow it", true],
    ["the page came over plain HTTP, where there is no clipboard", false],
  ] as const)("is not copied where %s, and says so", async ([, hasClipboard], { open }) => {
    const dashboard = await open(gateway, {
      prepare: (page) =>
        page.addInitScript((has) => {
          const writeText = () => Promise.reject(new DOMException("", "NotAllowedError"));
          Object.defineProperty(navigator, "clipboard", { value: has ? { writeText } : undefined });
        }, hasClipboard),
    });
    await dashboard.row("plain").click();
    await dashboard.button("Copy Payment").click();
    await until(() => dashboard.button("Copy Payment").textContent(), "the button").toBe("Not allowed");
  });

  test("follows the payment's states as they come, and shows each", async ({ open }) => {
    const dashboard = await open(gateway);
    await broker.write(payment("moving", { status: "pending" }));
    await dashboard.row("moving").click();
    expect(await states(dashboard)).toEqual([]);
    await broker.write(payment("moving", { status: "paid" }));
    await until(() => states(dashboard), "states").toEqual(["Completed", "Pending*"]);
    await broker.write(payment("other"), payment("moving", { status: "refunded" }));
    await until(() => states(dashboard), "states").toEqual(["Refunded", "Completed", "Pending*"]);

    await dashboard.get(".history").getByText("Completed").click();
    expect(await states(dashboard)).toEqual(["Refunded", "Completed*", "Pending"]);
    expect(await dashboard.get("#detail .badge").textContent()).toBe("Completed");
    expect(await dashboard.get("#detail pre").textContent()).toContain('"STATUS_COMPLETED"');
  });
});

test("the commands to subscribe are for the address that the page was opened at, and are copied", async ({
  open,
}) => {
  const url = gateway.url.replace("127.0.0.1", "localhost");
  const dashboard = await open({ url }, { permissions: ["clipboard-read", "clipboard-write"] });
  await dashboard.button("Subscribe").click();
  const dialog = dashboard.get("#connect");
  await dialog.locator("pre").first().waitFor();
  const commands = await dialog.locator("pre").allTextContents();
  expect(commands.length).toBeGreaterThanOrEqual(3);
  expect(commands.join("\n")).toContain(url);
  expect(commands.join("\n")).not.toContain("127.0.0.1");
  await dialog.getByRole("button", { name: /^Copy/ }).first().click();
  const copied = () => dashboard.page.evaluate(() => navigator.clipboard.readText());
  await until(copied, "the clipboard").toBe(commands[0]);
  await dialog.getByRole("button", { name: "Close" }).click();
  await until(() => dialog.isVisible(), "the dialog").toBe(false);
});

describe("an export", () => {
  test("as CSV has what the table shows, quoted, and nothing that a spreadsheet runs", async ({ open }) => {
    const dashboard = await open(gateway, { query: "?provider=paypal" });
    await dashboard.row('=cmd|\\"quoted\\", and\\a more').waitFor();
    const { name, text } = await dashboard.export("CSV");
    expect(name).toMatch(/^payments-[\dTZ-]+\.csv$/);
    const [event] = await dashboard.events();
    expect(text).toBe(
      "published_at,id,provider,amount,currency,status,customer_email,partition,offset,created_at,metadata\r\n" +
        `${publishedAt(event)},"'=cmd|""quoted"", and\nmore",PAYPAL,1.500,KWD,REFUNDED,'@SUM(A1),` +
        `0,${written[2]?.offset},2023-11-14T22:13:20.000Z,"{""a"":""\\"""",""b"":""2""}"\r\n`,
    );
  });

  test("as NDJSON has the gateway's own lines, the newest first", async ({ open }) => {
    const dashboard = await open(gateway, { query: "?id=a" });
    await dashboard.row("plain").waitFor();
    const { name, text } = await dashboard.export("NDJSON");
    expect(name).toMatch(/^payments-[\dTZ-]+\.ndjson$/);
    const events = text.split("\n").filter((line) => line !== "");
    const offsets = events.map((line) => Number(JSON.parse(line).offset));
    expect(offsets).toEqual(offsets.toSorted((a, b) => b - a));
    // The same as the gateway writes of the same payment.
    const ours = events.map((line) => JSON.parse(line)).find((e) => e.payment.id === "plain");
    expect(ours).toEqual(await gatewaysEvent("plain"));
  });

  test("has all that the table shows, not only what is in sight", async ({ serve, open }) => {
    const served = await serve({ partitions: 3 });
    await produce(served.broker, "--count=3000", "--interval=0");
    const dashboard = await open(served.gateway);
    await until(() => dashboard.shown(), "rows").toBeGreaterThan(2000);
    const shown = await dashboard.shown();
    expect((await dashboard.export("CSV")).text.trimEnd().split(/\r\n/)).toHaveLength(shown + 1);
    expect(await dashboard.events()).toHaveLength(shown);
  });
});

/** The panel's names and values. */
function fields({ page }: Dashboard): Promise<Record<string, string>> {
  return page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll("#detail dl > div")].map((line) => [
        line.querySelector("dt")?.textContent ?? "",
        line.querySelector("dd > span")?.textContent ?? "",
      ]),
    ),
  );
}

/** The states in the payment's history; the one that is shown has an asterisk. */
function states({ page }: Dashboard): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll(".history li")].map(
      (item) => `${item.querySelector("span")?.textContent}${item.ariaCurrent === "true" ? "*" : ""}`,
    ),
  );
}

function publishedAt(event: object | undefined): string {
  return new Date(Number((event as { publishedAt: string }).publishedAt)).toISOString();
}

/** A payment's event as a line of the gateway's NDJSON has it. */
async function gatewaysEvent(id: string): Promise<unknown> {
  const headers = { Accept: "application/x-ndjson" };
  const response = await fetch(`${gateway.url}/payments/stream`, { headers });
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString();
    const line = text.split("\n").find((l) => l.includes(`"id":"${id}"`) && l.endsWith("}"));
    if (line) return JSON.parse(line); // leaving the loop ends the request
  }
  return undefined;
}
