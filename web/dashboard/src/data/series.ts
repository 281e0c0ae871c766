import { type Payment, PaymentStatus, type Provider } from "@paystream/client";
import { type Filter, PROVIDERS, passes, STATUSES } from "./filter";

/** The steps of a plot. */
const STEPS = 60;
/** How many steps a share is taken over. */
const TRAIL = 10;

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
  /**
   * The share that completed, 0 to 1, by provider in the order of PROVIDERS, each over the last TRAIL steps: of
   * a single payment it would be all or nothing. Null where none ended.
   */
  success: (number | null)[][];
  /** The same over the whole window, no more. */
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

  /** Sums up the window, in seconds, that ends now (ms since 1970). */
  plots(filter: Filter, window: number, now: number): Plots {
    const step = window / STEPS;
    // The last step counts the seconds of it that are over; where a step is a second, it has to be over.
    const end = step > 1 ? Math.ceil(now / 1000 / step) * step : Math.floor(now / 1000);
    const begin = end - window - TRAIL * step;
    const zeros = () => new Array<number>(STEPS + TRAIL).fill(0);
    const rates = STATUSES.map(zeros);
    const completed = PROVIDERS.map(zeros);
    const ended = PROVIDERS.map(zeros);
    const amounts = new Map<string, { count: number; steps: number[] }>();
    for (const [second, cells] of this.seconds) {
      const i = Math.floor((second - begin) / step);
      if (i < 0 || i >= STEPS + TRAIL) continue;
      for (const cell of cells.values()) {
        if (!passes(filter, cell.provider, cell.status)) continue;
        const p = indexOf(PROVIDERS, cell.provider);
        bump(rates[indexOf(STATUSES, cell.status)], i, cell.count);
        if (cell.status === PaymentStatus.STATUS_COMPLETED) bump(completed[p], i, cell.count);
        if (isEnd(cell.status)) bump(ended[p], i, cell.count);
        if (i < TRAIL) continue;
        const currency = amounts.get(cell.currency) ?? { count: 0, steps: zeros() };
        amounts.set(cell.currency, currency);
        currency.count += cell.count;
        bump(currency.steps, i, cell.amount);
      }
    }
    const [done, all] = [completed.map(total), ended.map(total)];
    const last = Math.max(1, Math.min(step, now / 1000 - (end - step)));
    return {
      times: Array.from({ length: STEPS }, (_, i) => end - window + (i + 1) * step),
      step,
      rates: rates.map((counts) => shown(counts).map((n, i) => n / (i === STEPS - 1 ? last : step))),
      success: PROVIDERS.map((_, p) => trailing(completed[p] ?? [], ended[p] ?? [])),
      successTotal: PROVIDERS.map((_, p) => share(done[p] ?? 0, all[p] ?? 0)),
      successOverall: share(sum(done), sum(all)),
      counts: rates.map(total),
      currencies: [...amounts]
        .map(([code, { count, steps }]) => ({ code, count, total: sum(steps), steps: shown(steps) }))
        .sort((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1)),
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

const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);
const share = (done: number, all: number) => (all > 0 ? done / all : null);
/** The steps of the window, without those that come before it. */
const shown = (steps: number[]) => steps.slice(TRAIL);
const total = (steps: number[]) => sum(shown(steps));

/** The share at each step of the window, over the steps that lead up to it. */
function trailing(completed: number[], ended: number[]): (number | null)[] {
  return shown(completed).map((_, i) =>
    share(sum(completed.slice(i + 1, i + TRAIL + 1)), sum(ended.slice(i + 1, i + TRAIL + 1))),
  );
}
