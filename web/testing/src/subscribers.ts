// Subscribes to gateways in several ways, and prints what each subscriber is handed and what becomes of
// it, for a test that is no JavaScript: a line each, its fields separated by tabs.
//
//   node --experimental-eventsource subscribers.ts NAME KIND ADDRESS [NAME KIND ADDRESS ...]
//
// KIND is a protocol of @paystream/client, as it is installed, or sse, which is Node's own EventSource.
//
//   NAME payment PARTITION OFFSET ID
//   NAME state WHAT
//   NAME ended WHY       which none of them should

import { type PaymentMessage, type Protocol, type StreamState, streamPayments } from "@paystream/client";

function print(...fields: unknown[]): void {
  process.stdout.write(`${fields.join("\t")}\n`);
}

async function subscribe(name: string, protocol: Protocol, addresses: string): Promise<void> {
  const onState = (state: StreamState) => print(name, "state", words(state));
  try {
    for await (const message of streamPayments({ addresses, protocol, onState, onGap })) take(name, message);
    print(name, "ended", "the loop has ended");
  } catch (error) {
    print(name, "ended", error);
  }
}

function take(name: string, { payment, partition, offset }: PaymentMessage): void {
  print(name, "payment", partition, offset, payment.id);
}

function words(state: StreamState): string {
  return state.name === "retrying" ? `retrying: ${state.reason}` : state.name;
}

function onGap(): void {
  throw new Error("a gap");
}

function listen(name: string, address: string): void {
  const source = new EventSource(`${address}/payments/stream`);
  source.onopen = () => print(name, "state", "live");
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) print(name, "ended", "the EventSource has given up");
    else print(name, "state", "retrying");
  };
  source.onmessage = ({ data }) => {
    const { payment, partition, offset } = JSON.parse(data);
    print(name, "payment", partition, offset, payment.id);
  };
}

const args = process.argv.slice(2);
for (let i = 0; i + 2 < args.length; i += 3) {
  const [name, kind, address] = args.slice(i, i + 3) as [string, Protocol | "sse", string];
  if (kind === "sse") listen(name, address);
  else void subscribe(name, kind, address);
}
