import { useEffect, useState } from "preact/hooks";
import type { FeedState } from "./data/feed";
import { store } from "./state";

/** How the connection is; while it waits for another try, why, and for how long. */
export function ConnectionState() {
  const state = store.state.value;
  const left = useCountdown(state);
  const { tone, text } = describe(state, store.paused.value);
  return (
    <div class={`connection ${tone}`} id="connection" data-state={state.name}>
      <i class="pulse" />
      <span role="status">{text}</span>
      {state.name === "retrying" && (
        <>
          <span class="countdown">in {left} s</span>
          <span class="reason" title={state.reason}>
            {state.reason}
          </span>
        </>
      )}
      {state.name === "failed" && <span class="reason">{state.reason}</span>}
    </div>
  );
}

function describe(state: FeedState, paused: boolean): { tone: string; text: string } {
  if (paused) return { tone: "held", text: "Paused" };
  switch (state.name) {
    case "connecting":
      return { tone: "wait", text: "Connecting" };
    case "existing":
      return { tone: "live", text: "Loading" };
    case "live":
      return { tone: "live", text: "Live" };
    case "retrying":
      return { tone: "bad", text: "Reconnecting" };
    case "asleep":
      return { tone: "held", text: "Asleep" };
    case "failed":
      return { tone: "bad", text: "Stopped" };
    default:
      return { tone: "wait", text: "Ended" };
  }
}

function useCountdown(state: FeedState): number {
  const [, tick] = useState(0);
  const at = state.name === "retrying" ? state.at : 0;
  useEffect(() => {
    if (at === 0) return;
    const timer = setInterval(() => tick((n) => n + 1), 250);
    return () => clearInterval(timer);
  }, [at]);
  return Math.max(0, Math.ceil((at - Date.now()) / 1000));
}
