// Prints the same lines as connect.ts with plain @grpc/grpc-js, for those who have such a client
// already: nothing is needed but payment.proto. It shows the three things to copy: go on from the last
// cursor after a break, with a pause that grows; read 64-bit numbers as strings; and compute no money in
// floating point.
//
//   GATEWAY  where the gateways are, separated by commas (localhost:50051)

import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const proto = join(import.meta.dirname, "../../../proto/payment/payment.proto");
const { GATEWAY = "localhost:50051" } = process.env;

// What these options make of a payment: a double would not hold every int64, so those are strings.
const definition = loadSync(proto, { longs: String, enums: String, defaults: true });
interface Payment {
  id: string;
  provider: string | number;
  amount: number;
  amountMinor?: string; // unset where the currency has no exact minor units
  currency: string;
}
interface PaymentEvent {
  payment: Payment | null; // null in heartbeats, which this client does not ask for
  cursor: string; // may be empty: then the one before still holds
}

const { payment } = grpc.loadPackageDefinition(definition) as unknown as {
  payment: { PaymentService: grpc.ServiceClientConstructor };
};
const clients = GATEWAY.split(",").map((address) => {
  const secure = address.startsWith("https://");
  return new payment.PaymentService(
    address.replace(/^https?:\/\//, ""),
    secure ? grpc.credentials.createSsl() : grpc.credentials.createInsecure(),
    {
      // Finds out that a gateway is gone also when nobody says so.
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 5_000,
      // By itself it would wait up to two minutes before it connects again, and fail every call till then.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 5_000,
    },
  );
});

const stopping = new AbortController();
process.once("SIGINT", () => stopping.abort());
process.once("SIGTERM", () => stopping.abort());
process.stdout.once("error", () => stopping.abort()); // `| head` has had enough

// Several currencies share a sign: the code behind the number tells them apart.
const signs = new Map(
  (
    "AUD$ BDT৳ BRLR$ CAD$ CNY¥ CRC₡ EUR€ GBP£ GEL₾ GHS₵ HKD$ ILS₪ INR₹ JPY¥ " +
    "KRW₩ KZT₸ MXN$ NGN₦ NZD$ PHP₱ PYG₲ SGD$ THB฿ TRY₺ UAH₴ USD$ VND₫"
  )
    .split(" ")
    .map((text) => [text.slice(0, 3), text.slice(3)]),
);

// All gateways serve the same payments, and a cursor of one is good on every other.
let cursor = "";
let failures = 0;
while (!stopping.signal.aborted) {
  for (const client of clients) {
    await follow(client);
    if (stopping.signal.aborted) break;
    await pause(failures++);
  }
}
for (const client of clients) client.close();

/** Prints what one gateway sends, until that ends. */
async function follow(client: grpc.Client & Record<string, CallableFunction>): Promise<void> {
  const call: grpc.ClientReadableStream<PaymentEvent> = client.StreamPayments?.({ cursor });
  const cancel = () => call.cancel();
  stopping.signal.addEventListener("abort", cancel);
  try {
    for await (const event of call) {
      if (event.payment) print(event.payment);
      // Behind the work: a payment may come again after a break, but none is missed.
      if (event.cursor) cursor = event.cursor;
      failures = 0;
    }
  } catch (error) {
    if (!stopping.signal.aborted) recover(error as grpc.ServiceError);
  } finally {
    stopping.signal.removeEventListener("abort", cancel);
  }
}

function recover({ code, details }: grpc.ServiceError): void {
  console.error(`${grpc.status[code]}: ${details}`);
  switch (code) {
    // The gateway no longer has what comes after the cursor: take the latest states, then what follows.
    case grpc.status.OUT_OF_RANGE:
    case grpc.status.DATA_LOSS:
      cursor = "";
      break;
    // The same call would fail again, whatever gateway it asks.
    case grpc.status.INVALID_ARGUMENT:
    case grpc.status.FAILED_PRECONDITION:
    case grpc.status.UNIMPLEMENTED:
    case grpc.status.UNAUTHENTICATED:
    case grpc.status.PERMISSION_DENIED:
      process.exitCode = 1;
      stopping.abort();
  }
}

/** Waits 100 to 200 ms after the first failure, twice as long after each further one, up to 10 s. */
async function pause(failures: number): Promise<void> {
  const ms = Math.min(100 * 2 ** failures, 5000) * (1 + Math.random());
  const { signal } = stopping;
  await setTimeout(ms, undefined, { signal }).catch(() => {}); // it fails when the signal ends it early
}

function print(payment: Payment): void {
  // Ids are whatever stands on Kafka: keep them from steering the terminal.
  const id = payment.id.replace(/\p{Control}/gu, "?");
  console.log(`[LOG] ${id} | ${money(payment)} | ${providerName(payment)}`);
}

/** A provider that payment.proto does not name, but the gateway does, comes as a number. */
function providerName({ provider }: Payment): string {
  return String(provider).replace("PROVIDER_", "");
}

/** "$50.00 USD", exact: amountMinor is a whole number of the currency's smallest unit. */
function money({ amountMinor, amount, currency }: Payment): string {
  const sign = signs.get(currency) ?? "";
  // Only where there is no exact amount, the double is taken, as it is.
  if (amountMinor === undefined) return `${sign}${amount} ${currency}`;
  const digits = minorDigits(currency);
  const unit = 10n ** BigInt(digits);
  const minor = BigInt(amountMinor);
  const fraction = digits > 0 ? `.${String(minor % unit).padStart(digits, "0")}` : "";
  return `${sign}${(minor / unit).toLocaleString("en-US")}${fraction} ${currency}`;
}

/** The digits of a currency's minor unit in ISO 4217. Not Intl's, which are others for some currencies. */
function minorDigits(currency: string): number {
  if (/BIF|CLP|DJF|GNF|ISK|JPY|KMF|KRW|PYG|RWF|UGX|UYI|VND|VUV|XAF|XOF|XPF/.test(currency)) return 0;
  if (/BHD|IQD|JOD|KWD|LYD|OMR|TND/.test(currency)) return 3;
  return /CLF|UYW/.test(currency) ? 4 : 2;
}
