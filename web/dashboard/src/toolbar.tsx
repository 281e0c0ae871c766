import {
  formatMoney,
  type PaymentMessage,
  PaymentStatus,
  type Provider,
  statusName,
} from "@paystream/client";
import { useSignal } from "@preact/signals";
import { toCSV, toNDJSON } from "./data/export";
import { EVERYTHING, PROVIDERS, STATUSES, toggled } from "./data/filter";
import { formatCount } from "./format";
import { providerLabel, title } from "./plots";
import { detail, filter, lookup, store } from "./state";

/** Filters, search, export and pause. */
export function Toolbar() {
  const { providers, statuses, id } = filter.value;
  const any = providers.length > 0 || statuses.length > 0 || id !== "";
  return (
    <div class="toolbar" role="toolbar" aria-label="Filters">
      <Search />
      <fieldset class="chips">
        <legend class="hidden">Provider</legend>
        {PROVIDERS.map((p: Provider) => (
          <Chip
            key={p}
            label={providerLabel(p)}
            on={providers.includes(p)}
            onClick={() => (filter.value = { ...filter.value, providers: toggled(providers, PROVIDERS, p) })}
          />
        ))}
      </fieldset>
      <fieldset class="chips">
        <legend class="hidden">Status</legend>
        {STATUSES.map((s: PaymentStatus) => (
          <Chip
            key={s}
            label={s === PaymentStatus.STATUS_UNKNOWN ? "No status" : title(statusName(s))}
            dot={statusName(s).toLowerCase()}
            on={statuses.includes(s)}
            onClick={() => (filter.value = { ...filter.value, statuses: toggled(statuses, STATUSES, s) })}
          />
        ))}
      </fieldset>
      {any && (
        <button type="button" class="link" onClick={() => (filter.value = EVERYTHING)}>
          Clear
        </button>
      )}
      <span class="spring" />
      <Shown />
      <Export />
      <button
        type="button"
        id="pause"
        class="button"
        aria-pressed={store.paused.value}
        onClick={() => store.setPaused(!store.paused.value)}
        title="Key p"
      >
        {store.paused.value ? "▶ Resume" : "❚❚ Pause"}
      </button>
    </div>
  );
}

function Chip(props: { label: string; on: boolean; dot?: string; onClick: () => void }) {
  return (
    <button type="button" class="chip" aria-pressed={props.on} onClick={props.onClick}>
      {props.dot && <i class={`dot ${props.dot}`} />}
      {props.label}
    </button>
  );
}

function Search() {
  return (
    <label class="search">
      <span class="hidden">Search by payment id</span>
      <input
        id="search"
        type="search"
        placeholder="Search by payment id"
        autocomplete="off"
        spellcheck={false}
        maxLength={200}
        value={filter.value.id}
        onInput={(e) => (filter.value = { ...filter.value, id: e.currentTarget.value })}
      />
      <kbd>/</kbd>
    </label>
  );
}

/** What the gateway knows of the id that is searched for: it may have more than this page. */
export function LookupResult() {
  const result = lookup.value;
  store.version.value;
  // What the table shows is newer than any answer.
  if (!result || (result.state === "found" && inTable(result.payment.id))) return null;
  return (
    <div class={`lookup ${result.state}`} id="lookup" role="status">
      {result.state === "asking" && "Asking the gateway…"}
      {result.state === "none" && "The gateway retains no payment with exactly this id."}
      {result.state === "failed" && `The gateway can't be asked: ${result.reason}`}
      {result.state === "found" && (
        <>
          <span>
            Not on this page, but at the gateway: <b>{formatMoney(result.payment)}</b>,{" "}
            {title(statusName(result.payment.status))}
          </span>
          <button type="button" class="link" onClick={() => (detail.value = { payment: result.payment })}>
            Show it
          </button>
        </>
      )}
    </div>
  );
}

function inTable(id: string): boolean {
  for (const row of store.view) if (row.kind === "payment" && row.event.payment.id === id) return true;
  return false;
}

function Shown() {
  store.version.value;
  return (
    <span class="note shown" id="shown">
      {formatCount(store.view.length)} shown
    </span>
  );
}

/** Saves what the table shows. */
function Export() {
  const open = useSignal(false);
  const save = (name: string, type: string, write: (events: Iterable<PaymentMessage>) => string[]) => {
    open.value = false;
    const url = URL.createObjectURL(new Blob(write(shownEvents()), { type }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `payments-${new Date().toISOString().replace(/[:.]/g, "-")}.${name}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only closes what its button has opened
    <div
      class="menu"
      onFocusOut={(e) => {
        if (!e.currentTarget.contains(e.relatedTarget as Node | null)) open.value = false;
      }}
      onKeyDown={(e) => {
        if (e.key !== "Escape" || !open.value) return;
        e.stopPropagation(); // this Escape is spent
        e.currentTarget.querySelector("button")?.focus();
        open.value = false;
      }}
    >
      <button
        type="button"
        id="export"
        class="button"
        aria-expanded={open.value}
        onClick={() => (open.value = !open.value)}
      >
        ⤓ Export
      </button>
      {open.value && (
        <div class="items">
          <button type="button" onClick={() => save("csv", "text/csv", toCSV)}>
            CSV <span class="note">for spreadsheets</span>
          </button>
          <button type="button" onClick={() => save("ndjson", "application/x-ndjson", toNDJSON)}>
            NDJSON <span class="note">whole events</span>
          </button>
        </div>
      )}
    </div>
  );
}

function* shownEvents(): Generator<PaymentMessage> {
  for (const row of store.view) if (row.kind === "payment") yield row.event;
}
