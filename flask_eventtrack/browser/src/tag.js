/** Where this script is; empty when no script tag with a `src` runs it. */
export const { src = "", dataset } = /** @type {Partial<HTMLScriptElement>} */ (
  document.currentScript || {}
);

/** The tag's `data-*` attributes. */
export const settings = /** @type {DOMStringMap} */ (dataset);

/** The URL of a name beside the script. @param {string | undefined} name */
export const beside = (name) => src.replace(/[^/]*$/, `${name}`);

/** Where events are posted. */
export const collector = beside("in");
