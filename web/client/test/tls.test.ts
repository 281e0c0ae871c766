import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { Broker, Gateway } from "@paystream/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Protocol, streamPayments } from "../src/index.js";
import { samples } from "./follower.js";

const folder = mkdtempSync(join(tmpdir(), "paystream-tls-"));
const files = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };

let broker: Broker;
let gateway: Gateway;

beforeAll(async () => {
  const root = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
  const program = join(root, "src/crypto/tls/generate_cert.go");
  const args = ["--host=localhost,127.0.0.1", "--ca", "--ecdsa-curve=P256", "--duration=24h"];
  execFileSync("go", ["run", program, ...args], { cwd: folder, stdio: "ignore" });
  setDefaultCACertificates([...getCACertificates(), readFileSync(files.cert, "utf8")]);
  broker = await Broker.start();
  gateway = await Gateway.start(
    broker,
    `--grpc-tls-cert-file=${files.cert}`,
    `--grpc-tls-key-file=${files.key}`,
  );
});
afterAll(async () => {
  await gateway.stop();
  await broker.stop();
  rmSync(folder, { recursive: true });
});

test.each<Protocol>(["grpc", "grpc-web", "connect"])(
  "%s over TLS, by name and by number",
  async (protocol) => {
    const [payment] = samples(1);
    await broker.write({ ...payment });
    for (const host of ["localhost", "127.0.0.1"]) {
      const address = gateway.url.replace("http:", "https:").replace("127.0.0.1", host);
      for await (const event of streamPayments({ addresses: address, protocol }))
        if (event.payment.id === payment?.id) break;
    }
    expect.assertions(0);
  },
);
