import { calls } from "./account.js";
import { click } from "./clicks.js";
import { submit, watchForms } from "./forms.js";
import { hover } from "./hover.js";
import { guard, take } from "./kit.js";
import { watchSecrets } from "./secrets.js";
import { view } from "./view.js";

/**
 * Tracks what tagged elements say.
 * @param {import("../core.js").Core["early"]} clicks and submissions so far
 * @param {Set<Element>} passwords fields that have been seen as such so far
 */
function start(clicks, passwords) {
  guard(watchSecrets)(passwords);
  const heed = guard((/** @type {typeof clicks[0]} */ [event, path]) => {
    if (event.type === "submit") submit(path[0]);
    else click(/** @type {MouseEvent} */ (event), path);
  });
  clicks.push = (...added) => added.map(heed).length;
  clicks.splice(0).forEach(heed);
  return [guard(hover)(), guard(view)(), guard(watchForms)()];
}

/**
 * @param {import("../core.js").Core} core
 * @param {import("../more/kit.js").Kit} kit
 */
export const load = (core, kit) => {
  take(core, kit);
  return { calls, start };
};
