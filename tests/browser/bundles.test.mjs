// The embedded pages equal the build of their sources, byte for byte after decompression (gzip output depends on the Node version).
// The settings page's queries match the schema, because relay-compiler builds them against schema.graphql.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { root } from "./visit.mjs";

for (const [source, bundle, command] of [
  ["graphiql", "assets/graphiql", "make graphiql"],
  ["examples/settings-page", "assets/example", "make example-page"],
]) {
  test(`${bundle} is up to date with ${source}`, () => {
    const built = mkdtempSync(join(tmpdir(), "switchboard-"));
    try {
      execFileSync("npm", ["run", "build"], { cwd: resolve(root, source), env: { ...process.env, OUT_DIR: built }, stdio: "pipe" });
      const names = readdirSync(built).sort();
      assert.deepEqual(readdirSync(resolve(root, bundle)).sort(), names, `${command} writes it`);
      for (const name of names) {
        const [fresh, kept] = [join(built, name), resolve(root, bundle, name)].map((file) => gunzipSync(readFileSync(file)));
        assert.ok(fresh.equals(kept), `${name}: ${command} writes it`);
      }
    } finally {
      rmSync(built, { recursive: true });
    }
  });
}
