// The connection to the graph: one POST per operation, and the failing APIs that its errors name.
import { Environment, Network, RecordSource, Store } from "relay-runtime";
import { createStore } from "./store.js";

export const endpoint = new URL("graphql", document.baseURI);

/**
 * The bearer token, if the graph requires one: `{ value, required, rejected }`. It stays in memory, so that no script of
 * another page can read it and a closed tab forgets it. A product uses its own session instead.
 */
export const token = createStore({ value: null, required: false, rejected: null });

export const authorization = () => (token.get().value ? { Authorization: `Bearer ${token.get().value}` } : {});

/** The APIs that failed in the last response: `{ LEADLEX: { code, since, retryAt } }`, times in milliseconds. */
export const outages = createStore({});

/** A failure without any data. `retryAt` is the time of the next useful attempt. */
export class RequestError extends Error {
  constructor(message, { code, retryAfterMs } = {}) {
    super(message);
    this.code = code;
    this.retryAt = retryAfterMs === undefined ? undefined : Date.now() + retryAfterMs;
  }
}

/** Sends an operation and resolves with `{ data, errors }`. */
export async function send(query, variables = {}) {
  let response;
  try {
    response = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", ...authorization() },
      body: JSON.stringify({ query, variables }),
    });
  } catch {
    throw new RequestError("The graph is unreachable.");
  }
  if (response.status === 401) {
    token.set(({ value }) => ({ value: null, required: true, rejected: value }));
    throw new RequestError("Sign in to see the integrations.", { code: "UNAUTHENTICATED" });
  }
  const body = await response.json().catch(() => ({}));
  if (!body.data) {
    const [error] = body.errors ?? [{ message: `The graph returned HTTP ${response.status}.` }];
    throw new RequestError(error.message, error.extensions);
  }
  return body;
}

/** Whether only names and logos of toolkits are missing: the rest of their API may work. */
const isOfToolkits = ({ path = [], extensions }) =>
  (extensions.paths ?? [path]).every((steps) => steps.some((step) => step === "toolkit" || step === "toolkits"));

/** Updates `outages`. An operation that reads both APIs without an error of one of them ends that API's outage. */
function recordOutages({ errors = [] }, readsBoth) {
  const failed = errors.filter((error) => error.extensions?.upstream && !isOfToolkits(error)).map(({ extensions }) => extensions);
  outages.set((before) => {
    const after = readsBoth ? {} : { ...before };
    for (const { upstream, code, retryAfterMs } of failed) {
      const retryAt = retryAfterMs === undefined ? undefined : Date.now() + retryAfterMs;
      after[upstream] = { code, retryAt, since: before[upstream]?.since ?? Date.now() };
    }
    return after;
  });
}

async function fetchOperation({ name, text, operationKind }, variables) {
  const body = await send(text, variables);
  if (operationKind !== "mutation") recordOutages(body, name === "SettingsPageQuery");
  // Without `errors`, because Relay would discard the data. The page shows null fields as missing.
  return operationKind === "mutation" ? body : { data: body.data };
}

/** One environment per token, so that no caller sees data of another one. */
export const createEnvironment = () =>
  new Environment({
    network: Network.create(fetchOperation),
    store: new Store(new RecordSource(), { gcReleaseBufferSize: 20 }),
  });
