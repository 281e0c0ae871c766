import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { decimalAmount, formatMoney } from "./money.js";

interface Golden {
  amount: number;
  minor?: string;
  currency: string;
  text: string;
}

const golden: Golden[] = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../../payment/testdata/amounts.json"), "utf8"),
);

function money(amount: number, minor: bigint | undefined, currency: string) {
  return { amount, amountMinor: minor, currency };
}

test("in en-US it is the text that the gateway's commands print, in every currency", () => {
  expect(golden.length).toBeGreaterThan(300);
  for (const { amount, minor, currency, text } of golden)
    expect(
      formatMoney(money(amount, minor === undefined ? undefined : BigInt(minor), currency), "en-US"),
    ).toBe(text);
});

test.each([
  ["ISO's digits, not CLDR's", 0, 1234567n, "HUF", "12345.67"],
  ["no minor unit", 0, 500n, "JPY", "500"],
  ["three digits", 0, 5n, "KWD", "0.005"],
  ["negative, below one", 0, -5n, "USD", "-0.05"],
  ["more than a double holds", 0, 9223372036854775807n, "USD", "92233720368547758.07"],
  ["the double, padded", 1234.5, undefined, "USD", "1234.50"],
  ["the double, with all of its digits", 19.999, undefined, "USD", "19.999"],
  ["the double, written out", 1.5e-7, undefined, "BTC", "0.00000015"],
  ["the double, beyond reading", 1e21, undefined, "USD", "1e+21"],
  ["not a number", Number.NaN, undefined, "USD", "NaN"],
])("decimalAmount: %s", (_name, amount, minor, currency, want) => {
  expect(decimalAmount(money(amount, minor, currency))).toBe(want);
});

test.each([
  ["de-DE", "USD", "1.234.567,89 $ USD"],
  ["de-DE", "CHF", "1.234.567,89 CHF"],
  ["en-IN", "INR", "₹12,34,567.89 INR"],
  ["fr-FR", "EUR", "1 234 567,89 € EUR"],
])("in %s, %s", (locale, currency, want) => {
  const text = formatMoney(money(0, 123456789n, currency), locale);
  expect(text.replace(/\s/g, " ")).toBe(want);
});

test("the system's locale is the default", () => {
  expect(formatMoney(money(0, 5000n, "USD"))).toBe(
    formatMoney(money(0, 5000n, "USD"), new Intl.NumberFormat().resolvedOptions().locale),
  );
});
