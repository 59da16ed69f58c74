// The example's settings page in a real browser, in the demo's scenarios: what a person sees and does. There is no network. A
// console error, a policy report or a foreign request is a failure. Pictures of each scenario are written to `out/`.
//
//   SCREENSHOTS   if set, writes the README's two pictures, docs/settings-page*.png
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { startWithProxy } from "./sources.mjs";
import { accessible, demo, launch, picture, root, SCHEMES, SIZES, visit } from "./visit.mjs";

const row = (page, name) => page.locator(".row", { hasText: name });
const heading = (page, text) => page.getByRole("heading", { name: text }).first();
const group = (page, service) => page.locator(".service-group").filter({ has: page.locator("h3", { hasText: service }) }).first();
/** The number beside "Needs attention". */
const badge = (page) => page.locator(".badge").innerText();
/** The number of a state on the card of `kind`. */
const card = (page, kind, label) =>
  page.locator(".counts", { has: page.locator("h2", { hasText: kind }) }).locator(".legend li", { hasText: label }).locator("b").innerText();
const banner = (page, text) => page.locator(".trouble", { hasText: text });

/** The global ID of an account. */
const idOf = (page, id) =>
  page.evaluate(async (id) => {
    const body = JSON.stringify({ query: `{ connectedAccount(id: "${id}") { id } }` });
    const response = await fetch("graphql", { method: "POST", headers: { "content-type": "application/json" }, body });
    return (await response.json()).data.connectedAccount.id;
  }, id);

describe("the settings page", { timeout: 900_000 }, () => {
  let browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());

  /** The expected content of each scenario, and what is opened for its pictures. */
  const scenarios = {
    healthy: async (page) => {
      await heading(page, "25 integrations").waitFor();
      await heading(page, "384 accounts").waitFor();
      await group(page, "Discord").getByText("Ask user_7 to connect Discord again").waitFor();
      assert.equal(await page.locator(".trouble").count(), 0);
      assert.equal(await badge(page), "88");
      await page.locator(".mode", { hasText: /^Live$/ }).waitFor();
      await row(page, "Team Mailbox").click();
      await page.getByText("10 of 20 accounts").waitFor();
    },
    "leadlex-down": async (page) => {
      await banner(page, "LeadLex is not answering. Integrations are not available. The rest of the page is.").waitFor();
      await banner(page, "Next attempt").waitFor();
      await heading(page, "384 accounts").waitFor();
      await heading(page, "The integrations are not available").waitFor();
      await page.getByText("Ask user_7 to connect Discord again").waitFor();
      assert.equal(await badge(page), "85 · integrations unknown");
      await page.getByText("No updates of integrations").waitFor();
    },
    "composio-down": async (page) => {
      await banner(page, "Composio is not answering. Accounts are not available. The rest of the page is.").waitFor();
      await heading(page, "25 integrations").waitFor();
      assert.equal(await badge(page), "3 · accounts unknown");
      await page.getByText("No updates of accounts").waitFor();
      await row(page, "Team Mailbox").click();
      await page.getByText("The accounts are not available at the moment.").waitFor();
    },
    "leadlex-429": async (page) => {
      await banner(page, "LeadLex has reached its rate limit.").waitFor();
      await heading(page, "384 accounts").waitFor();
    },
    skewed: async (page) => {
      await heading(page, "10,104 accounts").waitFor();
      // The integrations, and the accounts that the card counts.
      assert.equal(await card(page, "accounts", "Needs sign-in"), "1,366");
      assert.equal(await badge(page), "1,369");
      await row(page, "Team Mailbox").click();
      await page.getByText("10 of 3,356 accounts").waitFor();
      await page.getByRole("button", { name: "Load more" }).click();
      await page.getByText("30 of 3,356 accounts").waitFor();
    },
    drift: async (page) => {
      await heading(page, "24 integrations").waitFor();
      await row(page, "Team Mailbox").click();
      await page.getByText("Unnamed account").first().waitFor();
      await page.getByText("The upstream returned a status that this version does not know.").first().waitFor();
    },
  };

  const forReadme = { "healthy light": "docs/settings-page.png", "composio-down dark": "docs/settings-page-down.png" };

  for (const [scenario, see] of Object.entries(scenarios)) {
    test(`${scenario}: shows its content, accessible, in light and dark, on a laptop and a phone`, async () => {
      const server = await demo(scenario);
      try {
        for (const colorScheme of SCHEMES) {
          for (const size of Object.keys(SIZES)) {
            const { page, leave } = await visit(browser, `${server.url}example`, { colorScheme, size });
            await see(page);
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            assert.ok(wide <= 0, `${size}: ${wide} pixels too wide`);
            await accessible(page);
            await picture(page, `${scenario}-${size}-${colorScheme}`, { fullPage: true });
            if (process.env.SCREENSHOTS && size === "laptop" && `${scenario} ${colorScheme}` in forReadme) {
              await page.setViewportSize({ width: 1180, height: 860 });
              await page.evaluate(() => scrollTo(0, 0));
              await page.screenshot({ path: resolve(root, forReadme[`${scenario} ${colorScheme}`]), animations: "disabled" });
            }
            await leave();
          }
        }
      } finally {
        server.stop();
      }
    });
  }

  test("says when an API is called again, also if the time of the next attempt has passed", async () => {
    const server = await demo("leadlex-down");
    try {
      const before = (page) =>
        page.route("**/graphql", async (route) => {
          const response = await route.fetch();
          const json = await response.json();
          for (const { extensions } of json.errors ?? []) extensions.retryAfterMs = 0;
          await route.fulfill({ response, json });
        });
      const { page, leave } = await visit(browser, `${server.url}example`, { before });
      await banner(page, "Next attempt with the next update").waitFor();
      await leave();
    } finally {
      server.stop();
    }
  });

  test("a page can be left while a test's handler works on one of its requests", async () => {
    const server = await demo("healthy");
    try {
      const steps = new EventEmitter();
      const [fetched, left, handled] = ["fetched", "left", "handled"].map((name) => once(steps, name));
      const before = (page) =>
        page.route("**/graphql", async (route) => {
          const response = await route.fetch();
          steps.emit("fetched");
          await left;
          // The end of the page disposes the response.
          await response.json().finally(() => steps.emit("handled"));
        });
      const { leave } = await visit(browser, `${server.url}example`, { before });
      await fetched;
      await leave();
      steps.emit("left");
      await handled;
    } finally {
      server.stop();
    }
  });

  describe("in the healthy scenario", () => {
    let server;
    before(async () => {
      // A key of LeadLex's smallest plan: ten calls per minute.
      server = await demo("healthy", "--leadlex-plan", "starter");
    });
    after(() => server?.stop());
    const open = async (query = "", options = {}) => {
      const visited = await visit(browser, `${server.url}example${query}`, options);
      await heading(visited.page, "All integrations").waitFor();
      return visited;
    };

    test("filters by search, state, category and attention, and keeps the filters in its URL", async () => {
      const { page, leave } = await open();
      const matches = (count) => page.getByRole("status").filter({ hasText: new RegExp(`^${count} match(es)?$`) }).waitFor();
      await page.getByRole("searchbox").fill("mailbox");
      await matches(3);
      await page.getByLabel("State", { exact: true }).selectOption("Needs sign-in");
      await matches(1);
      await row(page, "Sales Mailbox").waitFor();
      assert.match(page.url(), /search=mailbox&state=NEEDS_REAUTH/);
      await page.getByRole("searchbox").fill("nothing of that name");
      await heading(page, "No integration matches").waitFor();
      await page.getByText("No account has the user ID or account ID “nothing of that name”.").waitFor();
      await page.getByRole("button", { name: "Clear the filters" }).click();
      await row(page, "Team Mailbox").waitFor();
      assert.equal(await page.getByRole("searchbox").inputValue(), "");
      await page.getByRole("button", { name: "3 integrations need attention", exact: true }).click();
      await matches(3);
      await page.getByLabel("Category", { exact: true }).selectOption("Identity");
      await matches(1);
      await leave();
    });

    test("opens with the filters of its URL", async () => {
      const { page, leave } = await open("?category=BILLING");
      await row(page, "PayPal").waitFor();
      assert.equal(await page.locator(".provider").count(), 3);
      await leave();
    });

    test("works by keyboard alone", async () => {
      const { page, leave } = await open();
      await page.getByLabel("Category", { exact: true }).focus();
      await page.keyboard.press("Tab");
      await page.keyboard.press("Tab");
      assert.match(await page.evaluate(() => document.activeElement.textContent), /Team Mailbox/);
      await page.keyboard.press("Enter");
      await page.getByText("10 of 20 accounts").waitFor();
      await page.getByRole("combobox", { name: "Which accounts of Gmail" }).selectOption("Needs sign-in");
      await page.locator(".accounts li .state", { hasText: "Healthy" }).first().waitFor({ state: "detached" });
      await row(page, "Team Mailbox").press("Space");
      await page.locator(".accounts").waitFor({ state: "detached" });
      await leave();
    });

    test("lists more accounts that need attention", async () => {
      const { page, leave } = await open();
      await page.getByRole("button", { name: "Show more (75 further accounts)" }).click();
      await page.getByRole("button", { name: "Show more (35 further accounts)" }).waitFor();
      const discord = group(page, "Discord");
      await discord.getByRole("button", { name: /^Show all \d+ accounts of Discord$/ }).click();
      assert.ok((await discord.locator(".account").count()) > 3);
      await leave();
    });

    test("copies reminders for one user, for several users, and for a sign-in that was never completed", async () => {
      const { page, leave } = await open();
      const copied = async (service) => {
        await group(page, service).getByRole("button", { name: "Copy a reminder" }).click();
        await group(page, service).getByRole("button", { name: "Copied" }).waitFor();
        return page.evaluate(() => navigator.clipboard.readText());
      };
      const again = "Hello! Please connect Discord again: its connection no longer works.";
      assert.equal(await copied("Discord"), again);
      await group(page, "JumpCloud").getByText("Ask user_3 to finish connecting JumpCloud").waitFor();
      assert.equal(await copied("JumpCloud"), "Hello! Please finish connecting JumpCloud: the sign-in was started but not completed.");
      // EXPIRED with the reason "Connection initiation did not complete", and FAILED.
      assert.match(await copied("Google Drive"), /^Hello! Please finish connecting Google Drive: /);
      await page.getByRole("button", { name: "Show more (75 further accounts)" }).click();
      assert.match(await copied("Google Calendar"), /Hello! Please connect Google Calendar again: the last sign-in failed\./);
      await group(page, "Discord").getByText("Ask 4 users to connect Discord again").waitFor();
      assert.equal(await copied("Discord"), `To: user_7, user_20, user_46, user_41\n${again}`);
      const quickbooks = (await copied("QuickBooks")).split("\n\n").map((text) => text.replaceAll(/user_\d+/g, "user"));
      assert.match(quickbooks.find((text) => text.includes("again")), /^To: user(, user)*\nHello! Please connect QuickBooks again/);
      assert.match(quickbooks.find((text) => text.includes("finish")), /^To: user(, user)*\nHello! Please finish connecting QuickBooks/);
      await leave();
    });

    test("opens the details of an account, with IDs to copy", async () => {
      const { page, leave } = await open();
      const account = group(page, "Discord").locator(".account", { hasText: "user_7" });
      await account.locator(".row").click();
      await account.getByText("The authorization has expired. The user must connect the account again.").waitFor();
      for (const text of ["OAuth 1", "ca_uRCFBbjM4Cl7", "ac_discord", "Last change", "no change since"]) {
        await account.getByText(text).first().waitFor();
      }
      await account.getByRole("button", { name: "Copy Account ID" }).click();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "ca_uRCFBbjM4Cl7");
      await accessible(page);
      await picture(page, "account-detail-laptop-light", { fullPage: true });
      await leave();
    });

    test("finds accounts by the ID of their user, and by their own ID", async () => {
      const { page, leave } = await open();
      const search = page.getByRole("searchbox");
      await search.fill("user_7");
      await heading(page, "Accounts of “user_7”").waitFor();
      const found = page.getByRole("region", { name: /^Accounts of/ });
      await found.getByText("Discord · Personal 7").waitFor();
      assert.ok((await found.locator(".account").count()) > 5);
      await heading(page, "No integration matches").waitFor();
      await search.fill("ca_uRCFBbjM4Cl7");
      await heading(page, "Accounts of “ca_uRCFBbjM4Cl7”").waitFor();
      assert.equal(await found.locator(".account").count(), 1);
      await accessible(page);
      await picture(page, "account-search-laptop-light", { fullPage: true });
      await leave();
    });

    test("names the integrations that list the same accounts, filters abandoned accounts, and explains the rings", async () => {
      const { page, leave } = await open();
      await page.getByText("a ring marks a state").waitFor();
      await row(page, "Team Mailbox").click();
      await page.getByText("shared by Gmail “Sales Mailbox”").waitFor();
      await page.getByRole("combobox", { name: "Which accounts of Gmail" }).selectOption("Pending or abandoned");
      await page.getByText("It must be started again.").first().waitFor();
      await page.locator(".accounts .state", { hasText: "Healthy" }).first().waitFor({ state: "detached" });
      await leave();
    });

    test("reports that the browser is offline", async () => {
      const { page, problems, leave } = await open();
      await page.getByText("Live", { exact: true }).waitFor();
      await page.context().setOffline(true);
      await page.getByText("Offline", { exact: true }).waitFor();
      await page.context().setOffline(false);
      await page.getByText("Live", { exact: true }).waitFor();
      assert.ok(problems.every((problem) => /ERR_INTERNET_DISCONNECTED|WebSocket/.test(problem)), problems.join());
      problems.length = 0;
      await leave();
    });

    test("keeps the chosen colour scheme", async () => {
      const { page, leave } = await open("", { colorScheme: "light" });
      const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const light = await ground();
      await page.getByRole("button", { name: "Switch to dark" }).click();
      const dark = await ground();
      assert.notEqual(dark, light);
      await page.reload();
      await page.getByRole("button", { name: "Switch to light" }).waitFor();
      assert.equal(await ground(), dark);
      await leave();
    });

    test("refreshes on demand, and shows when a refresh is not possible", async () => {
      const { page, leave } = await open();
      const refresh = page.getByRole("button", { name: "Refresh", exact: true });
      const held = page.getByText(/^Next refresh possible at \d\d:\d\d:\d\d/);
      for (let times = 0; times < 12 && !(await held.isVisible()); times++) {
        await refresh.click();
        await page.getByRole("button", { name: "Refreshing…" }).waitFor({ state: "detached" });
      }
      await held.waitFor();
      assert.equal(await refresh.isDisabled(), true);
      await row(page, "Team Mailbox").waitFor();
      await leave();
    });
  });

  describe("actions on accounts", () => {
    let server, sandbox;
    before(async () => {
      server = await demo();
      ({ sandbox } = server);
    });
    after(() => server?.stop());

    const open = async (options = {}) => {
      await fetch(`${sandbox}/__requests`, { method: "DELETE" });
      const visited = await visit(browser, `${server.url}example`, { signIn: new URL(sandbox).origin, ...options });
      await heading(visited.page, "All integrations").waitFor();
      return visited;
    };

    /** The writes that Composio received since the page was opened. */
    const writes = async () => {
      const requests = await (await fetch(`${sandbox}/__requests`)).json();
      const sent = requests.filter(({ method, target }) => method !== "GET" && !target.endsWith("/toolkits/multi"));
      return sent.map(({ method, target }) => `${method} ${target.replace("/api/v3/connected_accounts", "")}`);
    };

    /** Clicks "Reconnect" at the row and resolves with the tab of the sign-in. */
    const reconnect = async (page, account) => {
      const [tab] = await Promise.all([page.context().waitForEvent("page"), account.getByRole("button", { name: "Reconnect" }).click()]);
      await tab.getByRole("button", { name: "Allow" }).waitFor();
      return tab;
    };

    /** Adds an account of user_7 and resolves with its row, opened. */
    const added = async (page, id, toolkit) => {
      const headers = { "x-api-key": "ak_sandbox_a" };
      await fetch(`${sandbox}/__accounts/${id}?toolkit=${toolkit}&user_id=user_7`, { method: "PUT", headers });
      await page.getByRole("searchbox").fill(id);
      const account = page.getByRole("region", { name: `Accounts of “${id}”` }).locator(".account");
      await account.locator(".row").click();
      await account.getByRole("button", { name: "Rename" }).waitFor();
      return account;
    };

    test("make a broken account healthy by two clicks, live and without a reload, and remove the old one", async () => {
      const { page, leave } = await open();
      await page.evaluate(() => (globalThis.isSamePage = true));
      assert.equal(await badge(page), "88");
      const account = group(page, "Discord").locator(".account", { hasText: "user_7" });
      await account.getByText("Needs sign-in").waitFor();
      const tab = await reconnect(page, account);
      await account.getByText("Sign in to Discord in the other tab.").waitFor();
      await account.getByRole("button", { name: "Copy the link for user_7" }).click();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), tab.url());
      await accessible(page);
      await picture(page, "reconnect-waiting-laptop-light");
      const closed = tab.waitForEvent("close");
      await tab.getByRole("button", { name: "Allow" }).click();
      await account.getByText("Discord is connected again.").waitFor();
      await account.locator(".state", { hasText: "Healthy" }).waitFor();
      // The tab returns to the page's own origin, which closes it.
      await closed;
      await accessible(page);
      await picture(page, "reconnect-healthy-laptop-light");
      await account.getByRole("button", { name: "Remove the old connection" }).click();
      await account.waitFor({ state: "detached" });
      await page.locator(".badge", { hasText: /^87$/ }).waitFor();
      await page.getByRole("searchbox").fill("ca_link00000001");
      await page.getByRole("region", { name: /^Accounts of/ }).locator(".account .state", { hasText: "Healthy" }).waitFor();
      assert.equal(await page.evaluate(() => globalThis.isSamePage), true);
      assert.deepEqual(await writes(), ["POST /link", "DELETE /ca_uRCFBbjM4Cl7"]);
      await leave();
    });

    test("say that a denied sign-in did not succeed, and start another one", async () => {
      const { page, leave } = await open({ size: "phone", colorScheme: "dark" });
      const account = group(page, "WhatsApp").locator(".account", { hasText: "whatsapp_green-castle" });
      const tab = await reconnect(page, account);
      await picture(page, "reconnect-waiting-phone-dark", { fullPage: true });
      await tab.getByRole("button", { name: "Deny" }).click();
      await account.getByText("The sign-in did not succeed.").waitFor();
      await accessible(page);
      await account.getByRole("button", { name: "Close" }).click();
      const again = await reconnect(page, account);
      await again.getByRole("button", { name: "Allow" }).click();
      await account.getByText("WhatsApp is connected again.").waitFor();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${wide} pixels too wide`);
      await picture(page, "reconnect-healthy-phone-dark", { fullPage: true });
      await account.getByRole("button", { name: "Keep it" }).click();
      await account.getByRole("button", { name: "Reconnect" }).waitFor();
      assert.deepEqual(await writes(), ["POST /link", "POST /link"]);
      await leave();
    });

    test("pause, resume and rename an account, and show an error at its row", async () => {
      const { page, leave } = await open();
      const account = await added(page, "ca_second", "slack");
      await account.getByRole("button", { name: "Pause" }).click();
      await account.locator(".row .state", { hasText: "Paused" }).waitFor();
      await account.getByRole("button", { name: "Resume" }).click();
      await account.locator(".row .state", { hasText: "Healthy" }).waitFor();
      await account.getByRole("button", { name: "Pause" }).waitFor();

      await account.getByRole("button", { name: "Rename" }).click();
      await account.getByLabel("Name").fill("Team inbox");
      await account.getByRole("button", { name: "Save" }).click();
      await account.locator(".row", { hasText: "Team inbox" }).waitFor();
      await account.getByLabel("Name").waitFor({ state: "detached" });

      const third = await added(page, "ca_third", "slack");
      await third.getByRole("button", { name: "Rename" }).click();
      await third.getByLabel("Name").fill("Team inbox");
      await third.getByRole("button", { name: "Save" }).click();
      await third.getByRole("alert").getByText(/alias|name/i).waitFor();
      // The optimistic name is undone.
      await third.locator(".row", { hasText: "Team inbox" }).waitFor({ state: "detached" });
      await accessible(page);
      await picture(page, "rename-error-laptop-light", { fullPage: true });
      assert.deepEqual(await writes(), ["PATCH /ca_second/status", "PATCH /ca_second/status", "PATCH /ca_second", "PATCH /ca_third"]);
      await leave();
    });

    test("remove an account only after a confirmation that says what happens at the provider", async () => {
      const { page, leave } = await open();
      const account = await added(page, "ca_gone", "slack");
      await account.getByRole("button", { name: "Remove" }).click();
      const dialog = page.getByRole("dialog", { name: "Remove Slack of user_7?" });
      await dialog.getByText("This cannot be undone: Slack has to be connected again.").waitFor();
      await dialog.getByText("Its tokens become invalid there.").waitFor();
      await accessible(page);
      await picture(page, "remove-laptop-light");
      await dialog.getByRole("checkbox").uncheck();
      await dialog.getByText("The access stays valid at Slack").waitFor();
      await dialog.getByRole("button", { name: "Cancel" }).click();
      await dialog.waitFor({ state: "detached" });
      assert.deepEqual(await writes(), []);
      await account.getByRole("button", { name: "Remove" }).click();
      await dialog.getByRole("button", { name: "Remove" }).click();
      await account.waitFor({ state: "detached" });
      assert.deepEqual(await writes(), ["DELETE /ca_gone?revoke_on_delete=true"]);
      await leave();
    });
  });

  test("has no buttons where actions are switched off, and says how to switch them on", async () => {
    const server = await startWithProxy();
    try {
      const { page, leave } = await visit(browser, `${server.url}example`);
      const account = group(page, "Discord").locator(".account", { hasText: "user_7" });
      await account.locator(".row").click();
      await account.getByText("An operator switches them on by the setting actions.enabled.").waitFor();
      for (const name of ["Reconnect", "Pause", "Rename", "Remove"]) {
        assert.equal(await account.getByRole("button", { name }).count(), 0, name);
      }
      await accessible(page);
      await picture(page, "actions-off-laptop-light", { fullPage: true });
      await leave();
    } finally {
      server.stop();
    }
  });

  test("asks an admin for the user where Composio does not name it, and reconnects for that user", async () => {
    const env = { SWITCHBOARD__ACTIONS__ENABLED: "true", SWITCHBOARD__CACHE__ACCOUNTS_TTL_MS: "1000" };
    const server = await startWithProxy({ env, sandbox: ["--without-user-id"] });
    try {
      const { page, leave } = await visit(browser, `${server.url}example`, { signIn: new URL(server.sandbox).origin });
      const account = group(page, "Discord").locator(".account").first();
      await account.getByRole("button", { name: "Reconnect" }).click();
      const user = account.getByLabel("User ID");
      await account.getByRole("button", { name: "Continue" }).click();
      assert.equal(await user.evaluate((input) => input.validity.valueMissing), true);
      await accessible(page);
      await picture(page, "reconnect-user-laptop-light");
      await user.fill("user_7");
      const [tab] = await Promise.all([page.context().waitForEvent("page"), account.getByRole("button", { name: "Continue" }).click()]);
      await tab.getByRole("button", { name: "Allow" }).click();
      await account.getByText("Discord is connected again.").waitFor();
      const requests = await (await fetch(`${server.sandbox}/__requests`)).json();
      const links = requests.filter(({ target }) => target.endsWith("/link"));
      assert.deepEqual(links.map(({ body }) => JSON.parse(body).user_id), ["user_7"]);
      await leave();
    } finally {
      server.stop();
    }
  });

  const LOGOS = "https://logos.composio.dev";

  test("shows the logos of services where the deployment allows their origin, and initials for broken ones", async () => {
    const server = await startWithProxy({ env: { SWITCHBOARD__HTTP__IMAGE_ORIGINS: LOGOS } });
    try {
      const before = (page) => page.route(`${LOGOS}/api/discord`, (route) => route.fulfill({ status: 404, body: "" }));
      const { page, problems, leave } = await visit(browser, `${server.url}example`, { images: LOGOS, before });
      const logo = row(page, "LeadLex Eng").locator(".mark.service img");
      await logo.waitFor();
      assert.equal(await logo.getAttribute("src"), `${LOGOS}/api/slack`);
      // Images outside the window are not loaded.
      await logo.scrollIntoViewIfNeeded();
      await logo.evaluate((image) => image.complete || new Promise((resolve) => (image.onload = image.onerror = resolve)));
      assert.ok(await logo.evaluate((image) => image.naturalWidth > 0));
      await group(page, "Discord").locator(".mark.service", { hasText: "D" }).first().waitFor();
      await accessible(page);
      await picture(page, "logos-laptop-light", { fullPage: true });
      assert.ok(problems.every((problem) => problem.includes("404")), problems.join());
      problems.length = 0;
      await leave();
    } finally {
      server.stop();
    }
  });

  test("shows names of the catalogue, and names made of slugs while it cannot be read", async () => {
    for (const [fault, name] of [[null, "Google Super · "], ["status=503; path=toolkits/multi", "Googlesuper · "]]) {
      const server = await demo();
      const put = (path, headers) => fetch(`${server.sandbox}/${path}`, { method: "PUT", headers });
      try {
        await put("__accounts/ca_super?toolkit=googlesuper&user_id=user_7", { "x-api-key": "ak_sandbox_a" });
        if (fault) await put("__faults/composio", { "x-emulate": fault });
        const { page, leave } = await visit(browser, `${server.url}example?search=ca_super`);
        await page.getByRole("region", { name: /^Accounts of/ }).getByText(name).waitFor();
        assert.equal(await page.locator(".trouble").count(), 0);
        assert.equal(await page.locator(".mark.service img").count(), 0, "no origin of images is allowed");
        await leave();
      } finally {
        server.stop();
      }
    }
  });

  test("counts the same on cards, filters and badges, also when every sync is old", async () => {
    for (const flags of [[], ["--fixed-clock"]]) {
      const server = await startWithProxy({ sandbox: flags });
      try {
        const { page, leave } = await visit(browser, `${server.url}example`);
        await heading(page, "25 integrations").waitFor();
        const shown = {};
        for (const label of await page.locator(".provider > .row .state").allInnerTexts()) shown[label] = (shown[label] ?? 0) + 1;
        assert.equal("Healthy" in shown, flags.length === 0, JSON.stringify(shown));
        for (const [label, count] of Object.entries(shown)) {
          assert.equal(await card(page, "integrations", label), String(count), label);
        }
        await page.getByRole("button", { name: `Degraded ${shown.Degraded}` }).click();
        await page.getByRole("status").filter({ hasText: new RegExp(`^${shown.Degraded} matches$`) }).waitFor();
        assert.match(page.url(), /state=DEGRADED/);
        await page.getByRole("button", { name: `Degraded ${shown.Degraded}`, pressed: true }).click();
        await page.getByRole("button", { name: "Clear" }).waitFor({ state: "detached" });
        await leave();
      } finally {
        server.stop();
      }
    }
  });

  test("updates by subscription, and polls after a lost connection", async () => {
    const server = await demo();
    const lines = [];
    const before = async (page) => {
      // Replaces the graph's subscriptions, so that the test controls when something changes.
      await page.route("**/graphql", (route) => {
        const asked = route.request().postDataJSON()?.query ?? "";
        if (!asked.includes("__type")) return route.fallback();
        const fields = [{ name: "providerChanged" }, { name: "connectedAccountChanged" }];
        return route.fulfill({ json: { data: { __type: { fields } } } });
      });
      await page.routeWebSocket("**/graphql", (line) => {
        const subscribed = [];
        lines.push({ line, subscribed });
        line.onMessage((text) => {
          const message = JSON.parse(text);
          if (message.type === "connection_init") line.send(JSON.stringify({ type: "connection_ack" }));
          if (message.type === "subscribe") subscribed.push(message);
        });
      });
    };
    try {
      const { page, leave } = await visit(browser, `${server.url}example`, { before });
      await page.getByText("Live", { exact: true }).waitFor();
      await page.waitForFunction(() => document.querySelector(".provider"));
      const [{ line, subscribed }] = lines;
      assert.equal(lines.length, 1, "one connection for both subscriptions");
      const asked = page.waitForRequest((request) => request.postData()?.includes("SettingsPageQuery"));
      const { id } = subscribed.find(({ payload }) => payload.query.includes("providerChanged"));
      line.send(JSON.stringify({ id, type: "next", payload: { data: { providerChanged: { kind: "UPDATED", id: "x" } } } }));
      await asked;
      const account = group(page, "Discord").locator(".account", { hasText: "user_7" });
      await account.locator(".row").click();
      await account.getByText("no change since").waitFor();
      const accounts = subscribed.find(({ payload }) => payload.query.includes("connectedAccountChanged"));
      const change = { kind: "UPDATED", id: await idOf(page, "ca_uRCFBbjM4Cl7"), previousStatus: "ACTIVE", at: new Date().toISOString(), connectedAccount: { status: "EXPIRED" } };
      line.send(JSON.stringify({ id: accounts.id, type: "next", payload: { data: { connectedAccountChanged: change } } }));
      await account.getByText("before: Active").waitFor();
      await line.close({ code: 1012 });
      await page.getByText("Updates periodically").waitFor();
      // It polls automatically.
      await page.getByText("Live", { exact: true }).waitFor();
      assert.equal(lines.length, 2);
      await leave();
    } finally {
      server.stop();
    }
  });

  test("follows a change, an outage and its end without user input", async () => {
    const ttl = { SWITCHBOARD__CACHE__PROVIDERS_TTL_MS: "1000", SWITCHBOARD__CACHE__ACCOUNTS_TTL_MS: "1000" };
    const server = await startWithProxy({ env: ttl });
    try {
      const { page, leave } = await visit(browser, `${server.url}example`);
      await row(page, "LeadLex Eng").getByText("Healthy").waitFor();
      const live = await page.evaluate(async () => {
        const query = `{ __schema { subscriptionType { name } } }`;
        const answer = await fetch("graphql", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ query }) });
        return (await answer.json()).data.__schema.subscriptionType !== null;
      });
      await page.getByText(live ? "Live" : "Updates periodically", { exact: true }).waitFor();
      server.proxyControl.edit = (providers) =>
        providers.map((row) => (row.name === "slack" ? { ...row, status: "needs_reauth", error_message: "Slack said no" } : row));
      await row(page, "LeadLex Eng").getByText("Needs sign-in").waitFor({ timeout: 150_000 });
      await page.getByRole("status").filter({ hasText: "Slack changed: Needs sign-in" }).waitFor({ state: "attached" });
      await page.getByText("Sign in to Slack again").waitFor();
      server.proxyControl.down = "leadlex";
      await banner(page, /LeadLex is (not answering|having trouble answering)\. Integrations are shown as of/).waitFor({ timeout: 150_000 });
      await page.locator(".sources li", { hasText: "Integrations" }).getByText("last known").waitFor({ timeout: 150_000 });
      await row(page, "LeadLex Eng").waitFor();
      await picture(page, "went-down-laptop-light");
      server.proxyControl.down = null;
      await page.locator(".trouble").waitFor({ state: "detached", timeout: 150_000 });
      await leave();
    } finally {
      server.stop();
    }
  });

  /** A graph with one caller, a member, and its token. `env` has further settings. */
  async function startForMember(env = {}) {
    const directory = mkdtempSync(join(tmpdir(), "switchboard-"));
    const token = `swb_${"m".repeat(43)}`;
    const sha256 = createHash("sha256").update(token).digest("hex");
    const config = join(directory, "switchboard.toml");
    writeFileSync(config, `[auth]\nmode = "tokens"\n[[auth.tokens]]\nname = "ann"\nsha256 = "${sha256}"\nrole = "member"\nuser_id = "user_7"\n`);
    const server = await startWithProxy({ config, env });
    const stop = () => {
      server.stop();
      rmSync(directory, { recursive: true });
    };
    return { ...server, token, stop };
  }

  test("reconnects a member's own account, also where no callback URL is allowed", async () => {
    const server = await startForMember({ SWITCHBOARD__ACTIONS__ENABLED: "true", SWITCHBOARD__CACHE__ACCOUNTS_TTL_MS: "1000" });
    try {
      const { page, problems, leave } = await visit(browser, `${server.url}example`, { signIn: server.sandbox });
      await page.getByLabel("Token").fill(server.token);
      await page.getByRole("button", { name: "Continue" }).click();
      const account = group(page, "Discord").locator(".account", { hasText: "Personal 7" });
      const [tab] = await Promise.all([page.context().waitForEvent("page"), account.getByRole("button", { name: "Reconnect" }).click()]);
      await tab.getByRole("button", { name: "Allow" }).click();
      // Without a callback the sign-in ends on its own page, and a member may not refresh: the page polls.
      await tab.getByText("You can close this tab.").waitFor();
      await account.getByText("Discord is connected again.").waitFor();
      await account.getByRole("button", { name: "Remove the old connection" }).click();
      await account.waitFor({ state: "detached" });
      await page.locator(".provider > .row", { hasText: "Discord" }).click();
      // Pausing is not among a member's actions.
      const own = page.locator(".accounts .account", { has: page.locator(".state", { hasText: "Healthy" }) }).first();
      await own.locator(".row").click();
      await own.getByRole("button", { name: "Rename" }).waitFor();
      assert.equal(await own.getByRole("button", { name: "Pause" }).count(), 0);
      assert.ok(problems.every((problem) => problem.includes("401")), problems.join());
      problems.length = 0;
      await leave();
    } finally {
      server.stop();
    }
  });

  test("shows a member only permitted data, and no empty placeholders", async () => {
    const server = await startForMember();
    const { token } = server;
    try {
      const { page, problems, leave } = await visit(browser, `${server.url}example`);
      await page.getByLabel("Token").fill(`${token}x`);
      await page.getByRole("button", { name: "Continue" }).click();
      await page.getByRole("alert").getByText("This token was not accepted.").waitFor();
      assert.equal(await page.getByLabel("Token").inputValue(), `${token}x`);
      await accessible(page);
      await picture(page, "token-rejected-laptop-light");
      await page.getByLabel("Token").fill(token);
      await page.getByRole("button", { name: "Continue" }).click();
      await page.getByText("Signed in as ann").waitFor();
      assert.deepEqual(await page.evaluate(() => [{ ...sessionStorage }, { ...localStorage }]), [{}, {}]);
      await page.getByText("Connect Discord again", { exact: true }).waitFor();
      await heading(page, /\d accounts of yours/).waitFor();
      await row(page, "Slack").click();
      await heading(page, "Your accounts").waitFor();
      // The sandbox's name of the member's own account has its user ID.
      const text = (await page.locator("main").innerText()).replaceAll(/\w+ of user_7/g, "");
      for (const hidden of ["user_", "team@emasex.de", "LeadLex Eng", "The bot was removed", "Ask ", "Refresh", "undefined", "null"]) {
        assert.ok(!text.includes(hidden), `“${hidden}” in\n${text}`);
      }
      await accessible(page);
      await picture(page, "member-laptop-light", { fullPage: true });
      // The browser's console message for a 401. The page asks for a token after that status.
      assert.ok(problems.every((problem) => problem.includes("401")), problems.join());
      problems.length = 0;
      await leave();
    } finally {
      server.stop();
    }
  });

  test("reports an unreachable graph, and recovers automatically", async () => {
    const server = await demo();
    try {
      let cut = true;
      const before = (page) => page.route("**/graphql", (route) => (cut ? route.fulfill({ json: { errors: [{ message: "No." }] } }) : route.fallback()));
      const { page, leave } = await visit(browser, `${server.url}example`, { before });
      await heading(page, "Nothing to show yet").waitFor();
      await accessible(page);
      cut = false;
      await page.getByRole("button", { name: "Try now" }).click();
      await heading(page, "25 integrations").waitFor();
      await leave();
    } finally {
      server.stop();
    }
  });
});
