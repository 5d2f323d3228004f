import { guard } from "../quiet.js";
import { beacon } from "./beacon.js";
import { debug } from "./debug.js";
import { keep } from "./keep.js";
import { kit } from "./kit.js";
import { watchPage } from "./page.js";
import { plain } from "./plain.js";
import { keptIds, replay } from "./replay.js";
import { spa } from "./spa.js";

/**
 * What the core gives this file, which is loaded with the page's content or when it is needed.
 * @typedef {import("../core.js").Core} Core
 */

/** @param {Core} core */
export function start(core) {
  const loadThird = () =>
    core.importFile("tagged.js", DIGESTS.tagged).then(({ load }) => load(core, kit));
  core.hooks.plain = plain;
  core.hooks.perform = (name, value) => {
    if (name === "optOut") {
      core.api.flush(); // drops what waits
      for (const id of keptIds()) delete localStorage[`eventtrack:${id}`];
    }
    return loadThird().then(({ calls }) => calls[name](value));
  };
  debug(core);
  keep(core);
  beacon(core);
  // Where a browser has none, an element may have its name.
  const idle = guard(() => requestIdleCallback)();
  (idle instanceof Function ? idle : setTimeout)(
    () => {
      guard(watchPage)(core, loadThird);
      guard(spa)(core);
      core.letGo();
      replay(core);
    },
    /** @type {any} */ ({ timeout: 1000 }),
  );
}
