import { idOf, onPath, send } from "./elements.js";
import { attribute, fits } from "./kit.js";

const FILE = /\.(pdf|docx?|xlsx?|pptx?|csv|txt|zip|7z|rar|gz|dmg|exe|msi|apk|mp[34])$/i;

// What these hold, a visitor has typed or chosen. A button's value is its text.
const TYPED =
  "input:not([type=button], [type=image], [type=reset], [type=submit]), select, textarea, [contenteditable]";

/** @param {Element} element */
const writtenOn = (element) =>
  fits(element, TYPED) ? "" : element.textContent || attribute(element, "value");

/** @param {Element} element */
const textOf = (element) =>
  `${attribute(element, "aria-label") || writtenOn(element)}`
    .trim()
    .replace(/\s+/g, " ")
    .slice(0, 80);

/**
 * A click: on what is tagged with `data-eventtrack`, on a link that leaves, or on a download.
 * @param {MouseEvent} event
 * @param {import("./elements.js").Path} path
 */
export function click({ button }, path) {
  const find = (/** @type {string} */ selector) => onPath(path, selector)[0];
  const link = find("a[href], area[href]");
  // A right click opens a menu, and a middle click does nothing but on a link.
  if (button > 1 || (button && !link)) return;
  const url = link && new URL(`${attribute(link, "href")}`, link.baseURI);

  /** @param {Element} element */
  const count = (element) => {
    const isLink = link?.contains(element);
    const facts = { id: idOf(element), text: textOf(element), ...(isLink && { href: url.href }) };
    send(element, "", isLink ? "link.click" : "button.click", facts);
  };

  const tagged = find("[data-eventtrack]:not(form)");
  // The browser goes on to click a label's field, which the tagged element hears as well.
  const field = find("label")?.control;
  if (tagged && !(tagged.contains(field) && !path.includes(field))) count(tagged);

  if (!link || link.contains(tagged)) return;
  const leaves = url.host !== location.host && /^http/.test(url);
  const isFile = FILE.test(url.pathname) || attribute(link, "download") !== null;
  if (leaves && find("[data-eventtrack-outbound]")) count(link);
  else if (isFile && find("[data-eventtrack-downloads]")) count(link);
}
