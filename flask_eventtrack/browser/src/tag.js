/** Where this script is, empty when no tag with a `src` runs it, and the tag's `data-*`. */
export const { src = "", dataset: settings = {} } = /** @type {Partial<HTMLScriptElement>} */ (
  document.currentScript || {}
);

/** Where events are posted: the script's own folder is that of its version. */
export const collector = src.replace(/[^/]*\/[^/]*$/, "in");
