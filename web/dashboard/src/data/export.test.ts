import { PaymentStatus, Provider } from "@paystream/client";
import { expect, test } from "vitest";
import { toCSV, toNDJSON } from "./export";
import { event } from "./fixture";

const usual = event(
  {
    id: "pay_1",
    provider: Provider.STRIPE,
    status: PaymentStatus.STATUS_COMPLETED,
    customerEmail: "ada@example.com",
    createdAt: 1_700_000_000n,
    metadata: { order: "7" },
  },
  { partition: 2, offset: 41n, publishedAt: 1_700_000_001_234n },
);

test("CSV has a line of headings and the exact amount", () => {
  expect(toCSV([usual]).join("")).toBe(
    "published_at,id,provider,amount,currency,status,customer_email,partition,offset,created_at,metadata\r\n" +
      '2023-11-14T22:13:21.234Z,pay_1,STRIPE,50.00,USD,COMPLETED,ada@example.com,2,41,2023-11-14T22:13:20.000Z,"{""order"":""7""}"\r\n',
  );
});

test.each([
  ['say "hi", ok', '"say ""hi"", ok"'],
  ["two\nlines", '"two\nlines"'],
  ["=1+1", "'=1+1"],
  ["+49", "'+49"],
  ["-1", "'-1"],
  ["@SUM(A1)", "'@SUM(A1)"],
  ['=HYPERLINK("http://x","y")', '"\'=HYPERLINK(""http://x"",""y"")"'],
])("the field %j stands in CSV as %s", (id, field) => {
  expect(toCSV([event({ id }, { publishedAt: 0n })])[1]?.split("1970-01-01T00:00:00.000Z,")[1]).toMatch(
    new RegExp(`^${field.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")},`),
  );
});

test("a time that no calendar has does not stop an export", () => {
  expect(toCSV([event({ createdAt: 9_000_000_000_000_000n })])).toHaveLength(2);
});

test("NDJSON is the gateway's own: whole events, default values written, a line each", () => {
  const lines = toNDJSON([usual, event()]);
  expect(lines).toHaveLength(2);
  expect(JSON.parse(lines[1] ?? "")).toMatchObject({
    partition: 0,
    offset: "0",
    payment: { id: "pay_1", amountMinor: "5000" },
  });
});
