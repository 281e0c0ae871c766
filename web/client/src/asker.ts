import { ConnectError, type Transport } from "@connectrpc/connect";
import { parseAddresses } from "./addresses.js";
import { isFinal, retryDelay } from "./errors.js";
import { pause } from "./pause.js";
import { Route } from "./route.js";
import type { Connect, Connection, GatewayOptions } from "./types.js";

/** How often each address is tried before a question is given up. */
const rounds = 4;
/** How long one answer may take. */
const timeoutMs = 10_000;

/** What is asked: one call over a transport. */
export type Question<T> = (transport: Transport, signal: AbortSignal, timeoutMs: number) => Promise<T>;

/** Asker puts questions to gateways, over one connection as long as it serves, else to the next address. */
export class Asker {
  private readonly addresses: string[];
  private readonly route: Route;
  private connection: Connection | undefined;

  constructor(
    private readonly options: GatewayOptions,
    private readonly connect: Connect,
  ) {
    this.addresses = parseAddresses(options.addresses);
    this.route = new Route(this.addresses);
  }

  /** Returns the answer, or throws the last error when no gateway gave one, or the signal's reason. */
  async ask<T>(question: Question<T>): Promise<T> {
    const { protocol, signal = new AbortController().signal } = this.options;
    for (;;) {
      signal.throwIfAborted();
      this.connection ??= this.connect(this.route.address, protocol);
      try {
        const answer = await question(this.connection.transport, signal, timeoutMs);
        this.route.good();
        return answer;
      } catch (error) {
        this.close();
        signal.throwIfAborted();
        if (!(error instanceof ConnectError) || isFinal(error)) throw error;
        const ms = this.route.failed(retryDelay(error));
        if (this.route.failures >= rounds * this.addresses.length) throw error;
        await pause(ms, signal);
      }
    }
  }

  /** Lets go of the connection. */
  close(): void {
    this.connection?.close();
    this.connection = undefined;
  }
}
