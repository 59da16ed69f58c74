// One POST per operation, and one WebSocket per subscription. The schema has no @defer, so no other response is incremental.
import { getOperationAST } from "graphql";
import { createClient } from "graphql-ws";

const endpoint = new URL("graphql", document.baseURI);

// GraphiQL has no input for request extensions, so the only one is set by a header, which is not sent.
const traceHeader = "x-switchboard-trace";

/** Dispatches "answered" after each operation, with `{ status, tookMs, bytes, trace }`. */
export const operations = new EventTarget();

/** The token of the page's own field. It stays in memory, so that a closed tab forgets it. */
let token = "";
export const setToken = (value) => {
  token = value.trim();
};
const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});

/** The headers of the last operation. Other requests of this page use the same credentials. */
let lastHeaders = {};

export async function fetcher(request, { headers: { [traceHeader]: wanted, ...headers } = {}, documentAST } = {}) {
  lastHeaders = headers;
  const operation = documentAST && getOperationAST(documentAST, request.operationName);
  if (operation?.operation === "subscription") return subscribe(request, headers);
  // GraphiQL's introspection comes without a document.
  if (!documentAST) return (await post(request, headers)).body;
  const showsTrace = Boolean(wanted) && String(wanted) !== "false";
  const startedAt = performance.now();
  let result = {};
  try {
    const { status, body } = await post({ ...request, extensions: { switchboard: { trace: true } } }, headers);
    const tookMs = performance.now() - startedAt;
    const { trace } = body.extensions?.switchboard ?? {};
    if (!showsTrace) removeTrace(body);
    result = { status, tookMs, bytes: new Blob([JSON.stringify(body)]).size, trace };
    return body;
  } finally {
    operations.dispatchEvent(new CustomEvent("answered", { detail: result }));
  }
}

/** The trace is always requested, for the line below the response, but shown only on request. */
function removeTrace(body) {
  const { cost: _, switchboard, ...extensions } = body.extensions ?? {};
  const { trace: __, ...ours } = switchboard ?? {};
  if (Object.keys(ours).length > 0) extensions.switchboard = ours;
  if (Object.keys(extensions).length > 0) body.extensions = extensions;
  else delete body.extensions;
}

/** Sends a request of the page itself, with the credentials of the last operation. */
export const ask = async (request) => (await post(request, lastHeaders)).body;

async function post(request, headers) {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json;q=0.9",
      ...authorization(),
      ...headers,
    },
    body: JSON.stringify(request),
  });
  const text = await response.text();
  try {
    return { status: response.status, body: JSON.parse(text) };
  } catch {
    // For example a proxy's error page: shown with its status, because a parse error would hide both.
    throw new Error(`HTTP ${response.status} ${response.statusText}: ${text.slice(0, 1000)}`);
  }
}

/** A browser cannot set headers of a WebSocket, so they are sent in its first message. Ending the iteration disconnects. */
async function* subscribe(request, headers) {
  const url = new URL(endpoint);
  url.protocol = url.protocol.replace("http", "ws");
  const client = createClient({ url: url.href, connectionParams: { ...authorization(), ...headers }, retryAttempts: 0 });
  try {
    yield* client.iterate(request);
  } finally {
    await client.dispose();
  }
}
