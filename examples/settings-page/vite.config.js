// Builds the page into ../../assets/example with every file gzipped, as graphiql/ does. That folder is compiled into the binary.
// `npm run dev` serves the page at /example with the demo's graph on port 8080.
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

const outDir = resolve(import.meta.dirname, process.env.OUT_DIR ?? "../../assets/example");

/** Replaces each graphql`…` by the artifact of relay-compiler, as Relay's Babel plugin does. */
function relay() {
  return {
    name: "relay",
    enforce: "pre",
    transform(code, id) {
      if (id.includes("node_modules") || !/\.jsx?$/.test(id)) return null;
      const names = [];
      const compiled = code.replace(/\bgraphql`\s*(?:query|fragment|mutation)\s+(\w+)[^`]*`/g, (_, name) => {
        names.push(`import ${name}_ from "./__generated__/${name}.graphql.js";`);
        return `${name}_`;
      });
      return names.length > 0 ? { code: names.join("") + compiled, map: null } : null;
    },
  };
}

/** Adds the licence of the font: Vite's own list has only packages of scripts. */
function fontLicense() {
  return {
    name: "font-license",
    apply: "build",
    writeBundle() {
      const folder = join(import.meta.dirname, "node_modules/@fontsource-variable/inter");
      const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      const text = readFileSync(join(folder, "LICENSE"), "utf8").trim();
      appendFileSync(join(outDir, "licenses.md"), `\n## ${name} - ${version} (${license})\n\n${text}\n`);
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
  server: { proxy: { "/graphql": { target: "http://127.0.0.1:8080", ws: true } } },
  build: {
    outDir,
    emptyOutDir: true,
    assetsDir: "",
    // Fonts and icons stay separate files, so that the page's content security policy needs no `data:`.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.md" },
    rolldownOptions: {
      // The page's code is separate from dependencies, so that a change affects only a small file.
      output: { codeSplitting: { groups: [{ name: "vendor", test: /node_modules/ }] } },
    },
  },
  experimental: {
    // The page is served at `/example`, its files under `/example/`: relative, so that a proxy may mount both under a prefix.
    renderBuiltUrl: (file, { hostType }) => (hostType === "html" ? `example/${file}` : { relative: true }),
  },
  plugins: [relay(), fontLicense(), gzipped()],
});
