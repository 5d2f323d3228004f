import { nameOf, send, setting } from "./elements.js";
import { ask, get, guard, queryAll } from "./kit.js";

const TAGGED = "[data-eventtrack-view]";

/**
 * Whether enough of an element is in view: of the element, or of the window if that is smaller.
 * @param {IntersectionObserverEntry} entry
 */
function isSeen({ target, boundingClientRect: whole, intersectionRect: part }) {
  const most = Math.min(whole.width, innerWidth) * Math.min(whole.height, innerHeight);
  const share = (part.width * part.height) / most + 0.005; // layout rounds
  return share >= setting(target, "-view-threshold", 0.5);
}

/**
 * What is tagged with `data-eventtrack-view`, once it has been in view for long enough.
 * @returns {import("./elements.js").Turn}
 */
export function view() {
  /** @type {Map<Element, number>} elements in view, and their timers */
  const timers = new Map();
  /** @type {WeakSet<Element>} */
  let counted = new WeakSet();

  const observer = new IntersectionObserver(
    guard((entries) => {
      for (const entry of entries) {
        const { target } = entry;
        const isIn = entry.isIntersecting && isSeen(entry);
        if (isIn === timers.has(target)) continue;
        if (isIn) timers.set(target, setTimeout(guard(count), setting(target, "-view-time", 1000), target));
        else {
          clearTimeout(timers.get(target));
          timers.delete(target);
        }
      }
    }),
    { threshold: [...Array(101).keys()].map((percent) => percent / 100) },
  );

  /** @param {Element} element */
  function count(element) {
    observer.unobserve(element);
    timers.delete(element);
    counted.add(element);
    send(element, "-view", "element.view", { id: nameOf(element) });
  }

  /** @param {any} root */
  function observe(root) {
    for (const element of queryAll(root, TAGGED)) {
      if (!counted.has(element)) observer.observe(element);
    }
  }

  /** @param {boolean} [isOther] whether another page has opened */
  function turn(isOther) {
    if (isOther) counted = new WeakSet();
    timers.forEach(clearTimeout);
    timers.clear();
    observer.disconnect();
    if (!ask("hidden")) observe(document);
  }

  const heed = (/** @type {MutationRecord[]} */ records) =>
    new Set(records.map(({ target, attributeName }) => (attributeName ? get(Node.prototype, "parentNode", target) : target)))
      .forEach(guard(observe));
  const attributeFilter = ["data-eventtrack-view"];
  new MutationObserver(heed).observe(document, { childList: true, subtree: true, attributeFilter });
  turn();
  return turn;
}
