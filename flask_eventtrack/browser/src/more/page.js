import { guard, listen } from "../quiet.js";
import { engage } from "./engage.js";
import { metadata } from "./metadata.js";
import { watchTagged } from "./tags.js";
import { title } from "./title.js";

/**
 * Watches what is done on the page, and reads what the page is about.
 * @param {import("../core.js").Core} core
 * @param {() => Promise<any>} loadThird
 */
export function watchPage(core, loadThird) {
  /** @type {import("../core.js").Turn[]} */
  const turns = [guard(engage)(core), guard(metadata)(core), guard(title)(core)];
  const turn = (/** @type {unknown} */ isOther) =>
    turns.forEach(guard((one) => one && one(isOther === true)));
  core.hooks.page = () => turn(true);
  // Ahead of the core's sending, for one post. A window hears its own events, capturing or not, in
  // the order of its listeners.
  listen("visibilitychange", turn);
  listen("pagehide", turn);
  listen("pagehide", core.leave);
  guard(watchTagged)(core, turns, loadThird);
}
