import { type Payment, PaymentStatus, type Provider } from "@paystream/client";
import { type Filter, PROVIDERS, passes, STATUSES, WINDOWS } from "./filter";

/** The steps of a plot. */
const STEPS = 60;
/** How many steps a share is taken over. */
const TRAIL = 10;

/** So many steps are counted at a time, for one window. At the start, existing payments may be of any. */
const MAX_STEPS = 10_000;
/** So many cells a step has; further currencies, as only a mistake has them, are counted as one. */
const MAX_CELLS = 500;
const OTHER = "Other";

/** One provider's payments of one status and currency within one step. */
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

type Cells = Map<string, Cell>;

/**
 * Counts payments by time, provider, status and currency: for each window of the plots in its own steps, so
 * that an hour takes no more than a minute.
 */
export class Series {
  /** By window, the cells of each step; steps are counted since 1970. */
  private readonly windows = new Map(WINDOWS.map((w): [number, Map<number, Cells>] => [w, new Map()]));

  /** Adds a payment at a time in ms since 1970, whatever time it is. */
  add(payment: Payment, at: number): void {
    for (const [window, steps] of this.windows) {
      const step = Math.floor(at / 1000 / (window / STEPS));
      let cells = steps.get(step);
      if (!cells) {
        if (steps.size >= MAX_STEPS) continue;
        cells = new Map();
        steps.set(step, cells);
      }
      count(cells, payment);
    }
  }

  /** Lets go of what no plot shows now (ms since 1970), or in the time that a window spans. */
  forget(now: number): void {
    for (const [window, steps] of this.windows) {
      const current = now / 1000 / (window / STEPS);
      for (const step of steps.keys()) if (Math.abs(step - current) > STEPS + TRAIL + 1) steps.delete(step);
    }
  }

  /** Sums up the window, in seconds, that ends now (ms since 1970). */
  plots(filter: Filter, window: number, now: number): Plots {
    const step = window / STEPS;
    // The last step counts the seconds of it that are over; where a step is a second, it has to be over.
    const end = step > 1 ? Math.ceil(now / 1000 / step) : Math.floor(now / 1000);
    const zeros = () => new Array<number>(STEPS + TRAIL).fill(0);
    const rates = STATUSES.map(zeros);
    const completed = PROVIDERS.map(zeros);
    const ended = PROVIDERS.map(zeros);
    const amounts = new Map<string, { count: number; steps: number[] }>();
    // Of one status alone there is no rate of success; and a payment's amount counts once, when it completes,
    // unless other statuses are asked for.
    const anyStatus = { ...filter, statuses: [] };
    const summed =
      filter.statuses.length > 0 ? filter : { ...filter, statuses: [PaymentStatus.STATUS_COMPLETED] };
    for (const [n, cells] of this.windows.get(window) ?? []) {
      const i = n - (end - STEPS - TRAIL);
      if (i < 0 || i >= STEPS + TRAIL) continue;
      for (const cell of cells.values()) {
        if (!passes(anyStatus, cell.provider, cell.status)) continue;
        const p = indexOf(PROVIDERS, cell.provider);
        if (cell.status === PaymentStatus.STATUS_COMPLETED) bump(completed[p], i, cell.count);
        if (isEnd(cell.status)) bump(ended[p], i, cell.count);
        if (!passes(filter, cell.provider, cell.status)) continue;
        bump(rates[indexOf(STATUSES, cell.status)], i, cell.count);
        if (i < TRAIL || !passes(summed, cell.provider, cell.status)) continue;
        const currency = amounts.get(cell.currency) ?? { count: 0, steps: zeros() };
        amounts.set(cell.currency, currency);
        currency.count += cell.count;
        bump(currency.steps, i, cell.amount);
      }
    }
    const [done, all] = [completed.map(total), ended.map(total)];
    const last = Math.max(1, Math.min(step, now / 1000 - (end - 1) * step));
    return {
      times: Array.from({ length: STEPS }, (_, i) => (end - STEPS + i + 1) * step),
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
}

function count(cells: Cells, { provider, status, currency: code, amount }: Payment): void {
  const named = `${provider} ${status} ${code}`;
  const currency = cells.has(named) || cells.size < MAX_CELLS ? code : OTHER;
  const key = currency === code ? named : `${provider} ${status} ${OTHER}`;
  const cell = cells.get(key);
  if (cell) {
    cell.count++;
    cell.amount += amount;
  } else {
    cells.set(key, { provider, status, currency, count: 1, amount });
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
