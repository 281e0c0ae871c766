// Prints a line for each payment as it arrives, with the library @paystream/client, which speaks gRPC
// here. Whatever breaks, it goes on where it was, at the same gateway or the next.
//
//   GATEWAY      where the gateways are, separated by commas (http://localhost:50051)
//   CURSOR_FILE  remembers how far it has come, so that the next run goes on there

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { formatMoney, type Gap, providerName, type StreamState, streamPayments } from "@paystream/client";

const { GATEWAY = "http://localhost:50051", CURSOR_FILE } = process.env;
const addresses = GATEWAY.split(",").map((a) => (a.includes("://") ? a : `http://${a}`));

const stopping = new AbortController();
process.once("SIGINT", () => stopping.abort());
process.once("SIGTERM", () => stopping.abort());
process.stdout.once("error", () => stopping.abort()); // `| head` has had enough

const payments = streamPayments({
  addresses,
  cursor: load(),
  signal: stopping.signal,
  onState: (state) => console.error(describe(state)),
  onGap: (gap) => console.error(`payments are missing: ${missing(gap)}`),
});

try {
  for await (const { payment } of payments) {
    // Ids are whatever stands on Kafka: keep them from steering the terminal.
    const id = payment.id.replace(/\p{Control}/gu, "?");
    console.log(`[LOG] ${id} | ${formatMoney(payment, "en-US")} | ${providerName(payment.provider)}`);
    save(payments.cursor);
  }
} catch (error) {
  // The library throws only what no other try can mend.
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

function load(): string | undefined {
  if (!CURSOR_FILE || !existsSync(CURSOR_FILE)) return undefined;
  return readFileSync(CURSOR_FILE, "utf8").trim();
}

// Save the cursor behind what you made of the payment, or together with it in one transaction: then none
// is missed, and at worst one comes again.
function save(cursor: string | undefined): void {
  if (!CURSOR_FILE || !cursor) return;
  writeFileSync(`${CURSOR_FILE}.new`, `${cursor}\n`);
  renameSync(`${CURSOR_FILE}.new`, CURSOR_FILE); // never half a cursor
}

function describe(state: StreamState): string {
  switch (state.name) {
    case "connecting":
      return `connecting to ${state.address}`;
    case "existing":
      return `existing payments from ${state.address}`;
    case "live":
      return `new payments from ${state.address}, as they arrive`;
    case "retrying":
      return `${state.reason}; next try in ${Math.max(0, Math.round(state.at - Date.now()))} ms`;
    case "ended":
      return "ended";
  }
}

function missing(gap: Gap): string {
  const ranges = gap.ranges.map((r) => `partition ${r.partition} from ${r.from} to ${r.to - 1n}`);
  return ranges.join(", ") || gap.reason;
}
