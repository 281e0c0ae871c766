import { Deque } from "./deque";
import { EVERYTHING, type Filter, passes } from "./filter";
import type { Row, Rows } from "./rows";

/**
 * Which rows the table shows, the newest first: those that pass the filter and, while the view is
 * held, those that had come before. A held view stays as it is while rows arrive; only what leaves
 * the memory of the page leaves it too, at its far end.
 */
export class View {
  private matches = new Deque<number>();
  /** How many matches have left with their rows. */
  private gone = 0;
  private filter: Filter = EVERYTHING;
  /** The sequence number that the view ends before, while it is held. */
  private heldAt: number | null = null;

  constructor(private readonly rows: Rows) {}

  get held(): boolean {
    return this.heldAt !== null;
  }

  hold(): void {
    this.heldAt ??= this.rows.end;
  }

  release(): void {
    this.heldAt = null;
  }

  setFilter(filter: Filter): void {
    this.filter = { ...filter, id: filter.id.trim().toLowerCase() };
    this.matches = new Deque();
    this.gone = 0;
    for (const row of this.rows) this.added(row);
  }

  /** Takes note of a row that was just added, and of those that had to go for it. */
  added(row: Row): void {
    if (this.shows(row)) this.matches.push(row.seq);
    while ((this.matches.at(0) ?? Number.POSITIVE_INFINITY) < this.rows.start) {
      this.matches.shift();
      this.gone++;
    }
  }

  /** How many rows it shows. */
  get length(): number {
    return this.heldAt === null ? this.matches.length : this.before(this.heldAt);
  }

  /** How many rows that pass have come since the view is held. */
  get waiting(): number {
    return this.matches.length - this.length;
  }

  /** The row at an index, 0 being the newest. */
  at(index: number): Row | undefined {
    const seq = this.matches.at(this.length - 1 - index);
    return seq === undefined ? undefined : this.rows.get(seq);
  }

  /** The index of a row, or -1 where the view does not show it. */
  indexOf(seq: number): number {
    const i = this.before(seq);
    return this.matches.at(i) === seq && i < this.length ? this.length - 1 - i : -1;
  }

  /** Which of all matches the row at an index is, counted from the oldest: it stays while others come and go. */
  ordinalAt(index: number): number {
    return this.gone + this.length - 1 - index;
  }

  /** All that it shows, the newest first. */
  *[Symbol.iterator](): Iterator<Row> {
    for (let i = 0; i < this.length; i++) {
      const row = this.at(i);
      if (row) yield row;
    }
  }

  private shows(row: Row): boolean {
    if (row.kind === "gap") return true;
    const { id, provider, status } = row.event.payment;
    return (
      passes(this.filter, provider, status) &&
      (this.filter.id === "" || id.toLowerCase().includes(this.filter.id))
    );
  }

  /** How many matches have come before the row of a sequence number. */
  private before(seq: number): number {
    let low = 0;
    let high = this.matches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.matches.at(middle) ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
