import { providerName, statusName } from "@paystream/client";
import { useEffect, useState } from "preact/hooks";
import { PROVIDERS, STATUSES, WINDOWS } from "./data/filter";
import type { Plots } from "./data/series";
import { formatCount, formatPercent, formatRate, formatShort, formatTotal } from "./format";
import { Plot } from "./plot";
import { filter, narrow, span, store } from "./state";

export const STATUS_COLORS = ["--pending", "--completed", "--failed", "--refunded", "--unknown"];
const PROVIDER_COLORS = ["--stripe", "--razorpay", "--paypal", "--unknown"];
const SPAN_NAMES: Record<number, string> = { 60: "1 min", 300: "5 min", 900: "15 min", 3600: "1 h" };

/** Sums up the series, once a second. */
export function usePlots(): Plots {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return store.series.plots(filter.value, span.value, store.now());
}

export function PlotCards({ plots }: { plots: Plots }) {
  const marks = [...store.rows].flatMap((row) => (row.kind === "gap" ? [row.at / 1000] : []));
  return (
    // What scrolls must take the focus, for the keyboard.
    <section class="plots" aria-label="Plots" tabIndex={narrow.matches ? 0 : undefined}>
      <RateCard plots={plots} marks={marks} />
      <SuccessCard plots={plots} marks={marks} />
      <CurrencyCard plots={plots} />
    </section>
  );
}

export function SpanPicker() {
  return (
    <fieldset class="segments">
      <legend class="hidden">Span of the plots</legend>
      {WINDOWS.map((w) => (
        <label key={w}>
          <input type="radio" name="span" checked={span.value === w} onChange={() => (span.value = w)} />
          <span>{SPAN_NAMES[w]}</span>
        </label>
      ))}
    </fieldset>
  );
}

function RateCard({ plots, marks }: { plots: Plots; marks: number[] }) {
  const shown = STATUSES.map((status, i) => ({ status, i })).filter(
    ({ status, i }) => status !== 0 || (plots.counts[i] ?? 0) > 0,
  );
  const name = (status: number) => title(statusName(status));
  return (
    <article class="card">
      <header>
        <h2>Payments per second</h2>
        <Legend
          items={shown.map(({ status, i }) => ({
            label: name(status),
            color: STATUS_COLORS[i] ?? "",
            value: formatCount(plots.counts[i] ?? 0),
          }))}
        />
      </header>
      <Plot
        times={plots.times}
        stacked
        marks={marks}
        format={formatRate}
        axis={formatShort}
        lines={shown.map(({ status, i }) => ({
          label: name(status),
          color: STATUS_COLORS[i] ?? "",
          values: plots.rates[i] ?? [],
        }))}
        summary={`Payments per second over ${SPAN_NAMES[span.value]}. ${shown.map(({ status, i }) => `${name(status)}: ${plots.counts[i]}`).join(", ")}.`}
      />
    </article>
  );
}

function SuccessCard({ plots, marks }: { plots: Plots; marks: number[] }) {
  const shown = PROVIDERS.map((provider, i) => ({ provider, i })).filter(
    ({ provider, i }) => provider !== 0 || plots.successTotal[i] != null,
  );
  const name = (provider: number) => PROVIDER_LABELS[provider] ?? "Unknown";
  return (
    <article class="card">
      <header>
        <h2 title="Completed, of those that completed or failed; at each time, over the sixth of the window before it">
          Success rate
        </h2>
        <Legend
          items={shown.map(({ provider, i }) => ({
            label: name(provider),
            color: PROVIDER_COLORS[i] ?? "",
            value: formatPercent(plots.successTotal[i] ?? null),
          }))}
        />
      </header>
      <Plot
        times={plots.times}
        max={1}
        marks={marks}
        format={formatPercent}
        lines={shown.map(({ provider, i }) => ({
          label: name(provider),
          color: PROVIDER_COLORS[i] ?? "",
          values: plots.success[i] ?? [],
        }))}
        summary={`Share of payments that completed, of those that completed or failed, over ${SPAN_NAMES[span.value]}. ${shown
          .map(({ provider, i }) => `${name(provider)}: ${formatPercent(plots.successTotal[i] ?? null)}`)
          .join(", ")}.`}
      />
    </article>
  );
}

/** Sums of different currencies can't share an axis: each has a small plot of its own. */
function CurrencyCard({ plots }: { plots: Plots }) {
  const shown = plots.currencies.slice(0, 6);
  const more = plots.currencies.length - shown.length;
  return (
    <article class="card">
      <header>
        <h2>{filter.value.statuses.length > 0 ? "Amount by currency" : "Completed, by currency"}</h2>
        {more > 0 && <span class="note">and {more} more</span>}
      </header>
      {shown.length === 0 && <p class="note">No payment in this time.</p>}
      <ul class="currencies">
        {shown.map((c) => (
          <li key={c.code}>
            <b>{c.code}</b>
            <Spark values={c.steps} label={`${c.code} over ${SPAN_NAMES[span.value]}`} />
            <span class="total">{formatTotal(c.code, c.total)}</span>
            <span class="note">{formatCount(c.count)}</span>
          </li>
        ))}
      </ul>
    </article>
  );
}

function Spark({ values, label }: { values: number[]; label: string }) {
  const max = Math.max(...values) || 1;
  const points = values.map(
    (v, i) => `${((i / (values.length - 1)) * 200).toFixed(1)} ${(27 - (v / max) * 25).toFixed(1)}`,
  );
  return (
    <svg class="spark" viewBox="0 0 200 28" preserveAspectRatio="none" role="img" aria-label={label}>
      <path class="area" d={`M0 28L${points.join("L")}L200 28Z`} />
      <path class="line" d={`M${points.join("L")}`} />
    </svg>
  );
}

function Legend({ items }: { items: { label: string; color: string; value: string }[] }) {
  return (
    <ul class="legend">
      {items.map((item) => (
        <li key={item.label}>
          <i class={`dot ${item.color.slice(2)}`} />
          {item.label} <b>{item.value}</b>
        </li>
      ))}
    </ul>
  );
}

const PROVIDER_LABELS = ["Unknown", "Stripe", "Razorpay", "PayPal"];

/** A provider's name as it writes itself. */
export function providerLabel(provider: number): string {
  return PROVIDER_LABELS[provider] ?? title(providerName(provider));
}

/** COMPLETED as Completed. */
export function title(name: string): string {
  return name.charAt(0) + name.slice(1).toLowerCase();
}
