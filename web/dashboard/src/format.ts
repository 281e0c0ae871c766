// Numbers and times as the viewer's own country writes them.

const count = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 2 });
const oneDigit = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hourCycle: "h23",
});
const dayAndClock = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" });

export const formatCount = (n: number | bigint) => count.format(n);
export const formatShort = (n: number) => compact.format(n);
export const formatPercent = (share: number | null) => (share === null ? "–" : percent.format(share));

export function formatRate(perSecond: number): string {
  return perSecond < 100 ? oneDigit.format(perSecond) : count.format(Math.round(perSecond));
}

/** A duration for a figure: its number, and its unit. */
export function formatLatency(ms: number | undefined): [string, string] {
  if (ms === undefined) return ["–", ""];
  if (ms < 1000) return [count.format(Math.max(1, Math.round(ms))), "ms"];
  return [oneDigit.format(ms / 1000), "s"];
}

/** The time of day; with the day where it is not today. */
export function formatTime(ms: number, now = Date.now()): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "–";
  return Math.abs(now - ms) < 12 * 3_600_000 ? clock.format(date) : dayAndClock.format(date);
}

export function formatFullTime(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "–" : full.format(date);
}

const totals = new Map<string, Intl.NumberFormat | null>();

/** A sum of one currency, short. A code that is none gets no symbol. */
export function formatTotal(code: string, amount: number): string {
  let format = totals.get(code);
  if (format === undefined) {
    try {
      format = new Intl.NumberFormat(undefined, {
        style: "currency",
        currency: code,
        currencyDisplay: "narrowSymbol",
        notation: "compact",
        maximumFractionDigits: 1,
      });
    } catch {
      format = null;
    }
    totals.set(code, format);
  }
  return format ? format.format(amount) : compact.format(amount);
}

/** As much of a text as a line may need: a payment's fields may hold a book. */
export function clip(text: string, max = 120): string {
  return text.length > max ? `${text.slice(0, max)}…` : text;
}
