import type { Gap, PaymentMessage } from "@paystream/client";
import { signal } from "@preact/signals";
import { clockOffset, type Offset } from "./clock";
import { Feed, type FeedState } from "./feed";
import { Latencies } from "./latency";
import { Rate } from "./rate";
import { Rows } from "./rows";
import { Series } from "./series";
import { View } from "./view";

/** Rows are shown at most so often, in ms: an eye follows no more, and a plot needs less. */
const REFRESH = 100;
const CLOCK_EVERY = 5 * 60_000;
const FORGET_EVERY = 10_000;
/** While paused, so many payments are held in the page; what comes after them stays with the gateway. */
const PAUSE_HOLDS = 5_000;

/** All that the page knows. Components read `version` to be drawn again when rows have come. */
export class Store {
  readonly rows = new Rows();
  readonly view = new View(this.rows);
  readonly series = new Series();
  readonly latencies = new Latencies();
  readonly rate = new Rate();

  /** Counts up when rows have come or the view has changed. */
  readonly version = signal(0);
  readonly state = signal<FeedState>({ name: "connecting", address: "" });
  readonly offset = signal<Offset | null>(null);
  readonly paused = signal(false);
  /** Whether the table is away from its newest row. */
  readonly scrolled = signal(false);
  /** How many payments have come since the page was opened. */
  received = 0;
  gaps = 0;
  readonly openedAt = Date.now();
  /** By this page's own clock, as openedAt: the offset may come to be known only later. */
  private liveSince = Number.POSITIVE_INFINITY;
  private readonly feed: Feed;
  private pausedAt = 0;
  private drawing = false;
  private drawnAt = 0;

  constructor(address: string) {
    this.feed = new Feed(address, {
      payment: (event) => this.payment(event),
      gap: (gap) => this.gap(gap),
      replaced: () => this.gap(null),
      state: (state) => this.stateChanged(state),
    });
    this.feed.start();
    const clock = async () => {
      if (document.visibilityState === "visible") {
        this.offset.value =
          (await clockOffset(`${address}/healthz`, AbortSignal.timeout(10_000))) ?? this.offset.value;
      }
    };
    void clock();
    setInterval(clock, CLOCK_EVERY);
    // By a clock that may be wrong it would be the wrong ones that go.
    setInterval(() => this.offset.value && this.series.forget(this.now()), FORGET_EVERY);
  }

  /** The gateway's time, in ms since 1970, as well as it is known. */
  now(): number {
    return Date.now() + (this.offset.value?.ms ?? 0);
  }

  /** Keeps the table as it is, or lets it go on with all that has come. */
  setPaused(paused: boolean): void {
    this.paused.value = paused;
    this.pausedAt = this.rows.end;
    this.feed.setFull(false);
    this.hold();
  }

  setScrolled(scrolled: boolean): void {
    if (this.scrolled.value === scrolled) return;
    this.scrolled.value = scrolled;
    this.hold();
  }

  /** Lets the table go on with all that has come, whatever has held it. */
  goOn(): void {
    this.scrolled.value = false;
    this.setPaused(false);
  }

  private hold(): void {
    if (this.paused.value || this.scrolled.value) this.view.hold();
    else this.view.release();
    this.refresh();
  }

  /** Draws the page again, soon. */
  refresh(): void {
    if (this.drawing) return;
    this.drawing = true;
    const draw = () => {
      this.drawing = false;
      this.drawnAt = performance.now();
      this.version.value++;
    };
    const wait = this.drawnAt + REFRESH - performance.now();
    if (wait > 0) setTimeout(() => requestAnimationFrame(draw), wait);
    else requestAnimationFrame(draw);
  }

  private payment(event: PaymentMessage): void {
    const at = Number(event.publishedAt);
    this.received++;
    this.view.added(this.rows.add(event));
    this.series.add(event.payment, at);
    if (event.eventType === "new") this.arrived(at);
    if (this.paused.value && this.rows.end - this.pausedAt >= PAUSE_HOLDS) this.feed.setFull(true);
    this.refresh();
  }

  /** What was published before this page could have had it says nothing about the way here. */
  private arrived(publishedAt: number): void {
    const now = this.now();
    this.rate.add(Date.now());
    const liveSince = this.liveSince + now - Date.now();
    if (publishedAt >= liveSince) this.latencies.add(now - publishedAt, now);
  }

  private gap(gap: Gap | null): void {
    this.gaps++;
    this.view.added(this.rows.addGap(gap, this.now()));
    this.refresh();
  }

  private stateChanged(state: FeedState): void {
    if (state.name === "live") this.liveSince = Date.now();
    else this.liveSince = Number.POSITIVE_INFINITY;
    this.state.value = state;
  }
}
