import { useEffect } from "preact/hooks";
import { Dialogs, dialog } from "./connect";
import { closeDetail, DetailPanel } from "./detail";
import { Figures } from "./figures";
import { PlotCards, SpanPicker, usePlots } from "./plots";
import { detail, filter, gateway, store } from "./state";
import { Alert, ConnectionState } from "./status";
import { Table } from "./table";
import { LookupResult, Toolbar } from "./toolbar";

export function App() {
  useEffect(() => {
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  return (
    <>
      <header class="top">
        <Logo />
        <h1>paystream</h1>
        {gateway.topic && (
          <span class="topic" title="The topic on Kafka">
            {gateway.topic}
          </span>
        )}
        <span class="spring" />
        <ConnectionState />
        <button type="button" class="button quiet" onClick={() => (dialog.value = "connect")}>
          Subscribe
        </button>
        <button
          type="button"
          class="icon"
          aria-label="Keys"
          title="Keys (?)"
          onClick={() => (dialog.value = "keys")}
        >
          ?
        </button>
      </header>
      <Alert />
      <main class={detail.value ? "with-detail" : ""}>
        <div class="column">
          <Overview />
          <Toolbar />
          <LookupResult />
          <Table />
        </div>
        <DetailPanel />
      </main>
      <Dialogs />
    </>
  );
}

function Overview() {
  const plots = usePlots();
  return (
    <>
      <div class="overview">
        <Figures plots={plots} />
        <SpanPicker />
      </div>
      <PlotCards plots={plots} />
    </>
  );
}

function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M7 11h11M7 16h18M7 21h8" />
      <circle cx="22.5" cy="11" r="2.2" />
      <circle cx="19.5" cy="21" r="2.2" />
    </svg>
  );
}

/** Keys that work everywhere but where one types. */
function onKey(e: KeyboardEvent): void {
  if (e.ctrlKey || e.metaKey || e.altKey || dialog.value) return;
  const target = e.target as HTMLElement;
  const typing = target instanceof HTMLInputElement && target.type === "search";
  if (e.key === "Escape") {
    if (typing && filter.value.id !== "") filter.value = { ...filter.value, id: "" };
    else if (detail.value) closeDetail();
    else target.blur();
    return;
  }
  if (typing) return;
  const act = { "/": search, p: pause, "?": keys }[e.key];
  if (!act) return;
  e.preventDefault();
  act();
}

const search = () => document.getElementById("search")?.focus();
const pause = () => store.setPaused(!store.paused.value);
const keys = () => {
  dialog.value = "keys";
};
