import { attribute, core, fits, get } from "./kit.js";

/**
 * @typedef {EventTarget[]} Path what an event went through, shadow roots or not, innermost first
 * @typedef {import("../core.js").Turn} Turn
 */

const { closest, getAttributeNames } = Element.prototype;
const PARAM = /^data-eventtrack-(?!(?:label|skip|field|outbound|downloads|view|hover|dwell)\b)(.+)/;
const NUMBER = /^-?\d{1,15}(\.\d+)?$/;

/**
 * Finds elements of an event's path.
 * @param {Path} path
 * @param {string} selector
 * @returns {any[]}
 */
export const onPath = (path, selector) =>
  path.filter((node) => fits(node, selector));

/** @param {Element} element @param {string} name after `data-eventtrack` */
export const tag = (element, name) => attribute(element, `data-eventtrack${name}`);

/** @param {Element} element @param {string} name @param {number} otherwise */
export const setting = (element, name, otherwise) => +(tag(element, name) ?? otherwise);

/** "12" becomes a number; what would not read the same again, as "007", does not. @param {string} value */
export function typed(value) {
  if (value === "true" || value === "false") return value === "true";
  return NUMBER.test(value) && `${+value}` === value ? +value : value;
}

/** @param {Element} element */
export const idOf = (element) => attribute(element, "id") ?? attribute(element, "name");

/** @param {Element} element */
export const nameOf = (element) => idOf(element) ?? get(Element.prototype, "localName", element);

/** @param {Element} element */
export const isSkipped = (element) => closest.call(element, "[data-eventtrack-skip]");

/**
 * Tracks what an element's attributes say.
 * @param {Element} element
 * @param {string} kind the attribute that has the action, after `data-eventtrack`
 * @param {string} builtIn the action when the attribute has none
 * @param {object} facts params of the built-in event
 * @param {object} [others] params of any event
 */
export function send(element, kind, builtIn, facts, others) {
  if (isSkipped(element)) return;
  const action = tag(element, kind) || builtIn;
  /** @type {{ [name: string]: unknown }} */
  const params = { ...(action === builtIn && facts), ...others };
  for (const name of getAttributeNames.call(element)) {
    const [, param] = PARAM.exec(name) || [];
    if (param) params[param.replace(/-/g, "_")] = typed(`${attribute(element, name)}`);
  }
  core.api.track(action, params, tag(element, "-label") ?? undefined);
}
