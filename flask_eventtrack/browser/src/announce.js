import { CustomEvent } from "./natives.js";

/**
 * Tells the page, on document and window.
 * @param {"ready" | "error"} name
 * @param {unknown} detail
 */
export function announce(name, detail) {
  document.dispatchEvent(new CustomEvent(`eventtrack:${name}`, { bubbles: true, detail }));
}
