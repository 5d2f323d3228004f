// `npm run build` makes static/ out of src/; `npm run check-snippet` compares the two.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, brotliDecompressSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

// Each has the digest of the one before, which it loads.
const SCRIPTS = {
  tagged: { source: "tagged/index.js", isModule: true, year: 2020 },
  more: { source: "more/index.js", isModule: true, year: 2020 },
  et: { source: "index.js", isModule: false, year: 2019 },
};
// Properties that nobody else sees get short names, the same in all files. None of them is in JSON.
const OWN = /^(answer|beacon|perform|chosen|early|encoded|hooks|keep|loadMore|plain|importFile|isKept|isSent|leave|leaving|letGo|place|settings|settle|showVisit|unanswered|wait)$/;
const nameCache = {};
const digests = {};

for (const [name, { source, isModule, year }] of Object.entries(SCRIPTS)) {
  const bundle = await build({
    absWorkingDir: import.meta.dirname,
    entryPoints: [`src/${source}`],
    bundle: true,
    define: digests,
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
    compress: { passes: 4, pure_getters: true, unsafe_arrows: true },
    mangle: { properties: { regex: OWN } },
    nameCache,
  });
  delete nameCache.vars;
  const script = Buffer.from(`${code}\n`);
  const digest = createHash("sha256").update(script).digest("base64");
  digests[`DIGESTS.${name}`] = `"sha256-${digest}"`;
  const path = `${import.meta.dirname}/static/${name}.js`;
  if (process.argv[2] !== "--check") {
    writeFileSync(path, script);
    writeFileSync(`${path}.br`, brotliCompressSync(script));
  } else if (
    !script.equals(readFileSync(path)) ||
    !script.equals(brotliDecompressSync(readFileSync(`${path}.br`)))
  ) {
    console.error(`static/${name}.js or its .br is not what src/ builds: run make snippet, commit both.`);
    process.exitCode = 1;
  }
}
