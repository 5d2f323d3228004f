import { account } from "./account.js";
import { beacon } from "./beacon.js";
import { consent } from "./consent.js";
import { debug } from "./debug.js";
import { watchPage } from "./page.js";
import { replay } from "./replay.js";
import { spa } from "./spa.js";

/**
 * What the core gives this file, which is loaded when the page is idle or needs it.
 * @typedef {import("../core.js").Core} Core
 */

/** @param {Core} core */
export function start(core) {
  debug(core);
  account(core);
  consent(core);
  beacon(core);
  watchPage(core);
  spa(core);
  replay(core);
}
