/**
 * Watching a page without ever disturbing it. A form's fields may be named like any of its
 * properties, and so may the document's images: both are asked by the prototype's functions alone.
 */

import { composedPath } from "./natives.js";

const { getAttribute, matches } = Element.prototype;

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
 * @param {(event: any, path: EventTarget[]) => void} heed is told what the event goes through, shadow
 *   roots or not, innermost first
 */
export const listen = (kind, heed) =>
  addEventListener(
    kind,
    guard((event) => heed(event, composedPath.call(event))),
    { capture: true, passive: true },
  );

/**
 * @param {Node} node @param {string} selector
 * @returns {Element[]} those in it: none in a text
 */
export const queryAll = (node, selector) => {
  const kind = [Element, Document, DocumentFragment].find((kind) => node instanceof kind);
  return kind ? [...kind.prototype.querySelectorAll.call(node, selector)] : [];
};

/** @param {Element} element @param {string} name */
export const attribute = (element, name) => getAttribute.call(element, name);

/** @param {unknown} node @param {string} selector whether it is an element that fits */
export const fits = (node, selector) => node instanceof Element && matches.call(node, selector);
