/**
 * Elements that say in attributes what is to be tracked. A form's fields may be named like any of
 * its properties: elements are asked by the prototype's functions alone.
 */

const { closest, getAttribute, getAttributeNames, matches } = Element.prototype;
const { parse } = JSON;
const TAG = "data-eventtrack";
const PARAM = /^data-eventtrack-(?!(?:label|skip|field|outbound|downloads|view|hover|dwell)\b)(.+)/;
const TYPED = /^(-?(0|[1-9]\d{0,14})(\.\d+)?|true|false)$/;

/**
 * @template {any[]} A, R
 * @param {(...given: A) => R} use
 * @returns {(...given: A) => R | undefined} the same for the page to call, which sees no error
 */
export const guard =
  (use) =>
  (...given) => {
    try {
      return use(...given);
    } catch (_) {
      // not the page's own
    }
  };

/**
 * Listens before the page does.
 * @param {string} kind
 * @param {(event: any) => void} heed
 */
export const listen = (kind, heed) =>
  addEventListener(kind, guard(heed), { capture: true, passive: true });

/**
 * Finds the elements that an event went through, shadow roots or not, innermost first.
 * @param {Event} event
 * @param {string} selector
 * @returns {any[]}
 */
export const onPath = (event, selector) =>
  event.composedPath().filter((node) => node instanceof Element && matches.call(node, selector));

/** @param {Element} element @param {string} name */
export const attribute = (element, name) => getAttribute.call(element, name);

/** @param {Element} element @param {string} name after `data-eventtrack` */
export const tag = (element, name) => attribute(element, TAG + name);

/** @param {Element} element @param {string} name @param {number} otherwise */
export const setting = (element, name, otherwise) => Number(tag(element, name) ?? otherwise);

/** "12" becomes a number; "007" and what a number cannot hold do not. @param {string} value */
export const typed = (value) => (TYPED.test(value) ? parse(value) : value);

/** @param {Element} element */
export const idOf = (element) => attribute(element, "id") ?? attribute(element, "name");

/**
 * Tracks what an element's attributes say.
 * @param {import("../core.js").Core} core
 * @param {Element} element
 * @param {string} kind the attribute that has the action, after `data-eventtrack`
 * @param {string} builtIn the action when the attribute has none
 * @param {object} facts params of the built-in event
 * @param {object} [others] params of any event
 */
export function send({ api }, element, kind, builtIn, facts, others) {
  if (closest.call(element, `[${TAG}-skip]`)) return;
  const action = tag(element, kind) || builtIn;
  /** @type {{ [name: string]: unknown }} */
  const params = { ...(action === builtIn && facts), ...others };
  for (const name of getAttributeNames.call(element)) {
    const [, param] = PARAM.exec(name) || [];
    if (param) params[param.replace(/-/g, "_")] = typed(`${attribute(element, name)}`);
  }
  api.track(action, params, tag(element, "-label") ?? undefined);
}
