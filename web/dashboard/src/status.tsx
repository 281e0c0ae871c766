import { useEffect, useState } from "preact/hooks";
import type { FeedState } from "./data/feed";
import { clip } from "./format";
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
      {state.name === "retrying" && !store.paused.value && <span class="countdown">in {left} s</span>}
    </div>
  );
}

/** Why there is no connection, and what that means for the payments. */
export function Alert() {
  const state = store.state.value;
  if (state.name === "retrying")
    return (
      <section class="alert" id="reason" aria-label="Connection" title={`Attempt ${state.attempt}`}>
        No connection: {clip(state.reason, 300)}. What comes meanwhile is asked for afterwards.
      </section>
    );
  if (state.name === "failed")
    return (
      <p class="alert" id="reason" role="alert">
        The gateway refuses this page: {clip(state.reason, 300)}. Reload it to begin anew.
      </p>
    );
  return null;
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
