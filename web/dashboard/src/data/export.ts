import { toJsonString } from "@bufbuild/protobuf";
import {
  decimalAmount,
  PaymentEventSchema,
  type PaymentMessage,
  providerName,
  statusName,
} from "@paystream/client";

const COLUMNS = [
  "published_at",
  "id",
  "provider",
  "amount",
  "currency",
  "status",
  "customer_email",
  "partition",
  "offset",
  "created_at",
  "metadata",
];

/** Writes payments as RFC 4180 has it, with a line of headings. */
export function toCSV(events: Iterable<PaymentMessage>): string[] {
  const lines = [`${COLUMNS.join(",")}\r\n`];
  for (const event of events) {
    const p = event.payment;
    const fields = [
      isoTime(Number(event.publishedAt)),
      p.id,
      providerName(p.provider),
      decimalAmount(p),
      p.currency,
      statusName(p.status),
      p.customerEmail,
      String(event.partition),
      String(event.offset),
      isoTime(Number(p.createdAt) * 1000),
      JSON.stringify(p.metadata),
    ];
    lines.push(`${fields.map(field).join(",")}\r\n`);
  }
  return lines;
}

/**
 * A field in quotes where it needs them. A spreadsheet would run what begins like a formula, and a
 * payment's fields come from strangers: those get an apostrophe in front, as OWASP advises.
 */
function field(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Writes events as the gateway's own NDJSON does, one a line. */
export function toNDJSON(events: Iterable<PaymentMessage>): string[] {
  return Array.from(events, (event) => `${eventJSON(event)}\n`);
}

/** An event in protobuf's JSON, default values written; pretty for people. */
export function eventJSON(event: PaymentMessage, pretty = false): string {
  return toJsonString(PaymentEventSchema, event, { alwaysEmitImplicit: true, prettySpaces: pretty ? 2 : 0 });
}

/** ISO 8601, or nothing where the time is none that a calendar has. */
export function isoTime(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
}
