import { guard } from "../quiet.js";
import { click } from "./clicks.js";
import { submit } from "./forms.js";
import { hover } from "./hover.js";
import { watchSecrets } from "./secrets.js";
import { view } from "./view.js";

export { calls } from "./account.js";

/**
 * Tracks what tagged elements say.
 * @param {import("./elements.js").Core} core
 * @param {import("../core.js").Core["early"]} clicks and submissions so far
 * @param {Set<Element>} passwords fields that have been seen as such so far
 */
export function start(core, clicks, passwords) {
  guard(watchSecrets)(passwords);
  const heed = guard((/** @type {Event} */ event, /** @type {EventTarget[]} */ path) => {
    if (event.type === "submit") submit(core, path[0]);
    else click(core, /** @type {MouseEvent} */ (event), path);
  });
  clicks.push = (...added) => {
    added.forEach((each) => heed(...each));
    return 0;
  };
  clicks.push(...clicks.splice(0));
  return [guard(hover)(core), guard(view)(core)];
}
