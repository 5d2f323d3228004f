import { ask } from "../ask.js";
import { get } from "../natives.js";
import { attribute, fits, guard, listen, queryAll } from "../quiet.js";

/** Handed to the third file, which need not hold it once more. */
export const kit = /** @type {const} */ ([ask, attribute, fits, get, guard, listen, queryAll]);

/** @typedef {typeof kit} Kit */
