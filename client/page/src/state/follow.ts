// Follows the registry: new networks appear in the list, and a version that an alias names is shown as soon as it does.

import { changes } from "../api/watch";
import type { Store } from "./store";

const PAUSE_MS = 5_000;

/** Follow the server's changes with a token until `signal` aborts; after an interruption anew. */
export async function follow(store: Store, token: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await whenVisible();
    try {
      for await (const { event, network } of changes(token, AbortSignal.any([signal, hidden()]))) {
        // The stream begins with every network; of these, the shown one may have changed before it began.
        const isNews = event !== "NETWORK_EVENT_CURRENT" || network.name === store.network.peek();
        if (isNews && network.name) await store.onChange(network, event === "NETWORK_EVENT_DELETED");
      }
    } catch {
      // The page works without: what it shows is right, if no longer the newest.
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

function whenVisible(): Promise<void> {
  return document.hidden ? new Promise((resolve) => onVisibility(() => resolve())) : Promise.resolve();
}

/** Return a signal that aborts when the page is hidden: a browser has six connections for all pages of a server. */
function hidden(): AbortSignal {
  const controller = new AbortController();
  onVisibility(() => controller.abort());
  return controller.signal;
}

function onVisibility(listener: () => void): void {
  document.addEventListener("visibilitychange", listener, { once: true });
}
