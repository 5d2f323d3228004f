import { crypto, now } from "./natives.js";

/**
 * A UUID version 7 (RFC 9562): it sorts by time.
 * Not `crypto.randomUUID`, which plain HTTP pages do not have.
 */
export const uuid7 = () => {
  const time = `0${now().toString(16)}`.replace(/.{8}/, "$&-");
  // An array of one number counts as that number.
  const digit = () =>
    (/** @type {any} */ (crypto.getRandomValues(new Uint8Array(1))) % 16).toString(16);
  return `${time}-7xxx-8xxx-xxxxxxxxxxxx`.replace(/x/g, digit);
};
