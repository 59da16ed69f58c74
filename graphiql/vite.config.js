// Builds the page into ../assets/graphiql, each file gzipped, nothing else beside it: that folder is
// compiled into the binary, which must neither compress at start nor carry a file twice.
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

const outDir = resolve(import.meta.dirname, process.env.OUT_DIR ?? "../assets/graphiql");

/** Adds what Vite's own list leaves out: it names the packages of scripts, not those of fonts. */
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

/** Replaces every written file by its gzipped form, the same bytes at every build and on every system. */
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
    // Fonts and icons stay files of their own, so that the page's policy can do without `data:` fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The notices that the bundled packages' licences ask to be passed on.
    license: { fileName: "licenses.md" },
    chunkSizeWarningLimit: 4000,
    rolldownOptions: {
      // "use client" at the top of React packages means nothing here.
      checks: { moduleLevelDirective: false },
      output: {
        // Our own few lines in a chunk that no other imports: a changed example changes two small files, not megabytes.
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
