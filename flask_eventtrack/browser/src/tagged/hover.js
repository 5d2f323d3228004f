import { nameOf, onPath, send, setting } from "./elements.js";
import { listen } from "./kit.js";

/**
 * A pointer that rests on what is tagged with `data-eventtrack-hover`.
 * @returns {import("./elements.js").Turn}
 */
export function hover() {
  /** @type {Map<Element, number>} when the pointer came, in ms */
  const since = new Map();

  /** @param {Element[]} under elements that the pointer is over */
  function settle(under) {
    const now = performance.now();
    for (const element of under) since.set(element, since.get(element) ?? now);
    for (const [element, start] of since) {
      const dwell_ms = Math.round(now - start);
      if (under.includes(element)) continue;
      since.delete(element);
      if (dwell_ms >= setting(element, "-dwell", 1000)) {
        send(element, "-hover", "element.hover", { id: nameOf(element) }, { dwell_ms });
      }
    }
  }

  listen("pointerover", (event, path) => {
    if (event.pointerType !== "touch") settle(onPath(path, "[data-eventtrack-hover]"));
  });
  listen("pointerout", (event) => event.relatedTarget || settle([]));
  listen("click", () => settle([])); // waiting for a slow link does not count
  return () => settle([]);
}
