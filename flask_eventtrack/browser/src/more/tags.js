import { composedPath } from "../natives.js";
import { fits, guard, queryAll } from "../quiet.js";

const NAMES = ["", "-view", "-hover", "-outbound", "-downloads"].map(
  (name) => `data-eventtrack${name}`,
);
const TAGGED = `[${NAMES.join("],[")}]`;
const PAUSE = 100; // ms: a page that builds itself is looked at ten times a second

/** @param {EventTarget} node */
const isTagged = (node) => fits(node, TAGGED);

/**
 * Loads the third file once an element with tracking attributes is on the page, or is clicked in a
 * shadow root.
 * @param {import("../core.js").Core} core
 * @param {import("../core.js").Turn[]} turns
 * @param {() => Promise<any>} loadThird
 */
export function watchTagged(core, turns, loadThird) {
  const { early } = core;
  /** @type {import("../core.js").Core["early"]} */
  const clicks = [];
  /** @type {Set<Element>} */
  const passwords = new Set();
  /** @type {Promise<void>} */
  let loading;
  let timer = 0;

  const load = () => {
    observer.disconnect();
    loading ??= loadThird()
      .then(({ start }) => void turns.push(...start(clicks, passwords)))
      .catch(() => {});
  };
  const look = () => {
    timer = 0;
    if (queryAll(document, TAGGED)[0]) load();
  };
  const observer = new MutationObserver(() => {
    timer = timer || setTimeout(look, PAUSE);
  });
  observer.observe(document, { childList: true, subtree: true, attributeFilter: NAMES });
  look();

  const hear = guard((/** @type {Event} */ event) =>
    early.push([event, composedPath.call(event)]),
  );
  early.push = (...added) => {
    // Before the click shows one as text.
    for (const node of added.flatMap(([, path]) => path)) {
      if (node instanceof Document || node instanceof ShadowRoot) {
        queryAll(node, "[type=password]").forEach((field) => passwords.add(field));
      }
    }
    const heard = added.filter(([, path]) => path.some(isTagged));
    if (heard[0]) load();
    // A submission is not heard outside of its shadow root; what leads to it, a click, is.
    for (const node of heard.flatMap(([, path]) => path)) {
      if (node instanceof ShadowRoot) node.addEventListener("submit", hear, true);
    }
    return clicks.push(...heard);
  };
  early.push(...early.splice(0));
}
