// The status changes of accounts that subscriptions reported since the page was opened, by account.
import { createStore } from "./store.js";

const openedAt = Date.now();
const ENTRIES_MAX = 20;

export const changes = createStore({ openedAt, byAccount: {} });

/** Records one `ConnectedAccountChange`. A change that leaves the status alone is not an entry. */
export function recordChange({ id, kind, previousStatus, at, connectedAccount }) {
  const status = kind === "REMOVED" ? "REMOVED" : connectedAccount?.status;
  if (!status || status === previousStatus) return;
  changes.set(({ byAccount }) => ({
    openedAt,
    byAccount: { ...byAccount, [id]: [{ at, status, previousStatus }, ...(byAccount[id] ?? [])].slice(0, ENTRIES_MAX) },
  }));
}
