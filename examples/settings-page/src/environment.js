// The way to the graph: one POST per operation, and what its errors tell of the two APIs behind it.
import { Environment, Network, RecordSource, Store } from "relay-runtime";
import { createStore } from "./store.js";

export const endpoint = new URL("graphql", document.baseURI);

/**
 * The bearer token, where the graph asks for one. A frontend has its own session here; this one keeps what was typed
 * until the tab is closed.
 */
export const token = createStore({ value: sessionStorage.getItem("token"), wanted: false });
token.follow(() => sessionStorage.setItem("token", token.get().value ?? ""));

export const authorization = () => (token.get().value ? { Authorization: `Bearer ${token.get().value}` } : {});

/** The APIs that the last answers could not be made with: `{ LEADLEX: { code, since, retryAt } }`, times in milliseconds. */
export const outages = createStore({});

/** A failure that leaves no data at all. `retryAt` is when it is worth another try. */
export class Unanswered extends Error {
  constructor(message, { code, retryAfterMs } = {}) {
    super(message);
    this.code = code;
    this.retryAt = retryAfterMs === undefined ? undefined : Date.now() + retryAfterMs;
  }
}

/** Asks the graph, and resolves with `{ data, errors }` as they came. */
export async function ask(query, variables = {}) {
  let response;
  try {
    response = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", ...authorization() },
      body: JSON.stringify({ query, variables }),
    });
  } catch {
    throw new Unanswered("The graph cannot be reached.");
  }
  if (response.status === 401) {
    token.set({ value: null, wanted: true });
    throw new Unanswered("Sign in to see the integrations.", { code: "UNAUTHENTICATED" });
  }
  const answer = await response.json().catch(() => ({}));
  if (!answer.data) {
    const [error] = answer.errors ?? [{ message: `The graph answered with HTTP ${response.status}.` }];
    throw new Unanswered(error.message, error.extensions);
  }
  return answer;
}

/**
 * Keeps `outages` in step with an answer. An API that nulled something is out; one that an operation over both has read
 * without an error is back.
 */
function note({ errors = [] }, readsBoth) {
  const failed = errors.map(({ extensions }) => extensions).filter((extensions) => extensions?.upstream);
  outages.set((before) => {
    const after = readsBoth ? {} : { ...before };
    for (const { upstream, code, retryAfterMs } of failed) {
      const retryAt = retryAfterMs === undefined ? undefined : Date.now() + retryAfterMs;
      after[upstream] = { code, retryAt, since: before[upstream]?.since ?? Date.now() };
    }
    return after;
  });
}

async function fetchOperation(operation, variables) {
  const answer = await ask(operation.text, variables);
  note(answer, operation.name === "SettingsPageQuery");
  // Relay would take the errors of an answer with data for nothing; what they null it shows as null.
  return { data: answer.data };
}

/** One for each token: what somebody may see stays theirs. */
export const createEnvironment = () =>
  new Environment({
    network: Network.create(fetchOperation),
    store: new Store(new RecordSource(), { gcReleaseBufferSize: 20 }),
  });
