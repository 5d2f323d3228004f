import { ask } from "./ask.js";
import { Promise, URL } from "./natives.js";

/** The `data-*` of this script's tag. */
export const { dataset: settings = {}, nonce, attributes } = /** @type {Partial<HTMLScriptElement>} */ (
  ask("currentScript") ||
    // A loader or a module has none. Others write no scripts on a page, nor what hides their `src`.
    [...ask("scripts")].find(({ src }) => /\/et\.js/.test(src)) ||
    {}
);

/** @type {URL} Where this script is. Not set when no tag with a `src` runs it. */
export let place;

try {
  // Not the tag's own `src`, which follows any <base> that the page has got meanwhile.
  place = new URL(/** @type {any} */ (attributes).src.value, location.href);
} catch (_) {
  // nothing starts
}

/**
 * Imports a file from this one's folder, if its content has the digest. `import()` checks none, but
 * takes what a tag has loaded and checked.
 * @param {string} name
 * @param {string} integrity
 * @returns {Promise<any>}
 */
export const importFile = (name, integrity) => {
  const href = /** @type {any} */ (new URL(name, place));
  return new Promise((onload, onerror) => {
    const link = /** @type {HTMLLinkElement} */ (Document.prototype.createElement.call(document, "link"));
    Object.assign(link, { rel: "modulepreload", href, integrity, nonce, onload, onerror });
    if (link.relList.supports("modulepreload")) ask("head").append(link);
    else onload(0); // an old browser, which cannot check
  }).then(() => import(href));
};
