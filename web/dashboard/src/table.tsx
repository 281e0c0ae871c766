import { formatMoney, type PaymentMessage, providerName, statusName } from "@paystream/client";
import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { GapRow, Row } from "./data/rows";
import { clip, formatCount, formatTime } from "./format";
import { providerLabel, title } from "./plots";
import { active, detail, filter, narrow, store } from "./state";

/** Rows beyond the edge that are drawn too, so that none is missing while scrolling. */
const BEYOND = 8;
const rowHeight = () => (narrow.matches ? 66 : 40);

/** The payments, the newest on top. Only the rows in sight are in the document. */
export function Table() {
  const scroller = useRef<HTMLDivElement>(null);
  const top = useSignal(0); // the first row in sight
  const inSight = useSignal(20);
  const height = useSignal(rowHeight());

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const measure = () => {
      height.value = rowHeight();
      inSight.value = Math.ceil(element.clientHeight / height.value);
      top.value = Math.floor(element.scrollTop / height.value);
    };
    measure();
    const resized = new ResizeObserver(measure);
    resized.observe(element);
    return () => resized.disconnect();
  }, [height, inSight, top]);

  const onScroll = () => {
    const at = scroller.current?.scrollTop ?? 0;
    top.value = Math.floor(at / height.value);
    store.setScrolled(at > height.value / 2);
  };
  const toTop = () => {
    active.value = null;
    scroller.current?.scrollTo({ top: 0 });
    top.value = 0;
    store.goOn();
  };

  return (
    <section class="table" aria-label="Payments">
      <div
        class="grid"
        role="grid"
        id="payments"
        aria-label="Payments, the newest first"
        aria-rowcount={-1}
        aria-colcount={7}
        aria-activedescendant={active.value === null ? undefined : `row-${active.value}`}
        tabIndex={0}
        ref={scroller}
        onScroll={onScroll}
        onKeyDown={(e) => onKey(e, scroller.current, toTop)}
      >
        <div class="row head" role="row" aria-rowindex={1}>
          {["Time", "Payment", "Provider", "Amount", "Status", "E-mail", "Partition · offset"].map((name) => (
            <span key={name} role="columnheader">
              {name}
            </span>
          ))}
        </div>
        <Body top={top.value} inSight={inSight.value} height={height.value} />
      </div>
      <NewRows onClick={toTop} />
    </section>
  );
}

function Body({ top, inSight, height }: { top: number; inSight: number; height: number }) {
  store.version.value; // draws again when rows have come
  const { view } = store;
  const first = Math.max(0, top - BEYOND);
  const last = Math.min(view.length, top + inSight + BEYOND);
  const rows: Row[] = [];
  for (let i = first; i < last; i++) {
    const row = view.at(i);
    if (row) rows.push(row);
  }
  if (view.length === 0) return <Empty />;
  // A row keeps its element while it is drawn, so that scrolling changes only what comes into sight; and the
  // elements are taken again for other rows, so that a thousand rows a second change texts, not elements.
  const elements = inSight + 2 * BEYOND;
  return (
    <div class="rows" role="rowgroup" style={{ height: `${view.length * height}px` }}>
      {rows.map((row, i) => (
        <Line
          key={view.ordinalAt(first + i) % elements}
          row={row}
          y={(first + i) * height}
          index={first + i}
        />
      ))}
    </div>
  );
}

function Line({ row, y, index }: { row: Row; y: number; index: number }) {
  const attributes = {
    id: `row-${row.seq}`,
    role: "row" as const,
    "aria-rowindex": index + 2,
    style: { transform: `translateY(${y}px)` },
  };
  if (row.kind === "gap") return <GapLine row={row} attributes={attributes} />;
  const { event } = row;
  const p = event.payment;
  const status = statusName(p.status);
  const selected = detail.value && "seq" in detail.value && detail.value.seq === row.seq;
  return (
    <div
      {...attributes}
      class={`row${selected ? " selected" : ""}${active.value === row.seq ? " active" : ""}`}
      aria-selected={Boolean(selected)}
      data-id={clip(p.id)}
      onClick={() => show(event, row.seq)}
    >
      <span role="gridcell" class="time">
        {formatTime(Number(event.publishedAt))}
      </span>
      <span role="gridcell" class="id">
        {clip(p.id)}
      </span>
      <span role="gridcell" class={`provider ${providerName(p.provider).toLowerCase()}`}>
        {providerLabel(p.provider)}
      </span>
      <span role="gridcell" class="amount">
        {formatMoney(p)}
      </span>
      <span role="gridcell" class="status">
        <span class={`badge ${status.toLowerCase()}`}>{title(status)}</span>
      </span>
      <span role="gridcell" class="email">
        {clip(p.customerEmail)}
      </span>
      <span role="gridcell" class="offset">
        {event.partition} · {String(event.offset)}
      </span>
    </div>
  );
}

function GapLine({ row, attributes }: { row: GapRow; attributes: object }) {
  return (
    <div {...attributes} class="row gap" title={gapText(row)}>
      <span role="gridcell">
        <b>{row.gap ? "Payments are missing here." : "A new beginning."}</b> {gapText(row)}
      </span>
    </div>
  );
}

function gapText({ gap }: GapRow): string {
  if (!gap) return "From here on the gateway reads another topic, or the topic was made anew.";
  const ranges = gap.ranges.map(({ partition, from, to }) =>
    to < from
      ? `partition ${partition}, offsets ${to} to ${from - 1n}, which were shown and which Kafka has lost`
      : `partition ${partition}, offsets ${from} to ${to - 1n}`,
  );
  return ranges.length > 0 ? `${ranges.join("; ")}: ${gap.reason}` : gap.reason;
}

function Empty() {
  const filtered = useComputed(
    () => filter.value.id !== "" || filter.value.providers.length > 0 || filter.value.statuses.length > 0,
  );
  return (
    <div class="empty" role="row">
      <span role="gridcell">
        {filtered.value ? "No payment that has come matches." : "Waiting for the first payment."}
      </span>
    </div>
  );
}

/** Says how many have come since the table is held, and brings them. */
function NewRows({ onClick }: { onClick: () => void }) {
  store.version.value;
  const { waiting } = store.view;
  if (waiting === 0) return null;
  return (
    <button type="button" class="new-rows" id="new-rows" onClick={onClick}>
      ↑ {formatCount(waiting)} new
    </button>
  );
}

function show(event: PaymentMessage, seq: number): void {
  detail.value = { event, seq };
  active.value = seq;
}

function onKey(e: KeyboardEvent, scroller: HTMLElement | null, toTop: () => void): void {
  const { view } = store;
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[e.key];
  if (step !== undefined) {
    e.preventDefault();
    // Whoever walks through the rows does not want them to walk away.
    view.hold();
    const at = active.value === null ? -1 : view.indexOf(active.value);
    const first = Math.ceil((scroller?.scrollTop ?? 0) / rowHeight());
    const index = Math.min(Math.max(at < 0 ? first : at + step, 0), view.length - 1);
    const row = view.at(index);
    if (!row) return;
    active.value = row.seq;
    if (detail.value && row.kind === "payment") show(row.event, row.seq);
    if (scroller) intoSight(scroller, index);
    store.refresh();
  } else if (e.key === "Enter" && active.value !== null) {
    const row = store.rows.get(active.value);
    if (row?.kind === "payment") show(row.event, row.seq);
  } else if (e.key === "Home") {
    e.preventDefault();
    toTop();
  } else if (e.key === "End") {
    e.preventDefault();
    scroller?.scrollTo({ top: scroller.scrollHeight });
  }
}

function intoSight(scroller: HTMLElement, index: number): void {
  const height = rowHeight();
  const head = narrow.matches ? 0 : height;
  const y = index * height;
  if (y < scroller.scrollTop) scroller.scrollTop = y;
  else if (y + height + head > scroller.scrollTop + scroller.clientHeight) {
    scroller.scrollTop = y + height + head - scroller.clientHeight;
  }
}
