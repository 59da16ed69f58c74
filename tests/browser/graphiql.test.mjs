// GraphiQL in a real browser without a network: the actions of a first visit, without any console error, policy report or
// foreign request.
//
//   SWITCHBOARD_URL   a running server, instead of a demo
//   SCREENSHOT        where to write the README's picture, relative to the repository root (docs/graphiql.png)
import assert from "node:assert/strict";
import { resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { collection } from "../../graphiql/src/examples.js";
import { startWithProxy } from "./sources.mjs";
import { accessible, demo, launch, picture, root, SCHEMES, SIZES, visit as open } from "./visit.mjs";

const queryEditor = ".graphiql-query-editor";
const toolEditor = ".graphiql-editor-tool .graphiql-editor:not(.hidden)";

/** A defect of GraphiQL: a tab contains a button. Both are still reachable by keyboard. */
const TABS = [".graphiql-tab"];

describe("GraphiQL", { timeout: 300_000 }, () => {
  let server, browser;

  before(async () => {
    const url = process.env.SWITCHBOARD_URL;
    server = url ? { url, stop() {} } : await demo();
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    server?.stop();
  });

  /** A first visit, until the schema is loaded and the editor has syntax colours. */
  async function visit(colorScheme = "light", size = "laptop", url = server.url) {
    let schema;
    const before = async (page) => {
      schema = page.waitForResponse((response) => response.request().postData()?.includes("__schema"));
    };
    const visited = await open(browser, url, { colorScheme, size, before });
    await schema;
    // Syntax colours show that monaco's language is loaded.
    await visited.page.locator(`${queryEditor} .view-line [class*=mtk]:not(.mtk1)`).first().waitFor();
    return visited;
  }

  /** Performs an action that runs a query and resolves with its response. Queries of the status strip are ignored. */
  async function run(page, act) {
    const isIt = (request) => new URL(request.url()).pathname === "/graphql" && !request.postData()?.includes("StatusStrip");
    const answer = page.waitForResponse((response) => isIt(response.request()));
    await act();
    return (await answer).json();
  }

  const press = (page) => () => page.getByRole("button", { name: /^Execute query/ }).click();

  /** Waits until GraphiQL has read its editor: it stores the text in the same step. */
  const read = (page, text) =>
    page.waitForFunction((text) => localStorage.getItem("graphiql:query")?.includes(text), text);

  const shown = (page, text) => page.locator(".graphiql-response .view-line", { hasText: text }).first().waitFor();

  /** Pastes the text, because the editor completes typed text. */
  async function write(page, editor, text) {
    await page.evaluate((text) => navigator.clipboard.writeText(text), text);
    await page.locator(`${editor} .view-lines`).click();
    await page.keyboard.press("Control+A");
    await page.keyboard.press("Control+V");
  }


  test("runs the first example by keyboard and shows the response", async () => {
    const { page, leave } = await visit();
    await page.locator(`${queryEditor} .view-lines`).click();
    await page.keyboard.press("Control+Home");
    const answer = await run(page, () => page.keyboard.press("Control+Enter"));
    assert.equal(answer.errors, undefined);
    assert.ok(answer.data.providers.nodes.some((provider) => provider.connectedAccounts.nodes.length > 0));
    await shown(page, '"providers": {');
    await shown(page, '"connectedAccounts": {');
    assert.equal(await page.title(), "Switchboard");
    if (process.env.SCREENSHOT) {
      await page.locator(".status").getByText(/Composio up .* from cache/).waitFor();
      // The complete query, without elements that appear and disappear.
      await page.getByRole("button", { name: "Hide editor tools" }).click();
      await page.mouse.move(0, 0);
      await page.evaluate(() => document.activeElement.blur());
      const style = ".scrollbar, [role=tooltip] { visibility: hidden !important; }";
      await page.screenshot({ path: resolve(root, process.env.SCREENSHOT), animations: "disabled", style });
    }
    await leave();
  });

  test("has one query in each tab of a first visit, with its first lines in view", async () => {
    const { page, leave } = await visit();
    for (const operation of ["Integrations", "Broken"]) {
      await page.getByRole("tab", { name: operation }).click();
      await read(page, `query ${operation}`);
      // ▶ runs the query without a menu.
      const answer = await run(page, press(page));
      assert.equal(answer.errors, undefined, operation);
      const lines = page.locator(`${queryEditor} .view-line`);
      const { y, height } = await page.locator(queryEditor).boundingBox();
      const first = await lines.filter({ hasText: `query ${operation}` }).boundingBox();
      assert.ok(first.y - y < 5 * first.height && first.y + 10 * first.height < y + height, JSON.stringify({ y, height, first }));
    }
    await leave();
  });

  test("shows status, time, size and upstream calls beside each response, and the trace only on request", async () => {
    const { page, problems, leave } = await visit();
    const line = page.locator(".result-line");
    await run(page, press(page));
    await line.getByText(/^\d+ upstream calls?, \d+ saved$|^no upstream call/).waitFor();
    assert.match(await line.innerText(), /^HTTP 200\s+[\d.,]+ ms\s+[\d.,]+ KB/);
    await page.getByRole("button", { name: "Summary of the workspace" }).click();
    await read(page, "query Health");
    // A tab without a response has no result.
    assert.equal(await line.innerText(), "");
    await run(page, press(page));
    await line.getByText("HTTP 200").waitFor();
    await shown(page, '"integrationHealth": {');
    assert.equal(await page.locator(".graphiql-response .view-line", { hasText: '"extensions"' }).count(), 0);
    await write(page, queryEditor, "{ nonsense }");
    await read(page, "nonsense");
    await run(page, press(page));
    await line.getByText("HTTP 400").waitFor();
    // The browser's message for the status.
    assert.ok(problems.every((problem) => problem.includes("400")), problems.join());
    problems.length = 0;
    await leave();
  });

  test("fills the editor from ?query= and &variables=, and does not run it", async () => {
    const query = "mutation Linked($upstream: UpstreamName) { refresh(upstream: $upstream) { retryAt } }";
    const link = new URL(server.url);
    link.search = new URLSearchParams({ query, variables: '{"upstream":"LEADLEX"}' });
    for (const visits of ["first", "second"]) {
      const sent = [];
      const before = async (page) => {
        page.on("request", (request) => sent.push(request.postData() ?? ""));
        // A second visit has stored tabs.
        if (visits === "second") await page.addInitScript(() => localStorage.setItem("graphiql:tabState", JSON.stringify({ activeTabIndex: 0, tabs: [{ id: "a", title: "Old", query: "{ viewer { name } }", variables: null, headers: null, operationName: null, response: null }] })));
      };
      const { page, leave } = await open(browser, link.href, { before });
      await page.locator(`${queryEditor} .view-line`, { hasText: "mutation Linked" }).waitFor();
      await page.locator(`${toolEditor} .view-line`, { hasText: '"LEADLEX"' }).waitFor();
      await page.locator(".status .detail").first().waitFor();
      assert.ok(sent.some((body) => body.includes("__schema")));
      assert.deepEqual(sent.filter((body) => body.includes("Linked")), []);
      if (visits === "second") assert.equal(await page.getByRole("tab").count(), 2);
      const answer = await run(page, press(page));
      assert.deepEqual(Object.keys(answer.data.refresh), ["retryAt"]);
      await leave();
    }
  });

  test("sends the token of its field with every request, and forgets it on reload", async () => {
    const { page, leave } = await visit();
    const authorized = (text) => page.waitForRequest((request) => request.postData()?.includes(text) && request.headers().authorization === "Bearer swb_browser");
    const introspection = authorized("__schema");
    const strip = authorized("StatusStrip");
    await page.getByLabel("Token", { exact: true }).fill("swb_browser");
    await page.getByLabel("Token", { exact: true }).press("Enter");
    await introspection;
    await strip;
    const operation = authorized("query Integrations");
    await run(page, press(page));
    await operation;
    assert.equal(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }).includes("swb_browser")), false);
    await page.reload();
    assert.equal(await page.getByLabel("Token", { exact: true }).inputValue(), "");
    await leave();
  });

  test("does not call an API rate-limited and name its calls left at once", async () => {
    const upstream = (name, state, remaining) => ({ name, state, quota: { limit: 10000, remaining, resetsAt: "2026-11-29T00:00:00Z" }, cache: { hits: 0, misses: 1, staleServed: 0 } });
    const before = (page) =>
      page.route("**/graphql", (route) =>
        route.request().postData()?.includes("StatusStrip")
          ? route.fulfill({ json: { data: { upstreams: [upstream("LEADLEX", "RATE_LIMITED", 10000), upstream("COMPOSIO", "RATE_LIMITED", 0)] } } })
          : route.fallback(),
      );
    const { page, leave } = await open(browser, server.url, { before });
    const strip = page.getByRole("contentinfo", { name: "The two APIs" });
    await strip.getByText(/Composio rate-limited\s*no calls left until/).waitFor();
    assert.match(await strip.innerText(), /LeadLex rate-limited\s+·?\s*0 % from cache/);
    await leave();
  });

  test("runs every example of the collection without an error", async () => {
    const { page, leave } = await visit();
    const examples = page.getByRole("region", { name: "Examples" }).getByRole("button");
    await examples.first().waitFor();
    const answers = {};
    for (const name of await examples.allInnerTexts()) {
      const example = collection.flatMap(({ examples }) => examples).find((example) => example.name === name);
      const [, kind, operation] = /^(query|mutation|subscription) (\w+)/m.exec(example.query);
      // Subscriptions run until they are stopped. tests/interop tests them.
      if (kind === "subscription") continue;
      await page.getByRole("button", { name, exact: true }).click();
      await read(page, `${kind} ${operation}`);
      answers[operation] = await run(page, press(page));
      assert.equal(answers[operation].errors, undefined, name);
      for (const payload of Object.values(answers[operation].data)) assert.deepEqual(payload?.userErrors ?? [], [], name);
    }
    assert.match(answers.ReconnectAccount.data.reconnectAccount.redirectUrl, /__sign-in/);
    assert.equal(answers.RevokeAccount.data.revokeAccount.connectedAccount.status, "REVOKED");
    assert.equal(answers.AccountsPage.data.connectedAccounts.edges.length, 5);
    assert.equal(answers.Refetch.data.node.slug, "gmail");
    assert.equal(answers.AccountsOfAProvider.data.provider.name, "gmail");
    const { calls, saved } = answers.Cost.extensions.switchboard.trace;
    assert.ok(calls.every((call) => call.outcome === "OK" && call.tookMs >= 0), JSON.stringify(calls));
    assert.ok(saved.byBatching + saved.byCache >= 19, JSON.stringify(saved));
    await leave();
  });

  test("offers exactly the examples that are valid for the served schema", async () => {
    const { page, leave } = await visit();
    const buttons = page.getByRole("region", { name: "Examples" }).getByRole("button");
    await buttons.first().waitFor();
    const offered = await buttons.allInnerTexts();
    const has = await page.evaluate(async () => {
      const query = `{ __schema { subscriptionType { name } } }`;
      const answer = await fetch("graphql", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ query }) });
      const { __schema } = (await answer.json()).data;
      return { subscriptions: __schema.subscriptionType !== null };
    });
    assert.equal(offered.includes("Changes of accounts"), has.subscriptions);
    // Served, but hidden from introspection.
    assert.ok(offered.includes("Entities, for a router"));
    assert.ok(offered.length >= 19, offered.join());
    await leave();
  });

  test("says how to switch actions on, in their examples and in the response", async () => {
    const off = await startWithProxy();
    try {
      const { page, leave } = await visit("light", "laptop", off.url);
      await page.getByRole("button", { name: "Reconnect an account", exact: true }).click();
      await read(page, "Actions need the setting actions.enabled = true.");
      const { errors } = await run(page, press(page));
      assert.equal(errors[0].extensions.code, "ACTIONS_DISABLED");
      assert.match(errors[0].message, /actions\.enabled/);
      await leave();
    } finally {
      off.stop();
    }
  });

  test("opens an example by keyboard, once", async () => {
    const { page, leave } = await visit();
    await page.getByRole("button", { name: "A toolkit", exact: true }).press("Enter");
    await read(page, "query Toolkit");
    await page.getByRole("button", { name: "An end user", exact: true }).press("Enter");
    await read(page, "query User");
    await page.getByRole("button", { name: "A toolkit", exact: true }).press("Enter");
    await read(page, "query Toolkit");
    assert.equal(await page.getByRole("tab").filter({ hasText: "Toolkit" }).count(), 1);
    // The editor has the focus, so the example can be run immediately.
    const answer = await run(page, () => page.keyboard.press("Control+Enter"));
    assert.equal(answer.data.toolkit.slug, "gmail");
    await leave();
  });

  test("shows the state of the two APIs in the status strip", async () => {
    const { page, leave } = await visit();
    await page.getByRole("button", { name: "Summary of the workspace" }).click();
    await read(page, "query Health");
    await run(page, press(page));
    const strip = page.getByRole("contentinfo", { name: "The two APIs" });
    await strip.getByText(/LeadLex up [\d,]+ of [\d,]+ calls left \d+ % from cache/).waitFor();
    await strip.getByText("Composio").waitFor();
    await leave();
  });

  for (const colorScheme of SCHEMES) {
    for (const size of Object.keys(SIZES)) {
      test(`is accessible and fits the screen, ${colorScheme}, on a ${size}`, async () => {
        const { page, leave } = await visit(colorScheme, size);
        if (size === "phone") {
          await page.getByRole("button", { name: "Show Examples" }).click();
          await page.getByRole("button", { name: "Summary of the workspace" }).waitFor();
          await accessible(page, TABS);
          await picture(page, `console-examples-${size}-${colorScheme}`);
        }
        await page.getByRole("button", { name: "Summary of the workspace" }).click();
        await read(page, "query Health");
        await run(page, press(page));
        await shown(page, '"integrationHealth": {');
        await page.locator(".status .detail").first().waitFor();
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${wide} pixels too wide`);
        await accessible(page, TABS);
        await picture(page, `console-${size}-${colorScheme}`);
        await leave();
      });
    }
  }

  test("explains a type in the docs explorer", async () => {
    const { page, leave } = await visit();
    await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
    await page.locator(".graphiql-doc-explorer").getByRole("link", { name: "Provider", exact: true }).click();
    await page.getByText("An integration of the workspace, as the workspace API reports it.").waitFor();
    await page.getByText("The last successful sync.").waitFor();
    await leave();
  });

  test("runs a typed query with its headers", async () => {
    const { page, leave } = await visit();
    await write(page, queryEditor, '{ toolkit(slug: "slack") { slug } }');
    await read(page, "toolkit");
    await page.getByRole("button", { name: "Headers", exact: true }).click();
    await write(page, toolEditor, '{ "x-api-key": "ak_browser" }');
    const request = page.waitForRequest((request) => request.postData()?.includes("slack"));
    const answer = await run(page, press(page));
    assert.deepEqual(answer.data, { toolkit: { slug: "slack" } });
    await shown(page, '"slug": "slack"');
    assert.equal((await request).headers()["x-api-key"], "ak_browser");
    await leave();
  });

  test("underlines an unknown field, and formats a query", async () => {
    const { page, leave } = await visit();
    await write(page, queryEditor, "{ providers { nodes { nonsense } } }");
    await page.locator(`${queryEditor} .squiggly-error`).first().waitFor();
    await write(page, queryEditor, "{providers{totalCount}}");
    await page.getByRole("button", { name: /^Prettify query/ }).click();
    await page.locator(`${queryEditor} .view-line`, { hasText: /^\s*totalCount$/ }).waitFor();
    await leave();
  });

  test("follows the light or dark scheme of the system", async () => {
    const lightness = {};
    for (const scheme of ["light", "dark"]) {
      const { page, leave } = await visit(scheme);
      const colour = await page.locator(".graphiql-container").evaluate((element) => getComputedStyle(element).backgroundColor);
      lightness[scheme] = colour.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
      await leave();
    }
    assert.ok(lightness.light > 600 && lightness.dark < 200, JSON.stringify(lightness));
  });

  test("detects a foreign script, picture or call", async () => {
    const { page, problems, leave } = await visit();
    await page.evaluate(async () => {
      const reports = [];
      document.addEventListener("securitypolicyviolation", (report) => reports.push(report));
      document.body.append(Object.assign(document.createElement("img"), { src: "https://elsewhere.example/a.png" }));
      document.body.append(Object.assign(document.createElement("script"), { textContent: "window.inline = true" }));
      await fetch("https://elsewhere.example/").catch(() => {});
      await new Promise((done) => (function look() { reports.length >= 3 ? done() : requestAnimationFrame(look); })());
    });
    for (const directive of ["img-src", "script-src-elem", "connect-src"]) {
      assert.ok(problems.some((problem) => problem.startsWith(`console: policy: ${directive} refused`)), directive);
    }
    assert.equal(await page.evaluate(() => window.inline), undefined);
    problems.length = 0;
    await leave();
  });
});
