// Builds the page into ../assets/graphiql with every file gzipped and no other form. That folder is compiled into the binary, which
// then neither compresses at start nor contains a file twice.
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

const outDir = resolve(import.meta.dirname, process.env.OUT_DIR ?? "../assets/graphiql");

/** Adds the licence of the font: Vite's own list has only packages of scripts. */
function fontLicenses() {
  return {
    name: "font-licenses",
    apply: "build",
    writeBundle() {
      for (const font of ["@fontsource/fira-code", "@fontsource/roboto"]) {
        const folder = join(import.meta.dirname, "node_modules", font);
        const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
        const text = readFileSync(join(folder, "LICENSE"), "utf8").trim();
        appendFileSync(join(outDir, "licenses.md"), `\n## ${font} - ${version} (${license})\n\n${text}\n`);
      }
    },
  };
}

/** Gzips every written file, with identical bytes for every build and system. */
function gzipped() {
  return {
    name: "gzipped",
    apply: "build",
    closeBundle() {
      for (const name of readdirSync(outDir)) {
        const file = join(outDir, name);
        const bytes = gzipSync(readFileSync(file), { level: 9 });
        bytes[9] = 255; // RFC 1952's "unknown" system; zlib would write that of this machine. Its time is 0 already.
        writeFileSync(`${file}.gz`, bytes);
        rmSync(file);
      }
    },
  };
}

export default defineConfig({
  build: {
    outDir,
    emptyOutDir: true,
    assetsDir: "",
    // Fonts and icons stay separate files, so that the page's content security policy needs no `data:` fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The notices that the licences of the bundled packages require.
    license: { fileName: "licenses.md" },
    chunkSizeWarningLimit: 4000,
    rolldownOptions: {
      // "use client" at the top of React packages has no effect here.
      checks: { moduleLevelDirective: false },
      output: {
        // The page's code is a separate chunk without importers, so that a changed example changes two small files, not megabytes.
        codeSplitting: { groups: [{ name: "vendor", test: /node_modules\/(?!monaco-|prettier)/ }] },
      },
    },
  },
  worker: { format: "es" },
  experimental: {
    // The page is served at `/`, its files under `/graphiql/`: relative, so that a proxy may mount both under a prefix.
    renderBuiltUrl: (file, { hostType }) => (hostType === "html" ? `graphiql/${file}` : { relative: true }),
  },
  plugins: [fontLicenses(), gzipped()],
});
