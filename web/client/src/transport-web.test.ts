import { afterEach, expect, test, vi } from "vitest";
import { connect, defaultAddress } from "./transport-web.js";

afterEach(() => vi.unstubAllGlobals());

test("a browser has no gRPC, and says what there is instead", () => {
  expect(() => connect("http://a", "grpc")).toThrow('"grpc-web" (the default) or "connect"');
  expect(() => connect("http://a", undefined)).not.toThrow();
});

test("the page's own origin is the default address", () => {
  vi.stubGlobal("location", new URL("https://pay.example:8443/dashboard?x=1"));
  expect(defaultAddress()).toBe("https://pay.example:8443");
});
