const { src, dataset } = /** @type {Partial<HTMLScriptElement>} */ (document.currentScript || {});

/** Where events are posted; empty when no script tag with a `src` runs this. */
export const collector = src ? src.replace(/[^/]*$/, "in") : "";

/** The tag's `data-*` attributes: `visit`, the server's half of this page's visit, and `page`. */
export const settings = /** @type {DOMStringMap} */ (dataset);
