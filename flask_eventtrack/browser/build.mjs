// `npm run build` makes static/ out of src/; `npm run check-snippet` compares the two.
import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, brotliDecompressSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

const SCRIPTS = {
  "et.js": { source: "index.js", isModule: false, year: 2019 },
  "more.js": { source: "more/index.js", isModule: true, year: 2020 },
  "tagged.js": { source: "tagged/index.js", isModule: true, year: 2020 },
};
// Properties that nobody else sees get short names, the same in all files. None of them is in JSON.
const OWN = /^(beacon|chosen|collector|early|epoch|hooks|isKept|isSent|leave|leaving|release|settings|settle|show|wait|waiting)$/;
const nameCache = {};

for (const [name, { source, isModule, year }] of Object.entries(SCRIPTS)) {
  const bundle = await build({
    absWorkingDir: import.meta.dirname,
    entryPoints: [`src/${source}`],
    external: ["./more.js", "./tagged.js"],
    bundle: true,
    format: "esm",
    target: `es${year}`,
    supported: { "dynamic-import": true },
    tsconfigRaw: "{}",
    write: false,
  });
  const { code } = await minify(bundle.outputFiles[0].text, {
    ecma: year,
    module: true,
    enclose: !isModule,
    compress: { passes: 4, unsafe_arrows: true },
    mangle: { properties: { regex: OWN } },
    nameCache,
  });
  delete nameCache.vars;
  const script = Buffer.from(`${code}\n`);
  const path = `${import.meta.dirname}/static/${name}`;
  if (process.argv[2] !== "--check") {
    writeFileSync(path, script);
    writeFileSync(`${path}.br`, brotliCompressSync(script));
  } else if (
    !script.equals(readFileSync(path)) ||
    !script.equals(brotliDecompressSync(readFileSync(`${path}.br`)))
  ) {
    console.error(`static/${name} or its .br is not what src/ builds: run make snippet, commit both.`);
    process.exitCode = 1;
  }
}
