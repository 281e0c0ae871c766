import { PaymentStatus, Provider } from "@paystream/client";
import { describe, expect, test } from "vitest";
import { EVERYTHING, type Filter } from "./filter";
import { event } from "./fixture";
import { type Row, Rows } from "./rows";
import { View } from "./view";

const ids = (rows: Iterable<Row>) =>
  [...rows].map((r) => (r.kind === "payment" ? r.event.payment.id : "gap"));

function table(maxRows = 100) {
  const rows = new Rows(maxRows);
  const view = new View(rows);
  const add = (...names: string[]) => {
    for (const id of names) view.added(rows.add(event({ id })));
  };
  return { rows, view, add };
}

describe("View", () => {
  test("shows the newest first", () => {
    const { view, add } = table();
    add("a", "b", "c");
    expect(ids(view)).toEqual(["c", "b", "a"]);
  });

  test("stays as it is while held, counts what comes, and shows it when released", () => {
    const { view, add } = table();
    add("a", "b");
    view.hold();
    add("c", "d", "e");
    expect(ids(view)).toEqual(["b", "a"]);
    expect(view.waiting).toBe(3);
    view.release();
    expect(ids(view)).toEqual(["e", "d", "c", "b", "a"]);
    expect(view.waiting).toBe(0);
  });

  test("held a second time, it stays where it was held first", () => {
    const { view, add } = table();
    add("a");
    view.hold();
    add("b");
    view.hold();
    expect(ids(view)).toEqual(["a"]);
  });

  test("loses at its far end what the page no longer holds", () => {
    const { view, add } = table(3);
    add("a", "b", "c");
    view.hold();
    add("d");
    expect(ids(view)).toEqual(["c", "b"]);
    add("e", "f", "g");
    expect(view.length).toBe(0);
    expect(view.waiting).toBe(3);
  });

  test("a row has the same ordinal while others come and go", () => {
    const { view, add } = table(3);
    add("a", "b");
    const ordinal = view.ordinalAt(0);
    expect(view.ordinalAt(1)).toBe(ordinal - 1);
    add("c", "d");
    expect(ids(view)).toEqual(["d", "c", "b"]);
    expect(view.ordinalAt(2)).toBe(ordinal);
    view.hold();
    add("e");
    expect(view.ordinalAt(1)).toBe(ordinal + 1);
  });

  test("a filter holds for rows that are there and for those that come", () => {
    const { view, rows } = table();
    const add = (id: string, provider: Provider, status: PaymentStatus) =>
      view.added(rows.add(event({ id, provider, status })));
    add("a", Provider.STRIPE, PaymentStatus.STATUS_FAILED);
    add("b", Provider.PAYPAL, PaymentStatus.STATUS_FAILED);
    view.setFilter({ ...EVERYTHING, providers: [Provider.STRIPE], statuses: [PaymentStatus.STATUS_FAILED] });
    add("c", Provider.STRIPE, PaymentStatus.STATUS_PENDING);
    add("d", Provider.STRIPE, PaymentStatus.STATUS_FAILED);
    expect(ids(view)).toEqual(["d", "a"]);
  });

  test("an id is searched for in any case, and without the blanks that were pasted along", () => {
    const { view, add } = table();
    add("pay_Ab1", "pay_zz");
    view.setFilter({ ...EVERYTHING, id: " AB1 " });
    expect(ids(view)).toEqual(["pay_Ab1"]);
  });

  test("a gap is shown whatever the filter says", () => {
    const { view, rows } = table();
    view.setFilter({ ...EVERYTHING, id: "nobody" });
    view.added(rows.addGap({ ranges: [], reason: "gone", cursor: "c" }, 0));
    expect(ids(view)).toEqual(["gap"]);
  });

  test("is right whatever comes, as a plain list says", () => {
    let seed = 7;
    const random = (n: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % n;
    };
    const { rows, view } = table(50);
    let filter: Filter = EVERYTHING;
    let held: number | null = null;
    for (let i = 0; i < 5000; i++) {
      const act = random(20);
      if (act === 0) {
        filter = { ...EVERYTHING, providers: random(2) ? [Provider.STRIPE] : [] };
        view.setFilter(filter);
      } else if (act === 1) {
        held ??= rows.end;
        view.hold();
      } else if (act === 2) {
        held = null;
        view.release();
      } else view.added(rows.add(event({ id: String(i), provider: random(4) })));
      const all = [...rows].filter(
        (r) =>
          r.kind === "payment" &&
          (filter.providers.length === 0 || filter.providers.includes(r.event.payment.provider)),
      );
      const shown = all.filter((r) => held === null || r.seq < held).reverse();
      expect(view.length).toBe(shown.length);
      expect(view.waiting).toBe(all.length - shown.length);
      const at = random(Math.max(1, shown.length));
      expect(view.at(at)?.seq).toBe(shown[at]?.seq);
      const row = shown[at];
      if (row) expect(view.indexOf(row.seq)).toBe(at);
    }
  });
});

describe("Rows", () => {
  test("are bounded by their size, so that long texts do not fill the page", () => {
    const rows = new Rows(1000, 100_000);
    for (let i = 0; i < 100; i++) rows.add(event({ id: "x".repeat(10_000) }));
    expect(rows.end).toBe(100);
    expect(rows.end - rows.start).toBeLessThan(10);
    expect(rows.get(99)?.seq).toBe(99);
    expect(rows.get(rows.start - 1)).toBeUndefined();
  });
});
