import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Route } from "./route.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const most = () => 1;

test("one address: the pause doubles up to the longest", () => {
  const route = new Route(["a"], most);
  const pauses = Array.from({ length: 9 }, () => route.failed(0));
  expect(pauses).toEqual([200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000]);
  for (let i = 0; i < 2000; i++) expect(route.failed(0)).toBe(15_000);
});

test("several: the next one is tried soon, and the pause grows with each round", () => {
  const route = new Route(["a", "b", "c"], most);
  const tries = Array.from({ length: 9 }, () => [route.address, route.failed(0)]);
  expect(tries).toEqual([
    ["a", 200],
    ["b", 200],
    ["c", 200],
    ["a", 200],
    ["b", 200],
    ["c", 400],
    ["a", 200],
    ["b", 200],
    ["c", 800],
  ]);
});

test("a good one begins a new round", () => {
  const route = new Route(["a", "b"], most);
  for (let i = 0; i < 9; i++) route.failed(0);
  expect(route.address).toBe("b");
  route.good();
  expect(route.address).toBe("b");
  expect([route.failed(0), route.address, route.failures]).toEqual([200, "a", 1]);
});

test("the pause is random from zero up", () => {
  const route = new Route(["a"], () => 0);
  expect([route.failed(0), route.failed(0)]).toEqual([0, 0]);
});

test("what a gateway asks for counts for that gateway alone", () => {
  const route = new Route(["a", "b"], () => 0);
  expect(route.failed(1000)).toBe(0); // now b
  vi.advanceTimersByTime(300);
  expect(route.failed(0)).toBe(700); // a again
  expect(new Route(["a"], () => 0).failed(1000)).toBe(1000);
});
