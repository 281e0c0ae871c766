import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Copy } from "./detail";
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
            <div class="heading">
              <p>{line.label}</p>
              <Copy what={line.label} text={here(line.command)} />
            </div>
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must take the focus, for the keyboard */}
            <pre tabIndex={0}>{here(line.command)}</pre>
          </div>
        ))}
        <p class="note">
          Every payment comes over each of these, in the order of its partition. A cursor of one is good on
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

/** A command as it has to be for whoever opened this page: the gateway does not know its names. */
function here(command: string): string {
  const own = /https?:\/\/[^/ ]+/.exec(gateway.lines?.[0]?.command ?? "")?.[0];
  if (!own || own === location.origin) return command;
  if (command === "go run . tail") return `${command} --address=${location.origin}`;
  const bare = (origin: string) => origin.replace(/^https?:\/\//, "");
  return command.replaceAll(own, location.origin).replaceAll(bare(own), location.host);
}

function Dialog(props: { name: "connect" | "keys"; title: string; children: preact.ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  // The browser tells of a dialog that Escape has closed only after the next key; it may be open again by then.
  const closed = () => {
    if (dialog.value === props.name) dialog.value = null;
  };
  // At once, not after the next drawing: what the browser tells late has to find the dialog as it should be.
  useEffect(
    () =>
      effect(() => {
        const open = dialog.value === props.name;
        if (open && !element.current?.open) element.current?.showModal();
        else if (!open) element.current?.close();
      }),
    [props.name],
  );
  return (
    <dialog
      ref={element}
      id={props.name}
      aria-labelledby={`${props.name}-title`}
      onCancel={closed}
      onClose={() => !element.current?.open && closed()}
    >
      <div class="heading">
        <h2 id={`${props.name}-title`}>{props.title}</h2>
        <button type="button" class="icon" aria-label="Close" onClick={() => (dialog.value = null)}>
          ✕
        </button>
      </div>
      {props.children}
    </dialog>
  );
}
