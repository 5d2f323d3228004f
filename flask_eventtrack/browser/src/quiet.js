/**
 * Watching a page without ever disturbing it. A form's fields may be named like any of its
 * properties, and so may the document's images: both are asked by the prototype's functions alone.
 */

const { getAttribute } = Element.prototype;

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
 * @param {Node} node @param {string} selector
 * @returns {Element[]} those in it: none in a text
 */
export const queryAll = (node, selector) => {
  const kind = [Element, Document, DocumentFragment].find((kind) => node instanceof kind);
  return kind ? [...kind.prototype.querySelectorAll.call(node, selector)] : [];
};

/** @param {Element} element @param {string} name */
export const attribute = (element, name) => getAttribute.call(element, name);
