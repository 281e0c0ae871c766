import { PaymentStatus, Provider } from "@paystream/client";
import { afterEach, describe, expect, test, vi } from "vitest";
import { clockOffset } from "./clock";
import { EVERYTHING, PROVIDERS, STATUSES, WINDOWS } from "./filter";
import { payment } from "./fixture";
import { Latencies } from "./latency";
import { Rate } from "./rate";
import { Series } from "./series";

const { STATUS_COMPLETED, STATUS_FAILED, STATUS_PENDING } = PaymentStatus;
const NOW = 1_800_000_000_000;

describe("Series", () => {
  const series = () => {
    const s = new Series();
    const add = (
      provider: Provider,
      status: PaymentStatus,
      currency: string,
      amount: number,
      secondsAgo: number,
    ) => s.add(payment({ provider, status, currency, amount }), NOW - secondsAgo * 1000);
    add(Provider.STRIPE, STATUS_COMPLETED, "USD", 10, 1);
    add(Provider.STRIPE, STATUS_COMPLETED, "USD", 20, 1);
    add(Provider.STRIPE, STATUS_FAILED, "USD", 5, 30);
    add(Provider.PAYPAL, STATUS_PENDING, "JPY", 500, 30);
    add(Provider.PAYPAL, STATUS_COMPLETED, "EUR", 7, 200);
    return s;
  };

  test("count by status, per second of a step", () => {
    const plots = series().plots(EVERYTHING, 300, NOW);
    expect(plots.step).toBe(5);
    expect(plots.times).toHaveLength(60);
    expect(plots.counts[STATUSES.indexOf(STATUS_COMPLETED)]).toBe(3);
    expect(plots.rates[STATUSES.indexOf(STATUS_COMPLETED)]?.at(-1)).toBe(2 / 5);
  });

  test("leave out what came before the window", () => {
    const plots = series().plots(EVERYTHING, 60, NOW);
    expect(plots.counts.reduce((a, b) => a + b)).toBe(4);
  });

  test("the success rate is of those that ended, and of nothing where none did", () => {
    const { successTotal, successOverall } = series().plots(EVERYTHING, 60, NOW);
    expect(successTotal[PROVIDERS.indexOf(Provider.STRIPE)]).toBeCloseTo(2 / 3);
    expect(successTotal[PROVIDERS.indexOf(Provider.PAYPAL)]).toBeNull();
    expect(successOverall).toBeCloseTo(2 / 3);
  });

  test("the success rate of a step is that of the steps that lead up to it", () => {
    const stripe = series().plots(EVERYTHING, 60, NOW).success[PROVIDERS.indexOf(Provider.STRIPE)];
    expect(stripe?.at(-1)).toBe(1); // 30 s ago one failed
    expect(stripe?.at(-30)).toBe(0);
    expect(stripe?.at(-15)).toBeNull();
  });

  test("the last step counts the seconds that are over", () => {
    const s = new Series();
    s.add(payment({ status: STATUS_COMPLETED }), NOW + 500);
    const rates = s.plots(EVERYTHING, 300, NOW + 2000).rates[STATUSES.indexOf(STATUS_COMPLETED)];
    expect(rates?.at(-1)).toBe(1 / 2);
  });

  test("amounts of different currencies are never added", () => {
    const { currencies } = series().plots(EVERYTHING, 300, NOW);
    expect(currencies.map((c) => [c.code, c.total, c.count])).toEqual([
      ["USD", 30, 2],
      ["EUR", 7, 1],
    ]);
  });

  test("an amount counts once, when its payment completes; or in the statuses that are asked for", () => {
    const { currencies } = series().plots({ ...EVERYTHING, statuses: [STATUS_PENDING] }, 300, NOW);
    expect(currencies.map((c) => [c.code, c.total, c.count])).toEqual([["JPY", 500, 1]]);
  });

  test("the success rate is the same whatever statuses are asked for", () => {
    const { successOverall } = series().plots({ ...EVERYTHING, statuses: [STATUS_FAILED] }, 60, NOW);
    expect(successOverall).toBeCloseTo(2 / 3);
  });

  test("obey the filter", () => {
    const plots = series().plots({ ...EVERYTHING, providers: [Provider.PAYPAL] }, 300, NOW);
    expect(plots.counts.reduce((a, b) => a + b)).toBe(2);
  });

  test("a payment from the future hides no other", () => {
    const s = new Series();
    s.add(payment(), NOW + 86_400_000);
    s.add(payment(), NOW - 1000);
    expect(s.plots(EVERYTHING, 60, NOW).counts.reduce((a, b) => a + b)).toBe(1);
    expect(s.plots(EVERYTHING, 60, NOW + 86_401_000).counts.reduce((a, b) => a + b)).toBe(1);
  });

  test("forget nothing that is shown", () => {
    const s = new Series();
    for (let ago = 0; ago < 2 * 3600; ago++) s.add(payment({ status: STATUS_COMPLETED }), NOW - ago * 1000);
    const shown = () => WINDOWS.map((window) => s.plots(EVERYTHING, window, NOW));
    const before = shown();
    s.forget(NOW);
    expect(shown()).toEqual(before);
    expect(before.map((plots) => plots.counts.reduce((a, b) => a + b))).toEqual([60, 300, 900, 3600]);
    s.forget(NOW + 2 * 3_600_000);
    expect(s.plots(EVERYTHING, 3600, NOW).successOverall).toBeNull();
  });

  test("count further currencies as one, of more than there can be", () => {
    const s = new Series();
    for (let i = 0; i < 5000; i++)
      s.add(payment({ status: STATUS_COMPLETED, currency: `X${i}` }), NOW - 1000);
    const { currencies, counts } = s.plots(EVERYTHING, 60, NOW);
    expect(counts.reduce((a, b) => a + b)).toBe(5000);
    expect(currencies[0]).toMatchObject({ code: "Other", count: 4500 });
    expect(currencies).toHaveLength(501);
  });

  test("go back an hour, whatever comes", () => {
    const s = series();
    s.add(payment(), NOW + 3_700_000);
    s.add(payment(), NOW); // too late to be counted
    expect(s.plots(EVERYTHING, 3600, NOW + 3_700_000).counts.reduce((a, b) => a + b)).toBe(1);
  });
});

describe("Latencies", () => {
  test("give quantiles within five percent", () => {
    const latencies = new Latencies();
    for (let ms = 1; ms <= 1000; ms++) latencies.add(ms, NOW);
    const [p50, p99] = latencies.quantiles([0.5, 0.99], NOW) ?? [];
    expect(p50).toBeGreaterThanOrEqual(500 / 1.05);
    expect(p50).toBeLessThanOrEqual(500 * 1.05);
    expect(p99).toBeGreaterThanOrEqual(990 / 1.05);
    expect(p99).toBeLessThanOrEqual(990 * 1.05);
  });

  test("forget what is older than a minute", () => {
    const latencies = new Latencies();
    latencies.add(500, NOW - 61_000);
    expect(latencies.quantiles([0.5], NOW)).toBeNull();
    latencies.add(10, NOW);
    expect(latencies.quantiles([0.5], NOW)?.[0]).toBeLessThan(11);
  });

  test("take what clocks can make of them: less than nothing, or hours", () => {
    const latencies = new Latencies();
    latencies.add(-50, NOW);
    expect(latencies.quantiles([1], NOW)).toEqual([1]);
    latencies.add(1e9, NOW);
    expect(latencies.quantiles([1], NOW)?.[0]).toBeGreaterThan(500_000);
  });
});

describe("Rate", () => {
  test("is of the last ten whole seconds", () => {
    const rate = new Rate();
    for (let s = 20; s >= 1; s--) for (let i = 0; i < s; i++) rate.add(NOW - s * 1000);
    rate.add(NOW); // of a second that is not over
    expect(rate.perSecond(NOW, 0)).toBe(5.5);
  });

  test("does not count the time before the page was opened", () => {
    const rate = new Rate();
    for (let i = 0; i < 30; i++) rate.add(NOW - 1000 - i * 50);
    expect(rate.perSecond(NOW, NOW - 2000)).toBe(15);
  });
});

describe("clockOffset", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  /** A gateway whose clock is ahead, and whose answers take their time, there and back. */
  function gateway(ahead: number, times: [number, number][]) {
    vi.useFakeTimers({ now: NOW });
    vi.stubGlobal("fetch", async () => {
      const [there, back] = times.shift() ?? [0, 0];
      vi.advanceTimersByTime(there);
      const answer = new Response("", { headers: { "Paystream-Time": String(Date.now() + ahead) } });
      vi.advanceTimersByTime(back);
      return answer;
    });
  }

  test("believes the quickest answer", async () => {
    gateway(5000, [
      [90, 10],
      [3, 3],
      [80, 2],
    ]);
    const offset = await clockOffset("http://gateway", new AbortController().signal, 3);
    expect(offset?.ms).toBeCloseTo(5000);
    expect(offset?.within).toBeCloseTo(3);
  });

  test("is not known where the gateway does not say its time", async () => {
    vi.stubGlobal("fetch", async () => new Response(""));
    expect(await clockOffset("http://gateway", new AbortController().signal)).toBeNull();
  });

  test("is not known where there is no gateway", async () => {
    vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("refused")));
    expect(await clockOffset("http://gateway", new AbortController().signal)).toBeNull();
  });
});
