import { attribute, idOf, listen, onPath, send } from "./elements.js";

const FILE = /\.(pdf|docx?|xlsx?|pptx?|csv|txt|zip|7z|rar|gz|dmg|exe|msi|apk|mp[34])$/i;

/** @param {Element} element */
const textOf = (element) =>
  `${attribute(element, "aria-label") || element.textContent || attribute(element, "value")}`
    .trim()
    .replace(/\s+/g, " ")
    .slice(0, 80);

/**
 * Clicks on what is tagged with `data-eventtrack`, on links that leave, and on downloads.
 * @param {import("../core.js").Core} core
 */
export function declarative(core) {
  const heed = (/** @type {MouseEvent} */ event) => {
    const find = (/** @type {string} */ selector) => onPath(event, selector)[0];
    const link = find("a[href], area[href]");
    // A right click opens a menu, and a middle click does nothing but on a link.
    if (event.button > 1 || (event.button && !link)) return;
    const url = link && new URL(`${attribute(link, "href")}`, link.baseURI);

    /** @param {Element} element */
    const count = (element) => {
      const text = textOf(element);
      if (link?.contains(element)) send(core, element, "", "link.click", { href: url.href, text });
      else send(core, element, "", "button.click", { id: idOf(element), text });
    };

    const tagged = find("[data-eventtrack]:not(form)");
    // The browser goes on to click a label's field, which the tagged element hears as well.
    const field = find("label")?.control;
    if (tagged && !(tagged.contains(field) && !event.composedPath().includes(field))) count(tagged);

    if (!link || link.contains(tagged)) return;
    const leaves = url?.host !== location.host && /^http/.test(`${url}`);
    const isFile = FILE.test(`${url?.pathname}`) || attribute(link, "download") !== null;
    if (leaves && find("[data-eventtrack-outbound]")) count(link);
    else if (isFile && find("[data-eventtrack-downloads]")) count(link);
  };
  listen("click", heed);
  listen("auxclick", heed);
}
