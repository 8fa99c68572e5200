// Builds the live page's bundle. Shaders are text to esbuild: their indentation and empty lines are taken out here.

import { readFile } from "node:fs/promises";
import { build } from "esbuild";

const shaders = {
  name: "shaders",
  setup({ onLoad }) {
    onLoad({ filter: /three[\\/]build[\\/]three\.module\.js$/ }, async ({ path }) => ({
      contents: trimmed(await readFile(path, "utf8")),
      loader: "js",
    }));
  },
};

/** Chunks of GLSL are one string a line in three's build; within them \n\t is no more than \n. */
function trimmed(code) {
  return code.replace(/^(?:var|const) \w+ = "[^"]*\\n.*";$/gm, (chunk) =>
    chunk.replace(/(?:\\n|\\t)+/g, (space) => (space.includes("\\n") ? "\\n" : " ")),
  );
}

await build({
  entryPoints: { app: "src/main.js" },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  outdir: "../static",
  plugins: [shaders],
});
