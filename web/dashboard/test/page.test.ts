import { expect } from "vitest";
import { Dashboard, test, until } from "./page.ts";

/** What every other test relies on: that a page which does what it should not is found out. */
test("a dashboard that breaks the rules is found out", async ({ browser, serve }) => {
  const { gateway } = await serve();
  const context = await browser.newContext({ locale: "en-US" });
  const dashboard = new Dashboard(await context.newPage(), gateway.url);
  await dashboard.load("", async (page) => {
    // Where no policy would keep it from doing so: the request itself is what has to be seen.
    const policy = (await fetch(gateway.url)).headers.get("content-security-policy");
    expect(policy).toContain("default-src 'none'");
    await page.route("**/elsewhere", (route) => route.fulfill({ body: "" }));
  });
  const breaches: Record<string, [breach: () => void, found: RegExp]> = {
    "an error": [() => console.error("bad"), /console error: bad/],
    "a warning": [() => console.warn("odd"), /console warning: odd/],
    "an exception": [() => setTimeout(() => unknown()), /thrown: ReferenceError/],
    "a rejection": [() => void Promise.reject(new Error("late")), /thrown: Error: late/],
    "a script in the page": [() => append("script", "text", "0"), /TrustedScript|Content Security Policy/],
    "a style in the page": [() => append("style", "textContent", "*{}"), /Content Security Policy/],
    "an image from elsewhere": [
      () => append("img", "src", "https://example.com/x.png"),
      /example\.com.*Content Security Policy/,
    ],
    "a call elsewhere": [() => void fetch("https://example.com/").catch(() => {}), /Content Security Policy/],
  };
  for (const [breach] of Object.values(breaches))
    await dashboard.page.evaluate(
      `{ ${append}; try { (${breach})() } catch (e) { console.error(String(e)) } }`,
    );
  await dashboard.page.goto(`${gateway.url.replace("127.0.0.1", "localhost")}/elsewhere`);
  await until(() => dashboard.page.url(), "the page").toContain("localhost");
  const problems = (await dashboard.close()).join("\n");
  for (const [name, [, found]] of Object.entries(breaches)) expect(problems, name).toMatch(found);
  expect(problems).toMatch(/a request leaves the origin: http:\/\/localhost:\d+\/elsewhere/);
});

declare function unknown(): void;

function append(tag: string, property: string, value: string): void {
  document.body.append(Object.assign(document.createElement(tag), { [property]: value }));
}
