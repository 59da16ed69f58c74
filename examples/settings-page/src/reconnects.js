// Sign-ins in progress. Composio creates a new account for each and leaves the old one as it is, so a row shows both until the old
// one is removed. In a store of its own, because rows move between lists when the data is refetched.
import { createStore } from "./store.js";

/** By the ID of the old account: `{ newId, url, expiresAt }`. The URL is a capability of the user, and stays in memory. */
export const reconnects = createStore({});

export const setReconnect = (id, reconnect) => reconnects.set((before) => ({ ...before, [id]: reconnect }));

export const endReconnect = (id) =>
  reconnects.set((before) => {
    const { [id]: _, ...others } = before;
    return others;
  });

/** The page to which the sign-in returns, in its own tab. It signals the first tab and closes itself. */
const PARAMETER = "signed-in";
const channel = new BroadcastChannel("switchboard-sign-in");

export function callbackUrl() {
  const url = new URL(location.pathname, location.origin);
  url.searchParams.set(PARAMETER, "1");
  return url.href;
}

export const isReturnFromSignIn = new URLSearchParams(location.search).has(PARAMETER);

/** Whether the sign-in succeeded, as Composio says in the URL. The graph decides; this is only the text of the tab. */
export const hasSucceeded = new URLSearchParams(location.search).get("status") !== "failed";

export function signalSignIn() {
  channel.postMessage("done");
  // Allowed only for a tab that a script opened.
  window.close();
}

/** Calls `handler` when a sign-in ends in another tab. Returns the function that stops it. */
export function onSignIn(handler) {
  channel.addEventListener("message", handler);
  return () => channel.removeEventListener("message", handler);
}
