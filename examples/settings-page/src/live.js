// When to ask again. Where the graph has subscriptions, it says when something has changed; else, and while the
// connection is broken, the page asks at the moment that the data's `refreshDueAt` names. A change is not read from
// the event: the page asks anew, so that counts, filters and order are right too. It costs no upstream call.
import { createClient } from "graphql-ws";
import { createContext, useEffect, useEffectEvent, useState } from "react";
import { ask, authorization, endpoint } from "./environment.js";

const subscriptions = {
  providerChanged: "subscription { providerChanged { kind id } }",
  connectedAccountChanged: "subscription { connectedAccountChanged { kind id } }",
};

/** How long it rests at least after an answer: while the graph speaks up by itself, only the data's age is behind. */
const REST_MS = { live: 30_000, polling: 1_000, most: 120_000 };
/** Changes of one moment come together. */
const GATHER_MS = 250;
/** After the graph has ended a subscription, or refused it. */
const AGAIN_MS = 30_000;

/** Goes up by one whenever the page has been read again, for the parts that ask for themselves. */
export const Reading = createContext(0);

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
      const rest = times > 0 ? Math.min(1_000 * 2 ** times, REST_MS.most) : REST_MS[mode];
      if (!document.hidden) timer = setTimeout(turn, Math.max(rest, dueAt - Date.now()));
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

/** One WebSocket for all subscriptions that the schema has; a broken one connects again. Returns what ends it. */
function subscribe(changed, setMode) {
  let client, timer;
  let ended = false;
  const url = new URL(endpoint);
  url.protocol = url.protocol.replace("http", "ws");

  const connect = (names) => {
    const again = () => {
      setMode("polling");
      clearTimeout(timer);
      if (!ended) timer = setTimeout(connect, AGAIN_MS, names);
    };
    client = createClient({
      url: url.href,
      // A browser sends no headers with a WebSocket: they go in its first message.
      connectionParams: authorization,
      retryAttempts: Infinity,
      shouldRetry: () => true,
      on: {
        connected(_socket, _payload, again) {
          setMode("live");
          // What changed while the line was broken.
          if (again) changed();
        },
        closed: () => setMode("polling"),
      },
    });
    const { dispose } = client;
    const over = () => {
      dispose();
      again();
    };
    for (const name of names) client.subscribe({ query: subscriptions[name] }, { next: changed, error: over, complete: over });
  };

  offered().then((names) => {
    if (!ended && names.length > 0) connect(names);
  });
  return () => {
    ended = true;
    clearTimeout(timer);
    client?.dispose();
  };
}

/** The subscriptions that the served schema has; none where it does not tell. */
async function offered() {
  const question = `{ __type(name: "Subscription") { fields { name } } }`;
  const { data } = await ask(question).catch(() => ({}));
  return (data?.__type?.fields ?? []).map(({ name }) => name).filter((name) => name in subscriptions);
}
