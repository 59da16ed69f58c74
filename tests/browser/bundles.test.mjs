// The pages that the binary carries are what their sources build to, byte for byte once unpacked (another Node may pack
// otherwise); and what the settings page asks is
// what the schema has, since relay-compiler builds it against schema.graphql.
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
  test(`${bundle} is what ${source} builds to`, () => {
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
