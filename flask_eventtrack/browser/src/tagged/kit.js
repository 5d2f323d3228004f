/**
 * What the third file uses of the others. They hand it over: no digest would be checked of a file that
 * an import statement names.
 */

/** @type {import("../core.js").Core} */
export let core;
/** @type {typeof import("../ask.js").ask} */
export let ask;
/** @type {typeof import("../quiet.js").attribute} */
export let attribute;
/** @type {typeof import("../quiet.js").fits} */
export let fits;
/** @type {typeof import("../natives.js").get} */
export let get;
/** @type {typeof import("../quiet.js").guard} */
export let guard;
/** @type {typeof import("../quiet.js").listen} */
export let listen;
/** @type {typeof import("../quiet.js").queryAll} */
export let queryAll;

/** @param {import("../core.js").Core} given @param {import("../more/kit.js").Kit} kit */
export function take(given, kit) {
  core = given;
  [ask, attribute, fits, get, guard, listen, queryAll] = kit;
}
