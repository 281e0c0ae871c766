import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";

/**
 * Starts the Chromium that an npm package carries, so that nothing needs to be installed; or the one
 * that CHROMIUM names. The package unpacks its binary into the temporary folder, by one name for all
 * versions: hence a folder for each version.
 */
export async function launch(): Promise<Browser> {
  const args = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
  ];
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? (await unpacked()),
    args: [...args, "--no-sandbox", "--disable-sync", "--disable-gpu"],
  });
}

async function unpacked(): Promise<string> {
  const { default: carried } = await import("@sparticuz/chromium");
  const before = process.env.TMPDIR;
  const folder = join(tmpdir(), "paystream-chromium-153");
  const { mkdirSync } = await import("node:fs");
  mkdirSync(folder, { recursive: true });
  process.env.TMPDIR = folder;
  try {
    return await carried.executablePath();
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
}
