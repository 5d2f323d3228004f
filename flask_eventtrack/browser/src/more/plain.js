import { guard } from "../quiet.js";

const MAX_OBJECTS = 1000;
const MAX_LEVELS = 8; // as the collector takes

/**
 * What JSON can write of parameters, as a copy. What it cannot is left out: a value whose code
 * throws, one that is inside of itself, an element of the page, and what is too deep.
 * @param {unknown} params
 */
export function plain(params) {
  let room = MAX_OBJECTS;
  const copy = guard((/** @type {any} */ holder, /** @type {any} */ name, /** @type {unknown[]} */ ...around) => {
    let value = holder[name];
    value = value?.toJSON ? value.toJSON() : (value?.valueOf?.() ?? value);
    if (typeof value === "bigint" || value instanceof Error) return `${value}`;
    if (Object(value) !== value) return value;
    if (value instanceof EventTarget || value instanceof Function || around.includes(value)) return;
    if (around[MAX_LEVELS - 1] || room-- < 1) return;
    if (value instanceof Map) value = Object.fromEntries(value);
    if (value instanceof Set) value = [...value];
    /** @type {any} */
    const own = Array.isArray(value) ? [] : {};
    for (const key of Object.keys(value)) own[key] = copy(value, key, value, ...around);
    return own;
  });
  return copy([params], 0);
}
