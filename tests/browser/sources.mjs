// A graph over both emulated APIs with a proxy between them, through which a test can inject failures and changes while a page is
// open.
import { createServer } from "node:http";
import { start } from "./visit.mjs";

/**
 * `proxyControl.down` names the API that returns 503, and `proxyControl.edit` can change LeadLex's response. `env` is the environment of `serve`,
 * `config` its file, and `sandbox` has flags of `sandbox`.
 */
export async function startWithProxy({ env = {}, config, sandbox: flags = [] } = {}) {
  const sandbox = await start(["sandbox", "--listen", "127.0.0.1:0", ...flags], /listening on (http:\/\/\S+)/);
  const proxyControl = { down: null, edit: (providers) => providers };
  const proxy = createServer(async (request, response) => {
    const upstream = request.url.includes("api-gateway") ? "leadlex" : "composio";
    if (proxyControl.down === upstream) return response.writeHead(503).end("{}");
    const { "x-api-key": apiKey, authorization } = request.headers;
    const headers = { ...(apiKey && { "x-api-key": apiKey }), ...(authorization && { authorization }) };
    const { method } = request;
    let body = "";
    for await (const chunk of request) body += chunk;
    const answer = await fetch(sandbox.url + request.url, { method, headers, body: body || undefined });
    let text = await answer.text();
    if (upstream === "leadlex" && answer.ok) text = JSON.stringify({ data: { providers: proxyControl.edit(JSON.parse(text).data.providers) } });
    const passed = [...answer.headers].filter(([name]) => !/^(content-.*|transfer-encoding|connection)$/.test(name));
    return response.writeHead(answer.status, { ...Object.fromEntries(passed), "content-type": "application/json" }).end(text);
  });
  await new Promise((ready) => proxy.listen(0, "127.0.0.1", ready));
  const at = `http://127.0.0.1:${proxy.address().port}`;
  const serve = await start(["serve", ...(config ? ["--config", config] : [])], /listening on (http:\/\/\S+)graphql/, {
    SWITCHBOARD__HTTP__LISTEN: "127.0.0.1:0",
    SWITCHBOARD__HTTP__EXAMPLE: "true",
    SWITCHBOARD__OPS__LISTEN: "127.0.0.1:0",
    SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL: `${at}/functions/v1/api-gateway`,
    SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL: at,
    SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY: "wbk_sandbox_a",
    SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY: "ak_sandbox_a",
    ...env,
  });
  return {
    url: serve.url,
    sandbox: sandbox.url,
    proxyControl,
    stop() {
      serve.stop();
      proxy.closeAllConnections();
      proxy.close();
      sandbox.stop();
    },
  };
}
