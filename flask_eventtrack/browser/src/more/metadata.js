import { parse } from "../natives.js";
import { attribute, guard, queryAll } from "../quiet.js";

// The content of a page, which others may write, can have these elements too, but for scripts.
const SAID = "head meta, script[type='application/ld+json']";
// What a page mentions beside its subject.
const SUBJECT = /^(?!undefined|.*(Action|Image|List|Organization|Page|Person|WebSite))/;
const OPENGRAPH = /^(og|product|article|book|video|music):.{1,50}$/;

/**
 * Adds to a page's visit what the page says it is, by canonical URL, JSON-LD, OpenGraph and
 * `<meta name>`, and to each of its events what its content is.
 * @param {import("../core.js").Core} core
 */
export function metadata({ hooks }) {
  /** @type {{ [name: string]: any } | undefined} as the visit has it */
  let content;

  function read() {
    let room = 4000; // characters in all, names included
    /** @type {any[]} the objects of all JSON-LD blocks, those of graphs included */
    const nodes = [];
    /** @type {{ [name: string]: any }} */
    const meta = {};

    /** @param {any} value */
    const add = (value) => {
      if (Array.isArray(value)) value.forEach(add);
      else if (value["@graph"]) add(value["@graph"]);
      else nodes.push(value);
    };
    for (const element of queryAll(document, SAID)) {
      const name = attribute(element, "property") ?? attribute(element, "name");
      if (name) (meta[name] ??= []).push(attribute(element, "content"));
      else guard(() => add(parse(`${element.textContent}`)))(); // a broken block says nothing
    }

    /** @param {any} value @returns {string | undefined} */
    function text(value) {
      [value] = [value].flat();
      if (value instanceof Object) {
        const { "@id": id, value: own, name } = value;
        return text(own ?? name ?? nodes.find((node) => id && node["@id"] === id)?.name ?? id);
      }
      value = `${value ?? ""}`.trim().slice(0, 255);
      room -= value.length + 20;
      return (room > 0 && value) || undefined;
    }
    /** @param {any} values */
    function texts(values) {
      const found = [values].flat().slice(0, 10).map(text).filter(Boolean);
      return found[1] ? found : found[0];
    }

    const find = (/** @type {RegExp} */ type) => nodes.find((node) => type.test(node["@type"]));
    const subject = find(SUBJECT) ?? find(/Page/) ?? nodes[0] ?? {};
    const object_type = text(subject["@type"]);
    const object_id = text(subject.identifier ?? subject.sku ?? subject["@id"]);
    content = {
      content_type: object_type ?? text(meta["og:type"]),
      content_id: object_id ?? text(meta["product:retailer_part_no"]),
      object_type,
      object_id,
      publisher: text(subject.publisher ?? meta.publisher ?? meta["og:site_name"]),
    };
    const [canonical] = queryAll(document, "head link[rel=canonical]");
    /** @type {{ [name: string]: any }} */
    const page = {
      ...content,
      viewport: `${innerWidth}x${innerHeight}`,
      screen: `${screen.width}x${screen.height}`,
      language: navigator.language,
      timezone_offset: new Date().getTimezoneOffset(), // Intl would name the zone, but take 30 ms
      // By its attribute: a <base> in the content would change its `href`.
      canonical: text(canonical && new URL(`${attribute(canonical, "href")}`, location.href).href),
      author: texts(subject.author ?? meta.author),
      section: text(subject.articleSection ?? meta["article:section"] ?? meta.section),
    };
    for (const name in meta) {
      if (OPENGRAPH.test(name)) (page.opengraph ??= {})[name] = texts(meta[name]);
    }
    return page;
  }

  hooks.visit = /** @type {any} */ (guard(read));
  hooks.event = /** @type {any} */ (guard(() => content ?? (read(), content)));
  return (/** @type {boolean} */ isOther) => {
    if (isOther) content = undefined;
  };
}
