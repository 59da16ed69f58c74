// Runs the README's examples as described there.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { start } from "./support.mjs";

const run = promisify(execFile);

test("a list is the same paged forward and backward", async (t) => {
  const demo = await start("demo", "--listen", "127.0.0.1:0");
  t.after(() => demo.stop());
  const example = resolve(import.meta.dirname, "../../examples/paging.mjs");
  const { stdout } = await run(process.execPath, [example, new URL("graphql", demo.url).href]);
  assert.equal(stdout, "40 forward, 40 backward, 40 in all\nthe same list both ways\n");
});
