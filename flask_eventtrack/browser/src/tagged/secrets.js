import { attribute, fits, guard, listen, queryAll } from "./kit.js";

const PASSWORD = "[type=password]";
const HINTS = ["name", "id", "data-eventtrack-field", "autocomplete", "aria-label", "placeholder"];

// In small letters, between spaces. The first ones may be parts: "newpassword", "csrftoken".
const SECRET = new RegExp(
  "passw(or)?[dt]|pass ?(code|key|phrase)|pwd|cvc|cvv|ccv|credential|(secret|token)s?\\b" +
    "|kennwort|contrase[nñ]a|senha|wachtwoord|mot ?de ?passe" +
    "|\\b(pass|pw|pin|pin ?code|puk|t?otp|csc|cvn|ssn|iban|jwt|2fa|mfa)\\d*\\b" +
    "|\\b(auth\\w*|backup|login|one ?time|recovery|security|sms|verification) ?code" +
    "|\\b(api|private|access) ?key" +
    "|\\b(cc|card) ?(n(umber|um|o|r)?|code|csc|exp\\w*|holder|name|security)\\b" +
    "|\\b(credit|debit) ?card|\\bsocial ?security",
);

/** @type {WeakSet<Element>} those that have been passwords, and what they are called */
const fields = new WeakSet();
/** @type {Set<string | null>} */
const names = new Set();

/** What a field is called, in its form and in events. @param {Element} field */
const namesOf = (field) =>
  ["name", "data-eventtrack-field"].map((name) => attribute(field, name)).filter(Boolean);

/** Whether a style sheet shows dots instead of the text. @param {Element} field */
const isMasked = (field) =>
  /disc|circle|square/.test(getComputedStyle(field).getPropertyValue("-webkit-text-security"));

/** "new_card-PIN" becomes "new card pin". @param {string} text */
const says = (text) => SECRET.test(text.replace(/[^\p{L}\d]+/gu, " ").toLowerCase());

/** "newCardPIN" becomes "new Card PIN". @param {string} text */
const split = (text) => text.replace(/[a-z\d](?=[A-Z])|[A-Z](?=[A-Z][a-z])/g, "$& ");

/** Whether a field has held a secret, or is called like one. @param {Element} field */
export const isSecret = (field) =>
  fields.has(field) ||
  isMasked(field) ||
  namesOf(field).some((name) => names.has(name)) ||
  /\bcc-/i.test(`${attribute(field, "autocomplete")}`) ||
  HINTS.map((name) => attribute(field, name) ?? "").some((text) => says(text) || says(split(text)));

/** @param {Element} field */
function remember(field) {
  fields.add(field);
  namesOf(field).forEach((name) => names.add(name));
}

/** @param {EventTarget} node */
function look(node) {
  if (fits(node, PASSWORD)) remember(/** @type {Element} */ (node));
  else if (node instanceof Node) queryAll(node, PASSWORD).forEach(remember);
}

/**
 * Remembers which fields have been passwords. A button may show one as text: by another type, or by
 * another field of the same name.
 * @param {Set<Element>} passwords those seen so far
 */
export function watchSecrets(passwords) {
  passwords.forEach(remember);
  look(document);

  const heed = guard((/** @type {MutationRecord[]} */ records) => {
    for (const { addedNodes, oldValue, target, type } of records) {
      if (oldValue?.toLowerCase() === "password") remember(/** @type {Element} */ (target));
      (type === "attributes" ? [target] : addedNodes).forEach(look);
    }
  });
  new MutationObserver(heed).observe(document, {
    childList: true,
    subtree: true,
    attributeFilter: ["type"],
    attributeOldValue: true,
  });

  // The observer does not see into shadow roots.
  for (const kind of ["pointerdown", "click", "focusin", "input"]) {
    listen(kind, (_, path) => {
      path.filter((node) => node instanceof ShadowRoot).forEach(look);
      const [field] = /** @type {Element[]} */ (path);
      if (isMasked(field)) remember(field);
    });
  }
}
