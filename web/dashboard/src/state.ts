import { Code, ConnectError, getPayment, type Payment, type PaymentMessage } from "@paystream/client";
import { effect, signal } from "@preact/signals";
import { formatLink, parseLink } from "./data/filter";
import { Store } from "./data/store";

/** What this gateway is, as it says in the page itself. */
export interface GatewayInfo {
  topic?: string;
  lines?: { label: string; command: string }[];
}

export const gateway: GatewayInfo = JSON.parse(document.getElementById("gateway")?.textContent || "{}");
export const address = location.origin;
export const store = new Store(address);
/** Where the window is narrow, rows have two lines, and the plots stand in one that scrolls. */
export const narrow = matchMedia("(max-width: 760px)");

const link = parseLink(location.search);
export const filter = signal(link.filter);
/** The plots' span, in seconds. */
export const span = signal(link.window);

/** What the detail panel shows: an event of the stream, or a payment that the gateway was asked for. */
export type Detail = { event: PaymentMessage; seq: number } | { payment: Payment };
export const detail = signal<Detail | null>(null);
/** The row that the keyboard stands on, by its sequence number. */
export const active = signal<number | null>(null);

/** What the gateway says of an id that was searched for. */
export type Lookup =
  | { state: "asking" }
  | { state: "found"; payment: Payment }
  | { state: "none" }
  | { state: "failed"; reason: string };
export const lookup = signal<Lookup | null>(null);

effect(() => {
  store.view.setFilter(filter.value);
  store.refresh();
});

effect(() => {
  const query = formatLink({ filter: filter.value, window: span.value });
  if (query !== location.search) history.replaceState(null, "", location.pathname + query);
});

// The gateway is asked once the typing pauses; the answer to an older question is not waited for.
effect(() => {
  const id = filter.value.id.trim();
  lookup.value = id === "" ? null : { state: "asking" };
  if (id === "") return;
  const asking = new AbortController();
  const timer = setTimeout(async () => {
    const { signal } = asking;
    try {
      const payment = await getPayment(id, { addresses: address, signal });
      if (!signal.aborted) lookup.value = { state: "found", payment };
    } catch (error) {
      if (signal.aborted) return;
      const notFound = ConnectError.from(error).code === Code.NotFound;
      lookup.value = notFound
        ? { state: "none" }
        : { state: "failed", reason: ConnectError.from(error).rawMessage };
    }
  }, 250);
  return () => {
    clearTimeout(timer);
    asking.abort();
  };
});
