import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Broker, freePort, Gateway, type RawPayment } from "@paystream/testing";
import { afterEach, beforeAll, describe, expect, test } from "vitest";

const folder = join(import.meta.dirname, "..");
const web = join(folder, "../..");

/** What a test has started, to be stopped behind it, the latest first. */
const started: Array<() => unknown> = [];
afterEach(async () => {
  for (const stop of started.splice(0).reverse()) await stop();
});

/** One of the examples, as its reader runs it. */
class Example {
  readonly lines: string[] = [];
  errors = "";
  readonly process: ChildProcess;

  constructor(program: string, env: Record<string, string>) {
    const child = spawn(process.execPath, [program], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.process = child;
    createInterface({ input: child.stdout }).on("line", (line) => this.lines.push(line));
    child.stderr.on("data", (chunk: Buffer) => {
      this.errors += chunk;
    });
    started.push(() => child.kill("SIGKILL"));
  }

  /** Waits until it has printed these lines and no others. */
  async prints(...want: string[]): Promise<void> {
    try {
      const expected = want.map((line) => `[LOG] ${line}`);
      await expect.poll(() => this.lines, { timeout: 30_000, interval: 20 }).toEqual(expected);
    } catch (error) {
      throw new Error(`its standard error says:\n${this.errors}`, { cause: error });
    }
  }

  /** Waits for its end and returns the exit code. */
  async ends(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal) this.process.kill(signal);
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, "exit");
    return this.process.exitCode;
  }
}

async function startBroker(...args: string[]): Promise<Broker> {
  const broker = await Broker.start("-partitions=1", ...args); // its order is known
  started.push(() => broker.stop());
  return broker;
}

async function startGateway(broker: Broker, ...args: string[]): Promise<Gateway> {
  const gateway = await Gateway.start(broker, ...args);
  started.push(() => gateway.stop());
  return gateway;
}

function dollars(id: string): RawPayment {
  return { id, amount: 5000, currency: "USD", provider: "stripe", status: "succeeded" };
}

beforeAll(() => {
  // The examples take the library as it is installed, which is the built one.
  execFileSync(join(web, "node_modules/.bin/tsc"), ["-p", join(web, "client/tsconfig.build.json")], {
    stdio: "inherit",
  });
});

describe.each(["connect.ts", "grpc-js.ts"])("%s", { concurrent: false }, (program) => {
  test("prints existing and new payments, every digit of them", async () => {
    const broker = await startBroker();
    await broker.write(
      { id: "pay_abc", amount: 5000, currency: "USD", provider: "stripe" },
      { id: "pay_def", amount: 1500, currency: "INR", provider: "razorpay" },
      { id: "pay_ghi", amount: 500, currency: "JPY", provider: "paypal" },
    );
    const gateway = await startGateway(broker);
    const example = new Example(program, { GATEWAY: gateway.url });
    const existing = [
      "pay_abc | $50.00 USD | STRIPE",
      "pay_def | ₹1,500.00 INR | RAZORPAY",
      "pay_ghi | ¥500 JPY | PAYPAL",
    ];
    await example.prints(...existing);
    await broker.write(
      { id: "exact", amount: "90071992547409.93", currency: "usd", provider: "STRIPE" }, // above 2^53 cents
      { id: "three", amount: 1.5, currency: "KWD" },
      { id: "four", amount: "12.3456", currency: "UYW", provider: "visa" },
      { id: "none", amount: 1.5, currency: "XAU" },
      { id: "zero", amount: 0.05, currency: "EUR", provider: "paypal" },
      { id: "no sign", amount: 1234567, currency: "CHF" },
      { id: "\u001b[2Jboo\r\n", amount: 1, currency: "GBP", provider: "stripe" },
    );
    await example.prints(
      ...existing,
      "exact | $90,071,992,547,409.93 USD | STRIPE",
      "three | 1.500 KWD | UNKNOWN",
      "four | 12.3456 UYW | UNKNOWN",
      "none | 1.5 XAU | UNKNOWN",
      "zero | €0.05 EUR | PAYPAL",
      "no sign | 1,234,567.00 CHF | UNKNOWN",
      "?[2Jboo?? | £1.00 GBP | STRIPE",
    );
    expect(await example.ends("SIGTERM")).toBe(0);
  });

  test("writes every currency as the gateway's own commands do", async () => {
    const broker = await startBroker();
    const gateway = await startGateway(broker);
    const example = new Example(program, { GATEWAY: gateway.url });
    const amounts = join(web, "../payment/testdata/amounts.json");
    const rows = JSON.parse(readFileSync(amounts, "utf8")) as Array<{
      minor?: string;
      currency: string;
      text: string;
    }>;
    const exact = rows.filter((row) => row.minor === "1234567" && row.currency !== "");
    expect(exact.length).toBeGreaterThan(150);
    const payments = exact.map(({ currency, text }, i) => {
      const amount = text.replace(/[^\d.]/g, "");
      return { id: `pay_${i}`, amount, currency, provider: "stripe" };
    });
    await broker.write(...payments);
    await example.prints(...exact.map((row, i) => `pay_${i} | ${row.text} | STRIPE`));
    expect(await example.ends("SIGTERM")).toBe(0);
  });

  test("misses nothing and repeats nothing when its gateway is killed, drained and started again", async () => {
    const broker = await startBroker();
    const gateway = await startGateway(broker);
    const example = new Example(program, { GATEWAY: gateway.url });
    const want: string[] = [];
    const write = async (id: string) => {
      await broker.write(dollars(id));
      want.push(`${id} | $50.00 USD | STRIPE`);
    };
    await write("before");
    await example.prints(...want);
    for (const way of ["kill", "drain"] as const) {
      await write(`just before a ${way}`);
      await example.prints(...want);
      await gateway[way]();
      await write(`while none is there after a ${way}`);
      await gateway.start();
      await write(`after a ${way}`);
      await example.prints(...want);
    }
    expect(await example.ends("SIGINT")).toBe(0);
  });

  test("goes on at another gateway", async () => {
    const broker = await startBroker();
    const [one, two] = [await startGateway(broker), await startGateway(broker)];
    await broker.write(dollars("a"), dollars("b"));
    const example = new Example(program, { GATEWAY: `${one.url},${two.url}` });
    await example.prints("a | $50.00 USD | STRIPE", "b | $50.00 USD | STRIPE");
    await one.kill();
    await broker.write(dollars("c"));
    await example.prints("a | $50.00 USD | STRIPE", "b | $50.00 USD | STRIPE", "c | $50.00 USD | STRIPE");
    expect(await example.ends("SIGTERM")).toBe(0);
  });

  test("ends at once by a signal while it waits for a gateway", async () => {
    const example = new Example(program, { GATEWAY: `http://127.0.0.1:${await freePort()}` });
    await expect.poll(() => example.errors, { timeout: 20_000 }).toMatch(/ECONNREFUSED/);
    const before = Date.now();
    expect(await example.ends("SIGTERM")).toBe(0);
    expect(Date.now() - before).toBeLessThan(3000);
  });

  test("ends when nobody reads what it prints any more", async () => {
    const broker = await startBroker();
    const gateway = await startGateway(broker);
    await broker.write(dollars("a"));
    const example = new Example(program, { GATEWAY: gateway.url });
    await example.prints("a | $50.00 USD | STRIPE");
    example.process.stdout?.destroy();
    await broker.write(dollars("b"), dollars("c"));
    expect(await example.ends()).toBe(0);
  });

  test("reads on behind what nobody has any more", async () => {
    const broker = await startBroker();
    const gateway = await startGateway(broker, "--retain-payments=10");
    const example = new Example(program, { GATEWAY: gateway.url });
    await broker.write(dollars("first"));
    await example.prints("first | $50.00 USD | STRIPE");
    await gateway.kill();
    await broker.write(...Array.from({ length: 100 }, (_, i) => dollars(`missed-${i}`)), dollars("last"));
    await gateway.start();
    await expect
      .poll(() => example.lines.at(-1), { timeout: 30_000 })
      .toBe("[LOG] last | $50.00 USD | STRIPE");
    expect(await example.ends("SIGTERM")).toBe(0);
  });

  test("gives up with a reason when its cursor is of another topic", async () => {
    const [broker, other] = [await startBroker(), await startBroker("-cluster-id=other", "-topic=other")];
    const [gateway, foreign] = [await startGateway(broker), await startGateway(other)];
    await broker.write(dollars("a"));
    const example = new Example(program, { GATEWAY: `${gateway.url},${foreign.url}` });
    await example.prints("a | $50.00 USD | STRIPE");
    await gateway.kill();
    expect(await example.ends()).toBe(1);
    expect(example.errors).toMatch(/another topic/);
  });
});

describe("connect.ts", () => {
  test("goes on from CURSOR_FILE in its next run", async () => {
    const broker = await startBroker();
    const gateway = await startGateway(broker);
    const temporary = mkdtempSync(join(tmpdir(), "paystream-"));
    started.push(() => rmSync(temporary, { recursive: true }));
    const CURSOR_FILE = join(temporary, "cursor");
    await broker.write(dollars("a"));
    const first = new Example("connect.ts", { GATEWAY: gateway.url, CURSOR_FILE });
    await first.prints("a | $50.00 USD | STRIPE");
    expect(await first.ends("SIGTERM")).toBe(0);
    expect(readFileSync(CURSOR_FILE, "utf8")).toMatch(/^\S+\n$/);
    await broker.write(dollars("b"));
    const second = new Example("connect.ts", { GATEWAY: gateway.url, CURSOR_FILE });
    await second.prints("b | $50.00 USD | STRIPE");
    expect(await second.ends("SIGTERM")).toBe(0);

    writeFileSync(CURSOR_FILE, "nonsense");
    const third = new Example("connect.ts", { GATEWAY: gateway.url, CURSOR_FILE });
    expect(await third.ends()).toBe(1);
    expect(third.errors).toMatch(/cursor .*malformed/);
  });
});
