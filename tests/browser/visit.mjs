// A visit to a page that the binary serves: starts binary and browser, and collects forbidden events.
//
//   SWITCHBOARD_BIN   the binary (default target/debug/switchboard)
//   CHROMIUM          the browser (default /usr/bin/chromium, Debian's package `chromium`)
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import axe from "axe-core";
import { chromium } from "playwright-core";

export const root = resolve(import.meta.dirname, "../..");
const binary = process.env.SWITCHBOARD_BIN ?? resolve(root, "target/debug/switchboard");
const quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export const SIZES = { laptop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
export const SCHEMES = ["light", "dark"];

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", ...quiet] });

/** Runs the binary with `args` and resolves with the address in the first line that matches `said`, and with all lines. */
export async function start(args, said, env = {}) {
  const server = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  const lines = [];
  const url = await new Promise((found, failed) => {
    server.once("error", failed);
    server.once("exit", (code) => failed(new Error(`${args.join(" ")} ended with ${code}:\n${lines.join("\n")}`)));
    for (const stream of [server.stdout, server.stderr]) {
      createInterface(stream).on("line", (line) => {
        lines.push(line);
        const address = said.exec(line)?.[1];
        if (address) found(address);
      });
    }
  });
  return { url, lines, stop: () => server.kill() };
}

/** Starts the demo. `url` is GraphiQL's, `sandbox` the address of both APIs and of the sign-in pages. */
export async function demo(scenario = "healthy", ...args) {
  const server = await start(["demo", "--listen", "127.0.0.1:0", "--scenario", scenario, ...args], /^Sandbox: (http:\/\/\S+)/);
  const [, url] = /^GraphiQL: (\S+)$/m.exec(server.lines.join("\n"));
  return { ...server, url, sandbox: server.url };
}

/**
 * A first visit to `url`, which can reach only its own origin; tabs that it opens can also reach `signIn`, and requests to the origin
 * `images` are answered with an image. `problems` collects forbidden events, and `leave` fails if there are any. `before` can prepare
 * the page before it is opened.
 */
export async function visit(browser, url, { colorScheme = "light", size = "laptop", before = async () => {}, signIn, images } = {}) {
  const { origin } = new URL(url);
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin });
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => message.type() === "error" && problems.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`page: ${error.stack}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.origin !== origin && url.origin !== images) problems.push(`request: ${url}`);
  });
  await context.route((url) => ![origin, signIn, images].includes(url.origin), (route) => route.abort());
  const square = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8" fill="#5865f2"/></svg>';
  await context.route((url) => url.origin === images, (route) => route.fulfill({ contentType: "image/svg+xml", body: square }));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (report) => {
      console.error(`policy: ${report.effectiveDirective} refused ${report.blockedURI}`);
    });
  });
  await before(page);
  await page.goto(url);
  const leave = async () => {
    // A request that a test's handler is working on ends with the page, which is not an error.
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await context.close();
    assert.deepEqual(problems, []);
  };
  return { page, problems, leave };
}

/** Fails if axe-core finds a serious or critical problem outside the elements that `except` selects. */
export async function accessible(page, except = []) {
  // Not as a script of the page, which its content security policy would block.
  await page.evaluate(axe.source);
  const found = await page.evaluate(async (except) => {
    const { violations } = await globalThis.axe.run({ exclude: except }, { resultTypes: ["violations"] });
    return violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map(({ target, failureSummary }) => `${target}: ${failureSummary}`) }));
  }, except);
  assert.deepEqual(found.filter(({ impact }) => impact === "serious" || impact === "critical"), []);
}

/** Leaves a picture to look at in `out/`. */
export async function picture(page, name, options = {}) {
  mkdirSync(resolve(import.meta.dirname, "out"), { recursive: true });
  await page.screenshot({ path: resolve(import.meta.dirname, "out", `${name}.png`), animations: "disabled", ...options });
}
