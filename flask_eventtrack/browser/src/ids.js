import { crypto, now } from "./natives.js";

/**
 * A UUID version 7 (RFC 9562): it sorts by time.
 * Not `crypto.randomUUID`, which plain HTTP pages do not have.
 */
export const uuid7 = () => {
  const time = `0${now().toString(16)}`.replace(/.{8}/, "$&-");
  const bytes = crypto.getRandomValues(new Uint8Array(36));
  const digit = (/** @type {string} */ _, /** @type {number} */ i) => (bytes[i] & 15).toString(16);
  return `${time}-7xxx-8xxx-xxxxxxxxxxxx`.replace(/x/g, digit);
};
