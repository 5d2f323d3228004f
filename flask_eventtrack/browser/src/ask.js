import { get } from "./natives.js";

/**
 * A property of the document. An image or a form of that name hides `document[name]`, for scripts
 * too: what it shows then is an object, and the prototype has the property itself.
 * @template {keyof Document} K
 * @param {K} name
 * @returns {Document[K]}
 */
export const ask = (name) => {
  const value = document[name];
  return Object(value) === value ? get(Document.prototype, name, document) : value;
};
