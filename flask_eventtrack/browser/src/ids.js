import { crypto, now } from "./natives.js";

/**
 * A UUID version 7 (RFC 9562): it sorts by time.
 * Not `crypto.randomUUID`, which plain HTTP pages do not have.
 */
export function uuid7() {
  const time = [...now().toString(16).padStart(12, "0")];
  const digit = () => (crypto.getRandomValues(new Uint8Array(1))[0] & 15).toString(16);
  return "xxxxxxxx-xxxx-7xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, () => time.shift() || digit());
}
