// One POST per operation, and one WebSocket per subscription. The schema has no @defer, so no other response is incremental.
import { getOperationAST } from "graphql";
import { createClient } from "graphql-ws";

const endpoint = new URL("graphql", document.baseURI);

// GraphiQL has no input for request extensions, so the only one is set by a header, which is not sent.
const traceHeader = "x-switchboard-trace";

/** Dispatches "answered" after each operation. */
export const operations = new EventTarget();

/** The headers of the last operation. Other requests of this page use the same credentials. */
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
    // For example a proxy's error page: shown with its status, because a parse error would hide both.
    throw new Error(`HTTP ${response.status} ${response.statusText}: ${text.slice(0, 1000)}`);
  }
}

/** A browser cannot set headers of a WebSocket, so they are sent in its first message. Ending the iteration disconnects. */
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
