import { Broker, Gateway, type RawPayment } from "@paystream/testing";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { clip } from "../src/format.ts";
import { type Dashboard, payment, test, until } from "./page.ts";

/** Each of these would set a flag if the page ran it. */
const MARKUP = [
  "<script>window.owned = 1</script>",
  '<img src=x onerror="window.owned = 1">',
  '"><svg onload="window.owned = 1">',
  "'-window.owned=1-'",
  "javascript:window.owned=1",
  "</script><script>window.owned=1</script>",
  "{{constructor.constructor('window.owned=1')()}}",
];

const LONG = "W".repeat(10_000);
/** Overrides the direction, isolates, and ends neither; a zero-width joiner and piled-up accents. */
const BIDI = `\u202egpj.exe\u2066\u2067abc\u200d${"e\u0301\u0302\u0303".repeat(30)}`;

/** A payment with a text in every field that takes one. */
function everywhere(id: string, text: string): RawPayment {
  return payment(`${id}${text}`, {
    provider: text,
    status: text,
    customer_email: text,
    timestamp: text,
    metadata: { [text]: text, plain: text, [`key ${text}`]: "value" },
  });
}

const HOSTILE: RawPayment[] = [
  ...MARKUP.map((text, i) => everywhere(`markup-${i}-`, text)),
  everywhere("bidi-", BIDI),
  everywhere("long-", LONG),
  payment("many-keys", {
    metadata: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`key-${i}`, "value ".repeat(i)])),
  }),
  payment("lines", { customer_email: "a\nb\tc\0d\u2028e", metadata: { "\n": "\r\n" } }),
  ...["__proto__", "constructor", "toString", "hasOwnProperty"].map((id) =>
    payment(id, { metadata: { constructor: "c", toString: "t", hasOwnProperty: "h" } }),
  ),
  payment("no-iso-currency", { currency: "XQZ", amount: "12.345" }),
  payment("vast", { currency: "KWD", amount: "1000000000000000" }),
  payment("huge", { currency: "USD", amount: `9${"0".repeat(30)}` }),
  payment("digits", { currency: "USD", amount: "0.123456789012345678901234567890" }),
  payment("old", { timestamp: "0001-01-01T00:00:00Z" }),
  payment("far", { timestamp: 253402300799 }),
];

/** Its key would make an object's prototype in a JavaScript literal: it has to be written as JSON. */
const PROTO = '{"id":"proto","amount":"1","currency":"USD","metadata":{"__proto__":"p","constructor":"c"}}';

let broker: Broker;
let gateway: Gateway;

beforeAll(async () => {
  broker = await Broker.start("--partitions=1");
  gateway = await Gateway.start(broker);
  await broker.write(...HOSTILE);
  await broker.writeRaw(PROTO);
});
afterAll(async () => {
  await gateway.stop();
  await broker.stop();
});

describe.for([
  { name: "a desktop", viewport: { width: 1440, height: 1400 } },
  { name: "a phone", viewport: { width: 390, height: 1400 } },
])("on $name", ({ viewport }) => {
  test("hostile payments are shown as they are: nothing runs, nothing moves, the page goes on", async ({
    open,
  }) => {
    const dashboard = await open(gateway, { viewport });
    await dashboard.row("proto").waitFor();
    await dashboard.fitsItsWidth();
    // The search takes each of them into sight, however many there are.
    for (const [i, { id }] of HOSTILE.entries()) {
      const part = String(id).slice(0, 40);
      await dashboard.get("#search").fill(part);
      const foreign = async () => (await dashboard.ids()).filter((shown) => !shown.includes(part));
      await until(foreign, `rows that are not of payment ${i}`).toEqual([]);
      const index = (await dashboard.ids()).indexOf(clip(String(id)));
      await dashboard.get(`.rows .row[aria-rowindex="${index + 2}"]`).click();
      await until(() => fullId(dashboard), "the panel's payment").toBe(id);
      await dashboard.fitsItsWidth();
      await detailFits(dashboard);
      await dashboard.get("#detail").getByRole("button", { name: "Close" }).click();
    }
    expect(await owned(dashboard)).toBe(false);
    await dashboard.get("#search").fill("");
    await broker.write(payment("after-all"));
    await dashboard.row("after-all").first().waitFor();
    await dashboard.isLive();
  });
});

describe("a hostile payment", () => {
  test("is searched for, exported and linked to like any other", async ({ open }) => {
    const text = `markup-0-${MARKUP[0]}`;
    const dashboard = await open(gateway, { query: `?id=${encodeURIComponent(text)}` });
    await until(() => dashboard.shown(), "rows").toBe(1);
    await dashboard.get(".rows .row").click();
    expect(await fullId(dashboard)).toBe(text);
    const { text: csv } = await dashboard.export("CSV");
    expect(csv).toContain(`,${text},UNKNOWN,`);
    expect((await dashboard.events())[0]?.payment.id).toBe(text);
    expect(await owned(dashboard)).toBe(false);
  });

  test("named like a part of every object is a payment", async ({ open }) => {
    for (const id of ["__proto__", "constructor"]) {
      const dashboard = await open(gateway, { query: `?id=${id}` });
      await dashboard.row(id).click();
      const keys = await dashboard.get(".metadata dt").allTextContents();
      expect(keys).toEqual(["constructor", "hasOwnProperty", "toString"]);
    }
  });

  test("keeps a metadata key that is called __proto__", async ({ open }) => {
    const dashboard = await open(gateway, { query: "?id=proto" });
    await dashboard.row("proto").click();
    expect(await dashboard.get(".metadata > div").allTextContents()).toEqual(["__proto__p", "constructorc"]);
    const raw = await dashboard.get("#detail pre").textContent();
    expect(raw).toContain('"__proto__": "p"');
    expect(await dashboard.page.evaluate(() => ({}).constructor === Object && !("p" in {}))).toBe(true);
  });

  test.for([
    ["no-iso-currency", "12.345 XQZ"],
    ["vast", "1,000,000,000,000,000.000 KWD"],
    ["digits", /^\$0\.12345678901234\d* USD$/],
    ["huge", /^\$[\d,.e+]+ USD$/],
  ] as const)("of an odd amount, %s, says how much it is", async ([id, amount], { open }) => {
    const dashboard = await open(gateway, { query: `?id=${id}` });
    await dashboard.row(id).click();
    const sum = await dashboard.get("#detail .sum").textContent();
    expect(sum).toMatch(amount);
    const row = (await dashboard.rows()).find((r) => r.id === id);
    expect(row?.amount).toBe(sum);
  });
});

function fullId(dashboard: Dashboard): Promise<string | null> {
  return dashboard.get("#detail dd > span").first().textContent();
}

function owned(dashboard: Dashboard): Promise<boolean> {
  return dashboard.page.evaluate(() => "owned" in globalThis);
}

/** Nothing in the panel is wider than it, and no field goes on for pages. */
async function detailFits(dashboard: Dashboard): Promise<void> {
  const [wide, high] = await dashboard.page.evaluate(() => {
    const panel = document.querySelector("#detail");
    const right = panel?.getBoundingClientRect().right ?? 0;
    const name = (e: Element) => `${e.tagName} ${e.className}`;
    const all = [...(panel?.querySelectorAll("*") ?? [])];
    const fields = [...(panel?.querySelectorAll("dl > div") ?? [])];
    return [
      all.filter((e) => e.getBoundingClientRect().right > right + 1).map(name),
      fields.filter((e) => e.getBoundingClientRect().height > 200).map((e) => e.textContent?.slice(0, 20)),
    ];
  });
  expect(wide, "what sticks out of the panel").toEqual([]);
  expect(high, "fields that are too high").toEqual([]);
}
