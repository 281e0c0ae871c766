import type { Gap, PaymentMessage } from "@paystream/client";
import { Deque } from "./deque";

/** One line of the table: a payment's event, or a mark where payments are missing. */
export type Row = PaymentRow | GapRow;

export interface PaymentRow {
  /** Counts up by one from row to row. */
  seq: number;
  kind: "payment";
  event: PaymentMessage;
}

export interface GapRow {
  seq: number;
  kind: "gap";
  /** None where the gateway reads another topic from here on. */
  gap: Gap | null;
  /** When the browser was told, in ms since 1970. */
  at: number;
}

export const MAX_ROWS = 20_000;
const MAX_BYTES = 48 << 20;

/** The newest rows, bounded by number and by size. */
export class Rows {
  private readonly rows = new Deque<Row>();
  private first = 0;
  private bytes = 0;

  constructor(
    private readonly maxRows = MAX_ROWS,
    private readonly maxBytes = MAX_BYTES,
  ) {}

  /** The sequence number of the next row. */
  get end(): number {
    return this.first + this.rows.length;
  }

  /** The sequence number of the oldest row that is still there. */
  get start(): number {
    return this.first;
  }

  get(seq: number): Row | undefined {
    return this.rows.at(seq - this.first);
  }

  add(event: PaymentMessage): PaymentRow {
    const row: PaymentRow = { seq: this.end, kind: "payment", event };
    this.append(row);
    return row;
  }

  addGap(gap: Gap | null, at: number): GapRow {
    const row: GapRow = { seq: this.end, kind: "gap", gap, at };
    this.append(row);
    return row;
  }

  [Symbol.iterator](): Iterator<Row> {
    return this.rows[Symbol.iterator]();
  }

  private append(row: Row): void {
    this.rows.push(row);
    this.bytes += sizeOf(row);
    while (this.rows.length > this.maxRows || (this.bytes > this.maxBytes && this.rows.length > 1)) {
      const gone = this.rows.shift();
      if (!gone) return;
      this.bytes -= sizeOf(gone);
      this.first++;
    }
  }
}

/** About what a row takes in memory: a browser's strings take one or two bytes a character. */
function sizeOf(row: Row): number {
  if (row.kind === "gap") return 500;
  const { payment, cursor } = row.event;
  let size = 600 + cursor.length + payment.id.length + payment.customerEmail.length;
  for (const key in payment.metadata) size += 40 + key.length + (payment.metadata[key]?.length ?? 0);
  return size;
}
