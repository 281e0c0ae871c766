import { create } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { describe, isFinal, retryDelay, streamEnd } from "./errors.js";
import { StreamEndSchema } from "./gen/payment/payment_pb.js";

function withRetryInfo(value: Uint8Array): ConnectError {
  const error = new ConnectError("later", Code.Unavailable);
  error.details = [{ type: "google.rpc.RetryInfo", value }];
  return error;
}

function duration(seconds: number, nanos: number): Uint8Array {
  const inner = new BinaryWriter()
    .tag(1, 0)
    .int64(seconds)
    .tag(2, 0)
    .int32(nanos)
    .tag(9, 2)
    .string("?")
    .finish();
  return new BinaryWriter().tag(7, 0).int32(1).tag(1, 2).bytes(inner).finish();
}

test.each([
  ["seconds and nanoseconds", duration(1, 250_000_000), 1250],
  ["nothing", new Uint8Array(), 0],
  ["negative", duration(-5, 0), 0],
  ["malformed", Uint8Array.of(0x0a, 0x7f, 1), 0],
  ["malformed inside", Uint8Array.of(0x0a, 0x01, 0x08), 0],
])("the server's retry delay: %s", (_name, value, want) => {
  expect(retryDelay(withRetryInfo(value))).toBe(want);
});

test("no retry delay without the detail", () => {
  expect(retryDelay(new ConnectError("x"))).toBe(0);
});

test("the end of a stream is found among the details", () => {
  const error = new ConnectError("x", Code.DataLoss, undefined, [
    { desc: StreamEndSchema, value: { cursor: "c", gaps: [{ partition: 1, from: 2n, to: 3n }] } },
  ]);
  expect(streamEnd(error)?.cursor).toBe("c");
  expect(streamEnd(new ConnectError("x"))).toBeUndefined();
  expect(create(StreamEndSchema).cursor).toBe("");
});

test("codes that connect-es gives to a broken connection are not final, the gateway's are", () => {
  expect(isFinal(new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument))).toBe(false);
  expect(isFinal(new ConnectError("cursor is malformed", Code.InvalidArgument, { "grpc-status": "3" }))).toBe(
    true,
  );
  expect(isFinal(new ConnectError("shutting down", Code.Unavailable, { "grpc-status": "14" }))).toBe(false);
});

test("a reason is the code and the message, and says something where Node does not", () => {
  const answer = { "content-type": "application/grpc" };
  expect(describe(new ConnectError("too many subscribers", Code.ResourceExhausted, answer))).toBe(
    "ResourceExhausted: too many subscribers",
  );
  expect(describe(new ConnectError("Failed to fetch", Code.Unknown))).toBe("Unavailable: Failed to fetch");
  const cause = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" });
  expect(describe(new ConnectError("", Code.Unavailable, undefined, undefined, cause))).toBe(
    "Unavailable: ECONNREFUSED",
  );
});
