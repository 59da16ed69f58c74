// One POST per operation; subscriptions go over a WebSocket each. The schema has no @defer, so nothing else is asked for
// in parts.
import { getOperationAST } from "graphql";
import { createClient } from "graphql-ws";

const endpoint = new URL("graphql", document.baseURI);

// GraphiQL has no place for a request's extensions, so the one that there is goes by a header of its own, which is
// not sent.
const traceHeader = "x-switchboard-trace";

/** Tells "answered" after each operation. */
export const operations = new EventTarget();

/** What the last operation sent along: who else asks on this page asks as the same caller. */
let lastHeaders = {};

export async function fetcher(request, { headers: { [traceHeader]: trace, ...headers } = {}, documentAST } = {}) {
  lastHeaders = headers;
  const operation = documentAST && getOperationAST(documentAST, request.operationName);
  if (operation?.operation === "subscription") return subscribe(request, headers);
  if (trace && String(trace) !== "false") request = { ...request, extensions: { switchboard: { trace: true } } };
  try {
    return await ask(request, headers);
  } finally {
    operations.dispatchEvent(new Event("answered"));
  }
}

export async function ask(request, headers = lastHeaders) {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json;q=0.9",
      ...headers,
    },
    body: JSON.stringify(request),
  });
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's page, say: shown as it came, with the status, where a bare parse error would hide both.
    throw new Error(`HTTP ${response.status} ${response.statusText}: ${text.slice(0, 1000)}`);
  }
}

/** A browser sends no headers with a WebSocket: they go in its first message. Ending the iteration hangs up. */
async function* subscribe(request, headers) {
  const url = new URL(endpoint);
  url.protocol = url.protocol.replace("http", "ws");
  const client = createClient({ url: url.href, connectionParams: headers, retryAttempts: 0 });
  try {
    yield* client.iterate(request);
  } finally {
    await client.dispose();
  }
}
