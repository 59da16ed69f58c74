// One POST per operation. The schema has no @defer, so nothing is asked for in parts.

const endpoint = new URL("graphql", document.baseURI);

// GraphiQL has no place for a request's extensions, so the one that there is goes by a header of its own, which is
// not sent.
const traceHeader = "x-switchboard-trace";

export async function fetcher(request, { headers: { [traceHeader]: trace, ...headers } = {} } = {}) {
  if (trace && String(trace) !== "false") request = { ...request, extensions: { switchboard: { trace: true } } };
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
