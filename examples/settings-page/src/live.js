// When to refetch. Subscriptions signal a change. Without them, or while the connection is broken, the page polls at the
// data's `refreshDueAt`. An event only triggers the refetch, so that counts, filters and order are right too; the refetch costs
// no upstream call.
import { createClient } from "graphql-ws";
import { createContext, useEffect, useEffectEvent, useState } from "react";
import { authorization, endpoint, send } from "./environment.js";
import { recordChange } from "./history.js";

const subscriptions = {
  providerChanged: "subscription { providerChanged { kind id } }",
  connectedAccountChanged: "subscription { connectedAccountChanged { kind id previousStatus at connectedAccount { status } } }",
};

/** The least time between two polls. With subscriptions only the age of the data changes. */
const POLL_MS = { live: 30_000, polling: 1_000, offline: 30_000, max: 120_000 };
/** Changes within this time cause one refetch. */
const DEBOUNCE_MS = 250;
/** The delay before a subscription that the server ended or rejected is started again. */
const RESUBSCRIBE_MS = 30_000;

/** The number of refetches, for components with queries of their own. */
export const Refetches = createContext(0);

/**
 * Calls `reload` on each change, and when the data is due (`dueAt`, in milliseconds) while the page is visible. Returns "live",
 * "polling" or "offline".
 */
export function useLive(dueAt, reload) {
  const [connection, setConnection] = useState("polling");
  const [polled, setPolled] = useState({ dueAt, times: 0 });
  const isOnline = useOnline();
  const refetch = useEffectEvent(reload);
  // Polled but still due: the refresh may be in progress, then it may be paced. So the delay doubles.
  const times = polled.dueAt === dueAt ? polled.times : 0;
  const mode = isOnline ? connection : "offline";

  useEffect(() => {
    let timer;
    const changed = () => {
      clearTimeout(timer);
      timer = setTimeout(() => refetch(), DEBOUNCE_MS);
    };
    const unsubscribe = subscribe(changed, setConnection);
    addEventListener("online", changed);
    return () => {
      clearTimeout(timer);
      removeEventListener("online", changed);
      unsubscribe();
    };
  }, []);

  useEffect(() => {
    let timer;
    const poll = () => refetch().then(() => setPolled({ dueAt, times: times + 1 }));
    const schedule = () => {
      clearTimeout(timer);
      const least = times > 0 ? Math.min(1_000 * 2 ** times, POLL_MS.max) : POLL_MS[mode];
      if (!document.hidden) timer = setTimeout(poll, Math.max(least, dueAt - Date.now()));
    };
    schedule();
    document.addEventListener("visibilitychange", schedule);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", schedule);
    };
  }, [mode, dueAt, times]);

  return mode;
}

function useOnline() {
  const [isOnline, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const update = () => setOnline(navigator.onLine);
    addEventListener("online", update);
    addEventListener("offline", update);
    return () => {
      removeEventListener("online", update);
      removeEventListener("offline", update);
    };
  }, []);
  return isOnline;
}

/** One WebSocket for all subscriptions of the schema; it reconnects automatically. Returns a function that closes it. */
function subscribe(changed, setConnection) {
  let client, timer;
  let isClosed = false;
  const url = new URL(endpoint);
  url.protocol = url.protocol.replace("http", "ws");

  const connect = (names) => {
    const resubscribe = () => {
      setConnection("polling");
      clearTimeout(timer);
      if (!isClosed) timer = setTimeout(connect, RESUBSCRIBE_MS, names);
    };
    client = createClient({
      url: url.href,
      // A browser cannot set headers of a WebSocket, so they are in its first message.
      connectionParams: authorization,
      retryAttempts: Infinity,
      shouldRetry: () => true,
      on: {
        connected(_socket, _payload, isRetry) {
          setConnection("live");
          // There may have been changes while it was disconnected.
          if (isRetry) changed();
        },
        closed: () => setConnection("polling"),
      },
    });
    const { dispose } = client;
    const ended = () => {
      dispose();
      resubscribe();
    };
    const next = ({ data }) => {
      if (data?.connectedAccountChanged) recordChange(data.connectedAccountChanged);
      changed();
    };
    for (const name of names) client.subscribe({ query: subscriptions[name] }, { next, error: ended, complete: ended });
  };

  offered().then((names) => {
    if (!isClosed && names.length > 0) connect(names);
  });
  return () => {
    isClosed = true;
    clearTimeout(timer);
    client?.dispose();
  };
}

/** The subscriptions of the served schema; none if it cannot be introspected. */
async function offered() {
  const query = `{ __type(name: "Subscription") { fields { name } } }`;
  const { data } = await send(query).catch(() => ({}));
  return (data?.__type?.fields ?? []).map(({ name }) => name).filter((name) => name in subscriptions);
}
