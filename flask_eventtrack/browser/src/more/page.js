import { declarative } from "./declarative.js";
import { guard, listen } from "./elements.js";
import { engage } from "./engage.js";
import { forms } from "./forms.js";
import { hover } from "./hover.js";
import { metadata } from "./metadata.js";
import { view } from "./view.js";

/**
 * A part of the watch. It returns what is to happen when the page is shown, hidden or left, and
 * with `true` when another page opens.
 * @typedef {(core: import("../core.js").Core) => void | ((isOther: boolean) => void)} Part
 */

/** @type {Part[]} */
const PARTS = [declarative, forms, hover, view, engage, metadata];

/**
 * Watches what is done on the page, and reads what the page is about.
 * @type {Part}
 */
export function watchPage(core) {
  const turns = PARTS.map((part) => guard(part)(core));
  const turn = (/** @type {unknown} */ isOther) =>
    turns.forEach(guard((one) => one && one(isOther === true)));
  core.hooks.page = () => turn(true);
  // Ahead of the core's listeners, for one post.
  listen("visibilitychange", turn);
  listen("pagehide", turn);
}
