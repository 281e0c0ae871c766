import { BinaryReader } from "@bufbuild/protobuf/wire";
import { Code, type ConnectError } from "@connectrpc/connect";
import { type StreamEnd, StreamEndSchema } from "./gen/payment/payment_pb.js";

const finalCodes: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.Unimplemented,
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.NotFound,
  Code.AlreadyExists,
  Code.FailedPrecondition,
]);

/**
 * Reports whether another try would end the same way. connect-es gives some of these codes to broken
 * connections too (a stream cut short is InvalidArgument); only an error that came with an answer has
 * metadata.
 */
export function isFinal(error: ConnectError): boolean {
  return finalCodes.has(error.code) && isAnswer(error);
}

/** Reports whether an error was sent by the other side, and not made here of a broken connection. */
export function isAnswer(error: ConnectError): boolean {
  return !error.metadata.keys().next().done;
}

/** An error for people: its code and its message. The codes of broken connections say nothing. */
export function describe(error: ConnectError): string {
  const code = isAnswer(error) ? error.code : Code.Unavailable;
  const message = error.rawMessage.trim() || causeOf(error.cause) || "no reason given";
  return `${Code[code]}: ${message}`;
}

/** Node's error for a host of several addresses has an empty message. */
function causeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "";
}

/** What a gateway says about the stream that it ends. */
export function streamEnd(error: ConnectError): StreamEnd | undefined {
  return error.findDetails(StreamEndSchema)[0];
}

/** How long the gateway asks to wait before another try, in ms. */
export function retryDelay(error: ConnectError): number {
  for (const detail of error.details)
    if ("type" in detail && detail.type === "google.rpc.RetryInfo") return parseRetryInfo(detail.value);
  return 0;
}

/** Reads google.rpc.RetryInfo: field 1 is a google.protobuf.Duration. 0 if it is malformed. */
function parseRetryInfo(bytes: Uint8Array): number {
  let ms = 0;
  try {
    for (const reader = new BinaryReader(bytes); reader.pos < reader.len; ) {
      const [field, wireType] = reader.tag();
      if (field === 1) ms = parseDuration(reader.bytes());
      else reader.skip(wireType, field);
    }
  } catch {
    return 0;
  }
  return ms;
}

function parseDuration(bytes: Uint8Array): number {
  let ms = 0;
  for (const reader = new BinaryReader(bytes); reader.pos < reader.len; ) {
    const [field, wireType] = reader.tag();
    if (field === 1) ms += Number(reader.int64()) * 1000;
    else if (field === 2) ms += reader.int32() / 1e6;
    else reader.skip(wireType, field);
  }
  return Math.max(0, ms);
}
