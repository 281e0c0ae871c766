import { type Payment, PaymentStatus, type Provider } from "@paystream/client";
import { type Filter, PROVIDERS, passes, STATUSES } from "./filter";

/** How far back the series go, in seconds. */
const KEPT = 3600;

/** One provider's payments of one status and currency within one second. */
interface Cell {
  provider: Provider;
  status: PaymentStatus;
  currency: string;
  count: number;
  /** The sum, in the currency's major units. For plots: a float will do. */
  amount: number;
}

/** What the plots show of one stretch of time. */
export interface Plots {
  /** The ends of the steps, in seconds since 1970. */
  times: number[];
  /** The length of a step, in seconds. */
  step: number;
  /** Payments per second, by status in the order of STATUSES. */
  rates: number[][];
  /** The share that completed, 0 to 1, by provider in the order of PROVIDERS; null where none ended. */
  success: (number | null)[][];
  /** The same over the whole window. */
  successTotal: (number | null)[];
  successOverall: number | null;
  /** Events by status over the whole window. */
  counts: number[];
  /** Amounts by currency, the ones with the most payments first. */
  currencies: { code: string; total: number; count: number; steps: number[] }[];
}

/** Counts payments by second, provider, status and currency, for the last hour. */
export class Series {
  private readonly seconds = new Map<number, Map<string, Cell>>();
  private newest = 0;

  /** Adds a payment at a time in ms since 1970. */
  add(payment: Payment, at: number): void {
    const second = Math.floor(at / 1000);
    if (second <= this.newest - KEPT) return;
    let cells = this.seconds.get(second);
    if (!cells) {
      cells = new Map();
      this.seconds.set(second, cells);
      if (second > this.newest) {
        this.newest = second;
        this.forget();
      }
    }
    const { provider, status, currency } = payment;
    const key = `${provider} ${status} ${currency}`;
    const cell = cells.get(key);
    if (cell) {
      cell.count++;
      cell.amount += payment.amount;
    } else {
      cells.set(key, { provider, status, currency, count: 1, amount: payment.amount });
    }
  }

  /** Sums up the window, in seconds, that ends now (ms since 1970), in about 60 steps. */
  plots(filter: Filter, window: number, now: number): Plots {
    const step = window / 60;
    const end = Math.ceil(now / 1000 / step) * step;
    const steps = Array.from({ length: 60 }, (_, i) => end - window + (i + 1) * step);
    const zeros = () => steps.map(() => 0);
    const rates = STATUSES.map(zeros);
    const completed = PROVIDERS.map(zeros);
    const ended = PROVIDERS.map(zeros);
    const counts = STATUSES.map(() => 0);
    const currencies = new Map<string, { code: string; total: number; count: number; steps: number[] }>();
    for (const [second, cells] of this.seconds) {
      const i = Math.floor((second - (end - window)) / step);
      if (i < 0 || i >= steps.length) continue;
      for (const cell of cells.values()) {
        if (!passes(filter, cell.provider, cell.status)) continue;
        const s = indexOf(STATUSES, cell.status);
        const p = indexOf(PROVIDERS, cell.provider);
        bump(rates[s], i, cell.count / step);
        bump(counts, s, cell.count);
        if (cell.status === PaymentStatus.STATUS_COMPLETED) bump(completed[p], i, cell.count);
        if (isEnd(cell.status)) bump(ended[p], i, cell.count);
        let currency = currencies.get(cell.currency);
        if (!currency) {
          currency = { code: cell.currency, total: 0, count: 0, steps: zeros() };
          currencies.set(cell.currency, currency);
        }
        currency.total += cell.amount;
        currency.count += cell.count;
        bump(currency.steps, i, cell.amount);
      }
    }
    const share = (done: number, all: number) => (all > 0 ? done / all : null);
    const sums = (lists: number[][]) => lists.map((list) => list.reduce((a, b) => a + b, 0));
    const [done, all] = [sums(completed), sums(ended)];
    return {
      times: steps,
      step,
      rates,
      success: PROVIDERS.map((_, p) =>
        steps.map((_, i) => share(completed[p]?.[i] ?? 0, ended[p]?.[i] ?? 0)),
      ),
      successTotal: PROVIDERS.map((_, p) => share(done[p] ?? 0, all[p] ?? 0)),
      successOverall: share(
        done.reduce((a, b) => a + b, 0),
        all.reduce((a, b) => a + b, 0),
      ),
      counts,
      currencies: [...currencies.values()].sort((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1)),
    };
  }

  private forget(): void {
    for (const second of this.seconds.keys()) {
      if (second <= this.newest - KEPT) this.seconds.delete(second);
    }
  }
}

/** Completed and failed are the two ways in which an attempt to pay ends. */
function isEnd(status: PaymentStatus): boolean {
  return status === PaymentStatus.STATUS_COMPLETED || status === PaymentStatus.STATUS_FAILED;
}

/** What this page does not know stands with the unknown ones, which come last. */
function indexOf<T>(list: readonly T[], value: T): number {
  const i = list.indexOf(value);
  return i < 0 ? list.length - 1 : i;
}

function bump(list: number[] | undefined, i: number, by: number): void {
  if (list) list[i] = (list[i] ?? 0) + by;
}
