import { PaymentStatus, Provider } from "@paystream/client";

/** What the viewer wants to see. An empty list of providers or statuses means all of them. */
export interface Filter {
  readonly providers: readonly Provider[];
  readonly statuses: readonly PaymentStatus[];
  /** A part of the payment's id, in any case. */
  readonly id: string;
}

export const EVERYTHING: Filter = { providers: [], statuses: [], id: "" };

export const PROVIDERS: readonly Provider[] = [
  Provider.STRIPE,
  Provider.RAZORPAY,
  Provider.PAYPAL,
  Provider.UNKNOWN,
];

/** In the order in which a payment usually has them. */
export const STATUSES: readonly PaymentStatus[] = [
  PaymentStatus.STATUS_PENDING,
  PaymentStatus.STATUS_COMPLETED,
  PaymentStatus.STATUS_FAILED,
  PaymentStatus.STATUS_REFUNDED,
  PaymentStatus.STATUS_UNKNOWN,
];

/** The spans of time that the plots can show, in seconds. */
export const WINDOWS = [60, 300, 900, 3600] as const;

/** Reports whether a provider and a status pass. A value that this page does not know counts as unknown. */
export function passes(filter: Filter, provider: Provider, status: PaymentStatus): boolean {
  return has(filter.providers, PROVIDERS, provider) && has(filter.statuses, STATUSES, status);
}

function has<T>(wanted: readonly T[], known: readonly T[], value: T): boolean {
  return wanted.length === 0 || wanted.includes(known.includes(value) ? value : (0 as T));
}

/** Adds a value to a list, or takes it out; all of them is none of them. */
export function toggled<T>(list: readonly T[], all: readonly T[], value: T): T[] {
  const next = all.filter((v) => (v === value) !== list.includes(v));
  return next.length === all.length ? [] : next;
}

const PROVIDER_NAMES = ["unknown", "stripe", "razorpay", "paypal"];
const STATUS_NAMES = ["unknown", "pending", "completed", "failed", "refunded"];

/** What a link carries. */
export interface Link {
  filter: Filter;
  window: number;
}

/** Reads a link's query. What makes no sense in it is left out. */
export function parseLink(query: string): Link {
  const params = new URLSearchParams(query);
  const list = (name: string, names: string[]) => {
    const asked = (params.get(name) ?? "").toLowerCase().split(",");
    return names.flatMap((n, value) => (asked.includes(n) ? [value] : []));
  };
  const minutes = Number(params.get("window")) * 60;
  return {
    filter: {
      providers: list("provider", PROVIDER_NAMES),
      statuses: list("status", STATUS_NAMES),
      id: (params.get("id") ?? "").slice(0, 200),
    },
    window: WINDOWS.find((w) => w === minutes) ?? 300,
  };
}

/** Writes a link's query, with what differs from the default. */
export function formatLink({ filter, window }: Link): string {
  const parts: string[] = [];
  const add = (name: string, value: string) => value && parts.push(`${name}=${value}`);
  add("provider", filter.providers.map((p) => PROVIDER_NAMES[p]).join(","));
  add("status", filter.statuses.map((s) => STATUS_NAMES[s]).join(","));
  // Half a character, as cutting a text leaves it, has no place in a link.
  add("id", encodeURIComponent(filter.id.replace(/\p{Surrogate}/gu, "")));
  if (window !== 300) add("window", String(window / 60));
  return parts.length > 0 ? `?${parts.join("&")}` : "";
}
