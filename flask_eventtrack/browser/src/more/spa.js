/**
 * Counts what a single-page app shows: another path, and with `data-spa="hash"` another hash.
 * @param {import("./index.js").Core} core
 */
export function spa({ api, page, letGo, settings }) {
  if (!settings.spa) return;

  /** @param {string} url */
  const place = (url) => {
    const { pathname, hash } = new URL(url);
    return settings.spa === "hash" ? pathname + hash : pathname;
  };
  const look = () => {
    if (place(location.href) === place(page().url)) return;
    letGo(); // the title is still that of the page that ends
    api.page();
  };

  const { navigation } = /** @type {any} */ (window);
  // Where a browser has none, an element or a frame may have its name: those are not the window's own.
  if (window.hasOwnProperty("navigation")) navigation.addEventListener("currententrychange", look);
  else {
    for (const name of /** @type {const} */ (["pushState", "replaceState"])) {
      const original = history[name];
      history[name] = function (...state) {
        original.apply(this, state);
        look();
      };
    }
    addEventListener("popstate", look);
  }
  look();
}
