import { PaymentStatus, Provider } from "@paystream/client";
import { describe, expect, test } from "vitest";
import { EVERYTHING, formatLink, PROVIDERS, parseLink, passes, toggled } from "./filter";

describe("a link", () => {
  test.each([
    ["", ""],
    ["?provider=stripe", "?provider=stripe"],
    ["?provider=paypal,stripe&status=failed", "?provider=stripe,paypal&status=failed"],
    ["?id=a%26b%3D%20c&window=60", "?id=a%26b%3D%20c&window=60"],
    ["?window=5", ""],
    ["?PROVIDER=stripe&status=FAILED", "?status=failed"],
    ["?provider=bank&status=,,&window=7&x=1", ""],
    ["?provider=unknown&status=unknown", "?provider=unknown&status=unknown"],
  ])("%s is read, and written as %s", (query, written) => {
    expect(formatLink(parseLink(query))).toBe(written);
  });

  test("of any length is no longer than a search may be", () => {
    expect(parseLink(`?id=${"x".repeat(5000)}`).filter.id).toHaveLength(200);
  });
});

describe("a filter", () => {
  test("without providers and statuses lets all pass", () => {
    expect(passes(EVERYTHING, Provider.PAYPAL, PaymentStatus.STATUS_REFUNDED)).toBe(true);
  });

  test("takes a value that this page does not know for unknown", () => {
    const unknown = { ...EVERYTHING, providers: [Provider.UNKNOWN] };
    expect(passes(unknown, 17 as Provider, PaymentStatus.STATUS_FAILED)).toBe(true);
    expect(passes(unknown, Provider.STRIPE, PaymentStatus.STATUS_FAILED)).toBe(false);
  });

  test("is none once all are chosen", () => {
    const chosen = PROVIDERS.slice(0, -1).reduce<Provider[]>((list, p) => toggled(list, PROVIDERS, p), []);
    expect(chosen).toHaveLength(PROVIDERS.length - 1);
    expect(toggled(chosen, PROVIDERS, PROVIDERS.at(-1) as Provider)).toEqual([]);
    expect(toggled([Provider.STRIPE], PROVIDERS, Provider.STRIPE)).toEqual([]);
  });
});
