import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import type { Connection, Protocol } from "./types.js";

/** The page's own origin. */
export function defaultAddress(): string {
  return globalThis.location.origin;
}

/** Returns a transport over fetch. The browser keeps the connections; aborting a call ends it. */
export function connect(address: string, protocol: Protocol = "grpc-web"): Connection {
  if (protocol === "grpc")
    throw new TypeError('a browser can not speak "grpc": take "grpc-web" (the default) or "connect"');
  const create = protocol === "connect" ? createConnectTransport : createGrpcWebTransport;
  return { transport: create({ baseUrl: address }), close() {} };
}
