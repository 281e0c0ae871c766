import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { gateway } from "./state";

/** Which dialog is open. */
export const dialog = signal<"connect" | "keys" | null>(null);

const KEYS: [string, string][] = [
  ["/", "Search"],
  ["p", "Pause, or go on"],
  ["↑ ↓", "Walk through the payments"],
  ["Enter", "Show the payment"],
  ["Home", "To the newest"],
  ["Escape", "Close, or clear the search"],
  ["?", "These keys"],
];

export function Dialogs() {
  return (
    <>
      <Dialog name="connect" title="Subscribe to these payments">
        {(gateway.lines ?? []).map((line) => (
          <div key={line.command} class="command">
            <p>{line.label}</p>
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must take the focus, for the keyboard */}
            <pre tabIndex={0}>{line.command}</pre>
          </div>
        ))}
        <p class="note">
          Every payment comes once, in order in its partition, over each of these. A cursor of one is good on
          all.
        </p>
      </Dialog>
      <Dialog name="keys" title="Keys">
        <dl class="keys">
          {KEYS.map(([key, does]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
      </Dialog>
    </>
  );
}

function Dialog(props: { name: "connect" | "keys"; title: string; children: preact.ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  const open = dialog.value === props.name;
  useEffect(() => {
    if (open) element.current?.showModal();
    else element.current?.close();
  }, [open]);
  return (
    <dialog
      ref={element}
      id={props.name}
      aria-labelledby={`${props.name}-title`}
      onClose={() => {
        if (open) dialog.value = null;
      }}
    >
      <header>
        <h2 id={`${props.name}-title`}>{props.title}</h2>
        <button type="button" class="icon" aria-label="Close" onClick={() => (dialog.value = null)}>
          ✕
        </button>
      </header>
      {props.children}
    </dialog>
  );
}
