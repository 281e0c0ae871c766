import { toJsonString } from "@bufbuild/protobuf";
import { formatMoney, type Payment, type PaymentMessage, PaymentSchema, statusName } from "@paystream/client";
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { eventJSON } from "./data/export";
import type { PaymentRow } from "./data/rows";
import { formatFullTime, formatTime } from "./format";
import { providerLabel, title } from "./plots";
import { detail, store } from "./state";

/** Closes the panel. The focus that was in it goes to the table, where it came from. */
export function closeDetail(): void {
  const panel = document.getElementById("detail");
  if (panel?.contains(document.activeElement))
    document.getElementById("payments")?.focus({ preventScroll: true });
  detail.value = null;
}

/** All that is known of one payment. */
export function DetailPanel() {
  const shown = detail.value;
  if (!shown) return null;
  const event = "event" in shown ? shown.event : undefined;
  const payment = "event" in shown ? shown.event.payment : shown.payment;
  const status = statusName(payment.status);
  return (
    <aside class="detail" id="detail" aria-label="Payment">
      <header>
        <div>
          <span class={`badge ${status.toLowerCase()}`}>{title(status)}</span>
          <p class="sum">{formatMoney(payment)}</p>
        </div>
        <button type="button" class="icon" aria-label="Close" title="Close (Escape)" onClick={closeDetail}>
          ✕
        </button>
      </header>
      <div class="scroll">
        <dl>
          <Field name="Payment" value={payment.id} copy />
          <Field name="Provider" value={providerLabel(payment.provider)} />
          <Field name="E-mail" value={payment.customerEmail} copy />
          <Field name="Created" value={formatFullTime(Number(payment.createdAt) * 1000)} />
          <Field
            name="On Kafka"
            value={formatFullTime(event ? Number(event.publishedAt) : Number(payment.processedAt) * 1000)}
          />
          {event && <Field name="Topic" value={event.topic} />}
          {event && <Field name="Partition · offset" value={`${event.partition} · ${event.offset}`} />}
          {event && <Field name="Cursor" value={event.cursor} copy code />}
        </dl>
        {!event && (
          <p class="note">
            The latest state that the gateway retains. It came before this page, so its event and cursor are
            not here.
          </p>
        )}
        <History payment={payment} shown={event} />
        <Metadata metadata={payment.metadata} />
        <Raw event={event} payment={payment} />
      </div>
    </aside>
  );
}

function Section({
  name,
  action,
  children,
}: {
  name: string;
  action?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section>
      <header>
        <h3>{name}</h3>
        {action}
      </header>
      {children}
    </section>
  );
}

/** A text that may be too long for its place scrolls there, and must take the focus for that. */
const stop = (text = "") => (text.length > 80 ? 0 : undefined);

function Field({ name, value, copy, code }: { name: string; value: string; copy?: boolean; code?: boolean }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class={code ? "code" : ""}>
        <span tabIndex={stop(value)}>{value || "–"}</span>
        {copy && value && <Copy what={name} text={value} />}
      </dd>
    </div>
  );
}

/** The states of this payment that have come to this page, the newest first. */
function History({ payment, shown }: { payment: Payment; shown: PaymentMessage | undefined }) {
  const states = useStates(payment.id);
  if (states.length < 2) return null;
  return (
    <Section name="History">
      <ol class="history">
        {states.toReversed().map(({ event, seq }) => {
          const status = statusName(event.payment.status);
          return (
            <li key={seq} aria-current={event === shown ? "true" : undefined}>
              <button type="button" onClick={() => (detail.value = { event, seq })}>
                <i class={`dot ${status.toLowerCase()}`} />
                <span>{title(status)}</span>
                <time>{formatTime(Number(event.publishedAt))}</time>
              </button>
            </li>
          );
        })}
      </ol>
    </Section>
  );
}

/** The rows of one payment, the oldest first and the last 20 of them. Each row is looked at once. */
function useStates(id: string): PaymentRow[] {
  store.version.value; // draws again when rows have come
  const { rows } = store;
  const known = useRef({ id, end: 0, states: [] as PaymentRow[] });
  if (known.current.id !== id) known.current = { id, end: 0, states: [] };
  const { end, states } = known.current;
  for (let seq = Math.max(end, rows.start); seq < rows.end; seq++) {
    const row = rows.get(seq);
    if (row?.kind === "payment" && row.event.payment.id === id) states.push(row);
  }
  known.current = { id, end: rows.end, states: states.filter((row) => row.seq >= rows.start).slice(-20) };
  return known.current.states;
}

function Metadata({ metadata }: { metadata: Record<string, string> }) {
  const keys = Object.keys(metadata).sort();
  return (
    <Section name="Metadata">
      {keys.length === 0 && <p class="note">None.</p>}
      <dl class="metadata">
        {keys.map((key) => (
          <div key={key}>
            <dt tabIndex={stop(key)}>{key}</dt>
            <dd>
              <span tabIndex={stop(metadata[key])}>{metadata[key]}</span>
            </dd>
          </div>
        ))}
      </dl>
    </Section>
  );
}

function Raw({ event, payment }: { event: PaymentMessage | undefined; payment: Payment }) {
  const text = event
    ? eventJSON(event, true)
    : toJsonString(PaymentSchema, payment, { alwaysEmitImplicit: true, prettySpaces: 2 });
  return (
    <Section name={event ? "Raw event" : "Raw payment"} action={<Copy what="JSON" text={text} />}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must take the focus, for the keyboard */}
      <pre tabIndex={0}>{text}</pre>
    </Section>
  );
}

export function Copy({ what, text }: { what: string; text: string }) {
  const done = useSignal<"" | "Copied" | "Not allowed">("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text); // a page that came over plain HTTP has no clipboard
      done.value = "Copied";
    } catch {
      done.value = "Not allowed";
    }
    setTimeout(() => (done.value = ""), 1500);
  };
  return (
    <button type="button" class="copy" aria-label={`Copy ${what}`} onClick={copy}>
      <span aria-live="polite">{done.value || "Copy"}</span>
    </button>
  );
}
