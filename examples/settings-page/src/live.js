// When to ask again. Where the graph has subscriptions, it says when something has changed; else, and while the
// connection is broken, the page asks at the moment that the data's `refreshDueAt` names. A change is not read from
// the event: the page asks anew, so that counts, filters and order are right too. It costs no upstream call.
import { createClient } from "graphql-ws";
import { useEffect, useEffectEvent, useState } from "react";
import { ask, authorization, endpoint } from "./environment.js";

const subscriptions = {
  providerChanged: "subscription { providerChanged { kind id } }",
  connectedAccountChanged: "subscription { connectedAccountChanged { kind id } }",
};

/** How long it rests at least after an answer: while the graph speaks up by itself, only the data's age is behind. */
const REST_MS = { live: 60_000, polling: 1_000 };
const CEILING_MS = 120_000;
/** Changes of one moment come together. */
const GATHER_MS = 250;

/**
 * Calls `reload` whenever there may be something new: when the graph says so, and when the data is due (`dueAt`, in
 * milliseconds) while the page is in sight. Returns "live" or "polling".
 */
export function useLive(dueAt, reload) {
  const [mode, setMode] = useState("polling");
  const [asked, setAsked] = useState({ dueAt, times: 0 });
  const again = useEffectEvent(reload);
  // Asked, and still due: at first it is read behind the answer, and there in a moment; else less and less often.
  const times = asked.dueAt === dueAt ? asked.times : 0;

  useEffect(() => {
    let gathering;
    const changed = () => {
      clearTimeout(gathering);
      gathering = setTimeout(() => again(), GATHER_MS);
    };
    const hangUp = subscribe(changed, setMode);
    return () => {
      clearTimeout(gathering);
      hangUp();
    };
  }, []);

  useEffect(() => {
    let timer;
    const turn = () => again().then(() => setAsked({ dueAt, times: times + 1 }));
    const arm = () => {
      clearTimeout(timer);
      const rest = times > 0 ? 1_000 * 2 ** times : REST_MS[mode];
      const delay = Math.min(Math.max(rest, dueAt - Date.now()), CEILING_MS);
      if (!document.hidden) timer = setTimeout(turn, delay);
    };
    arm();
    document.addEventListener("visibilitychange", arm);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", arm);
    };
  }, [mode, dueAt, times]);

  return mode;
}

/** One WebSocket for all subscriptions that the schema has; it connects again by itself. Returns what ends it. */
function subscribe(changed, setMode) {
  let client;
  let ended = false;
  offered().then((names) => {
    if (ended || names.length === 0) return;
    const url = new URL(endpoint);
    url.protocol = url.protocol.replace("http", "ws");
    client = createClient({
      url: url.href,
      connectionParams: authorization,
      retryAttempts: Infinity,
      shouldRetry: () => true,
      on: {
        connected: () => setMode("live"),
        closed: () => setMode("polling"),
      },
    });
    for (const name of names) {
      client.subscribe({ query: subscriptions[name] }, { next: changed, error: () => setMode("polling"), complete() {} });
    }
  });
  return () => {
    ended = true;
    client?.dispose();
  };
}

/** The subscriptions that the served schema has; none where it does not tell. */
async function offered() {
  const question = `{ __type(name: "Subscription") { fields { name } } }`;
  const { data } = await ask(question).catch(() => ({}));
  return (data?.__type?.fields ?? []).map(({ name }) => name).filter((name) => name in subscriptions);
}
