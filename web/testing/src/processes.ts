import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { createInterface, type Interface } from "node:readline";
import { inject } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    /** The folder with the binaries `paystream` and `testbroker`. */
    binaries: string;
  }
}

/** A record's value on Kafka, as a producer of payments writes it; anything else makes a bad record. */
export type RawPayment = Record<string, unknown>;

/** Where a record went. */
export interface Written {
  partition: number;
  offset: bigint;
}

/** Where a Kafka runs that the tests use instead of embedded brokers. */
const kafka = process.env.PAYSTREAM_TEST_KAFKA;

/**
 * A broker in a process of its own: it outlives the gateways that read from it. Where
 * PAYSTREAM_TEST_KAFKA names a Kafka, it is a topic of that one, by a name that nobody else has.
 */
export class Broker {
  private readonly waiting: Array<(written: Written) => void> = [];
  private constructor(
    private readonly process: ChildProcess,
    readonly address: string,
    readonly topic: string,
    lines: Interface,
  ) {
    lines.on("line", (line) => {
      const [, partition, offset] = line.split(" ");
      this.waiting.shift()?.({ partition: Number(partition), offset: BigInt(offset ?? -1) });
    });
  }

  static async start(...args: string[]): Promise<Broker> {
    const named = args.findLast((arg) => arg.startsWith("-topic="))?.replace("-topic=", "") ?? "payments.raw";
    const topic = kafka ? `${named}.${randomUUID()}` : named;
    const where = kafka ? [`-kafka=${kafka}`, `-topic=${topic}`] : [];
    const process = spawn(`${inject("binaries")}/testbroker`, [...args, ...where], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = createInterface({ input: process.stdout });
    const failed = once(process, "exit").then(() => Promise.reject(new Error("the broker has not started")));
    const [line] = (await Promise.race([once(lines, "line"), failed])) as [string];
    return new Broker(process, line.replace("broker ", ""), topic, lines);
  }

  /** Writes records one after the other; resolves when all of them are acknowledged. */
  write(...payments: RawPayment[]): Promise<Written[]> {
    return this.writeRaw(...payments.map((p) => JSON.stringify(p)));
  }

  /** Writes lines as they are, so that a record can be a bad one. */
  writeRaw(...lines: string[]): Promise<Written[]> {
    const written = lines.map((line) => {
      this.process.stdin?.write(`${line}\n`);
      return new Promise<Written>((resolve) => this.waiting.push(resolve));
    });
    return Promise.all(written);
  }

  /** Deletes what a partition has before an offset, as retention does. */
  async deleteBefore(partition: number, offset: number | bigint): Promise<void> {
    await this.writeRaw(`!delete ${partition} ${offset}`);
  }

  async stop(): Promise<void> {
    this.process.stdin?.end();
    await ended(this.process);
  }
}

/** A gateway process. It can be killed, frozen and started again at the same address. */
export class Gateway {
  private process: ChildProcess | undefined;
  private log = "";
  private constructor(
    private readonly port: number,
    private readonly args: string[],
  ) {}

  static async start(broker: Broker | string, ...args: string[]): Promise<Gateway> {
    const kafka =
      typeof broker === "string"
        ? [`--kafka-brokers=${broker}`]
        : [`--kafka-brokers=${broker.address}`, `--kafka-topic=${broker.topic}`];
    const gateway = new Gateway(await freePort(), [...kafka, ...args]);
    await gateway.start();
    return gateway;
  }

  /** The base URL; that of TLS where the gateway was given a certificate. */
  get url(): string {
    const scheme = this.args.some((arg) => arg.startsWith("--grpc-tls-cert-file=")) ? "https" : "http";
    return `${scheme}://127.0.0.1:${this.port}`;
  }

  /** Starts it (again), and waits until it is ready. */
  async start(): Promise<void> {
    const child = spawn(
      `${inject("binaries")}/paystream`,
      ["serve", `--grpc-port=${this.port}`, "--admin-addr=", ...this.args],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    this.process = child;
    child.stderr.on("data", (chunk: Buffer) => {
      this.log += chunk.toString();
    });
    for (const end = Date.now() + 30_000; ; await sleep(20)) {
      const ready = await fetch(`${this.url}/readyz`).then(
        (r) => r.ok,
        () => false,
      );
      if (ready) return;
      if (child.exitCode !== null || Date.now() > end)
        throw new Error(`the gateway does not get ready:\n${this.log}`);
    }
  }

  /** Takes the process away without a word. */
  async kill(): Promise<void> {
    await this.signal("SIGKILL");
  }

  /** Ends it as an orchestrator does: its streams are told. */
  async drain(): Promise<void> {
    await this.signal("SIGTERM");
  }

  freeze(): void {
    this.process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.process?.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.kill();
  }

  private async signal(signal: NodeJS.Signals): Promise<void> {
    const child = this.process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await ended(child);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs `paystream produce` to its end; it writes sample payments. */
export async function produce(broker: Broker, ...args: string[]): Promise<void> {
  const child = spawn(`${inject("binaries")}/paystream`, ["produce", ...args], {
    env: { ...process.env, KAFKA_BROKERS: broker.address, KAFKA_TOPIC: broker.topic },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`produce ended with ${code}`);
}
