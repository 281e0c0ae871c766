import { PaymentStatus } from "@paystream/client";
import { STATUSES } from "./data/filter";
import type { Plots } from "./data/series";
import { formatCount, formatLatency, formatPercent, formatRate } from "./format";
import { store } from "./state";

/** The numbers that say how it goes. They are drawn with the plots, once a second. */
export function Figures({ plots }: { plots: Plots }) {
  const now = store.now();
  const [p50, p99] = store.latencies.quantiles([0.5, 0.99], now) ?? [];
  const failed = plots.counts[STATUSES.indexOf(PaymentStatus.STATUS_FAILED)] ?? 0;
  const offset = store.offset.value;
  const corrected = offset
    ? `The gateway's clock is ${Math.round(offset.ms)} ms ahead of this one (within ${Math.ceil(offset.within)} ms): taken off.`
    : "Not corrected for a difference between the clocks.";
  return (
    <section class="figures" aria-label="Figures">
      <Figure
        id="throughput"
        label="Throughput"
        value={formatRate(store.rate.perSecond(Date.now(), store.openedAt))}
        unit="/s"
        hint="New payments, over the last ten seconds"
      />
      <Figure
        id="success"
        label="Success rate"
        value={formatPercent(plots.successOverall)}
        hint="Completed, of those that completed or failed, in the plots' time"
      />
      <Figure
        id="failed"
        label="Failed"
        value={formatCount(failed)}
        hint="In the plots' time"
        bad={failed > 0}
      />
      <Figure
        id="p50"
        label="Latency p50"
        value={formatLatency(p50)[0]}
        unit={formatLatency(p50)[1]}
        hint={`From Kafka to this page, over the last minute. ${corrected}`}
      />
      <Figure
        id="p99"
        label="Latency p99"
        value={formatLatency(p99)[0]}
        unit={formatLatency(p99)[1]}
        hint={`From Kafka to this page, over the last minute. ${corrected}`}
      />
      <Figure
        id="received"
        label="Received"
        value={formatCount(store.received)}
        hint="Since this page was opened, those included that were there already"
      />
    </section>
  );
}

function Figure(props: {
  id: string;
  label: string;
  value: string;
  unit?: string;
  hint: string;
  bad?: boolean;
}) {
  return (
    <div class="figure" title={props.hint}>
      <span class="label">{props.label}</span>
      <output id={props.id} class={props.bad ? "bad" : ""} aria-live="off">
        {props.value}
        {props.unit && <small>{props.unit}</small>}
      </output>
    </div>
  );
}
