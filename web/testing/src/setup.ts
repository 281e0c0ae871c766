import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

const repository = join(import.meta.dirname, "../../..");

/** Builds the binaries that the tests run, before the first of them; or takes those in the folder BINARIES. */
export default function setup(project: TestProject): (() => void) | undefined {
  if (process.env.BINARIES) {
    project.provide("binaries", process.env.BINARIES);
    return undefined;
  }
  const binaries = mkdtempSync(join(tmpdir(), "paystream-"));
  execFileSync("go", ["build", "-o", `${binaries}/`, ".", "./internal/testbroker"], {
    cwd: repository,
    stdio: "inherit",
  });
  project.provide("binaries", binaries);
  return () => rmSync(binaries, { recursive: true, force: true });
}
