import { get } from "../natives.js";
import { attribute } from "../quiet.js";

/**
 * @typedef {import("../core.js").Core} Core
 * @typedef {EventTarget[]} Path what an event went through, shadow roots or not, innermost first
 * @typedef {import("../core.js").Turn} Turn
 */

const { closest, getAttributeNames, matches } = Element.prototype;
const TAG = "data-eventtrack";
const PARAM = /^data-eventtrack-(?!(?:label|skip|field|outbound|downloads|view|hover|dwell)\b)(.+)/;
const NUMBER = /^-?\d{1,15}(\.\d+)?$/;

/**
 * Finds elements of an event's path.
 * @param {Path} path
 * @param {string} selector
 * @returns {any[]}
 */
export const onPath = (path, selector) =>
  path.filter((node) => node instanceof Element && matches.call(node, selector));

/** @param {Element} element @param {string} name after `data-eventtrack` */
export const tag = (element, name) => attribute(element, TAG + name);

/** @param {Element} element @param {string} name @param {number} otherwise */
export const setting = (element, name, otherwise) => Number(tag(element, name) ?? otherwise);

/** "12" becomes a number; what would not read the same again, as "007", does not. @param {string} value */
export function typed(value) {
  if (/^(true|false)$/.test(value)) return value === "true";
  return NUMBER.test(value) && `${+value}` === value ? +value : value;
}

/** @param {Element} element */
export const idOf = (element) => attribute(element, "id") ?? attribute(element, "name");

/** @param {Element} element */
export const nameOf = (element) => idOf(element) ?? get(Element.prototype, "localName", element);

/** @param {Element} element */
export const isSkipped = (element) => closest.call(element, `[${TAG}-skip]`);

/**
 * Tracks what an element's attributes say.
 * @param {Core} core
 * @param {Element} element
 * @param {string} kind the attribute that has the action, after `data-eventtrack`
 * @param {string} builtIn the action when the attribute has none
 * @param {object} facts params of the built-in event
 * @param {object} [others] params of any event
 */
export function send({ api }, element, kind, builtIn, facts, others) {
  if (isSkipped(element)) return;
  const action = tag(element, kind) || builtIn;
  /** @type {{ [name: string]: unknown }} */
  const params = { ...(action === builtIn && facts), ...others };
  for (const name of getAttributeNames.call(element)) {
    const [, param] = PARAM.exec(name) || [];
    if (param) params[param.replace(/-/g, "_")] = typed(`${attribute(element, name)}`);
  }
  api.track(action, params, tag(element, "-label") ?? undefined);
}
