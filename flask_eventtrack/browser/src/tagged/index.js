import { guard } from "../quiet.js";
import { click } from "./clicks.js";
import { submit } from "./forms.js";
import { hover } from "./hover.js";
import { view } from "./view.js";

/**
 * Tracks what tagged elements say.
 * @param {import("./elements.js").Core} core
 * @param {import("../core.js").Core["early"]} clicks and submissions so far
 */
export function start(core, clicks) {
  const heed = guard((/** @type {Event} */ event, /** @type {EventTarget[]} */ path) => {
    if (event.type === "submit") return submit(core, path[0]);
    click(core, /** @type {MouseEvent} */ (event), path);
    // A submission is not heard outside of its shadow root; what leads to it, a click, is.
    for (const node of path) {
      if (node instanceof ShadowRoot) node.addEventListener("submit", heedInside, true);
    }
  });
  const heedInside = guard((/** @type {Event} */ event) => heed(event, event.composedPath()));

  core.early.push = (...added) => {
    added.forEach((each) => heed(...each));
    return 0;
  };
  core.early.push(...clicks);
  return [guard(hover)(core), guard(view)(core)];
}
