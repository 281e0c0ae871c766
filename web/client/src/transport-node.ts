import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import type { Connection, Protocol } from "./types.js";

/** The gateway's own default. */
export function defaultAddress(): string {
  return "http://localhost:50051";
}

/**
 * Returns a transport with a connection of its own, so that streams do not share flow control and
 * closing one lets go of its socket. gRPC needs HTTP/2; the others take HTTP/1.1, which every proxy
 * speaks.
 */
export function connect(address: string, protocol: Protocol = "grpc"): Connection {
  if (protocol === "grpc") {
    const sessionManager = new Http2SessionManager(address);
    return {
      transport: createGrpcTransport({ baseUrl: address, sessionManager }),
      close: () => sessionManager.abort(),
    };
  }
  const agent = address.startsWith("https:") ? new HttpsAgent() : new HttpAgent();
  const create = protocol === "connect" ? createConnectTransport : createGrpcWebTransport;
  return {
    transport: create({ baseUrl: address, httpVersion: "1.1", nodeOptions: { agent } }),
    close: () => agent.destroy(),
  };
}
