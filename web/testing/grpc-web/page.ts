// A page with Google's own client, as its users have it: it calls a gateway of another origin, prints a
// line for each payment, and goes on from the last cursor when the gateway goes. Only the messages are
// not Google's: their code generator is no npm package.
//
//   ?gateway=   its base URL
//   &format=    text, in which streams arrive as they come; or binary, which is for single answers
//   &call=      stream, list, or the id of a payment to get
//   &deadline=  how long a stream may last, in ms

import { create, type DescMethod, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { formatMoney, type Payment, PaymentService, providerName } from "@paystream/client";
import { GrpcWebClientBase, MethodDescriptor, MethodType, StatusCode } from "grpc-web";

const query = new URLSearchParams(location.search);
const gateway = query.get("gateway") ?? "";
const call = query.get("call") ?? "stream";
const client = new GrpcWebClientBase({ format: query.get("format") ?? "text" });

/** A method as Google's generator would describe it. */
function describe<M extends DescMethod>({ input, output, parent, name, methodKind }: M) {
  type Constructor<T> = new () => T; // the client does not call them
  return new MethodDescriptor<MessageShape<M["input"]>, MessageShape<M["output"]>>(
    `/${parent.typeName}/${name}`,
    methodKind === "server_streaming" ? MethodType.SERVER_STREAMING : MethodType.UNARY,
    Object as unknown as Constructor<MessageShape<M["input"]>>,
    Object as unknown as Constructor<MessageShape<M["output"]>>,
    (message: MessageShape<M["input"]>) => toBinary(input, message),
    (bytes: Uint8Array) => fromBinary(output, bytes),
  );
}

const { streamPayments, listPayments, getPayment } = PaymentService.method;
let cursor = "";

function stream(): void {
  const method = describe(streamPayments);
  const deadline = Number(query.get("deadline") ?? 0);
  const metadata: Record<string, string> = deadline ? { deadline: String(Date.now() + deadline) } : {};
  const request = create(streamPayments.input, { cursor });
  tell("open");
  const events = client.serverStreaming(gateway + method.getName(), request, metadata, method);
  events.on("data", (event) => {
    if (event.payment) print(event.payment);
    if (event.cursor) cursor = event.cursor;
  });
  events.on("error", (error) => {
    tell(String(error));
    // A connection that is refused, or cut while its answer begins, is UNKNOWN to this client.
    const passes = error.code === StatusCode.UNAVAILABLE || error.code === StatusCode.UNKNOWN;
    if (passes) setTimeout(stream, 200);
  });
}

async function unary(): Promise<void> {
  if (call === "list") {
    const method = describe(listPayments);
    const request = create(listPayments.input);
    const list = await client.unaryCall(gateway + method.getName(), request, {}, method);
    for (const payment of list.payments) print(payment);
  } else {
    const method = describe(getPayment);
    const request = create(getPayment.input, { paymentId: call });
    print(await client.unaryCall(gateway + method.getName(), request, {}, method));
  }
  tell("done");
}

function print(payment: Payment): void {
  const line = `${payment.id} | ${formatMoney(payment, "en-US")} | ${providerName(payment.provider)}\n`;
  document.querySelector("#lines")?.append(`[LOG] ${line}`);
}

function tell(state: string): void {
  document.querySelector("#states")?.append(`${state}\n`);
}

if (call === "stream") stream();
else unary().catch((error) => tell(String(error)));
