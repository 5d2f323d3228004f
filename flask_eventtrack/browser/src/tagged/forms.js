import { idOf, isSkipped, onPath, send, tag, typed } from "./elements.js";
import { ask, attribute, fits, get, guard, listen } from "./kit.js";
import { isSecret } from "./secrets.js";

// A form with an action of its own has no built-in events.
const FORMS = 'form[data-eventtrack=""],form[data-eventtrack="form.submit"]';
const AWAY = 60000; // ms: who is away for longer has left the form
const FIELDS = "[data-eventtrack-field]:not(:disabled, [type=password], [type=file])";

/** @type {Map<Element, string | null | 0>} forms begun, and the field changed last; 0 once sent or left */
const begun = new Map();

/** @param {any} field @returns {unknown[]} */
function valuesOf({ type, value, checked, selectedOptions }) {
  if (/checkbox|radio/.test(type)) return checked ? [value] : [];
  if (selectedOptions) return [...selectedOptions].map((option) => option.value);
  return [/number|range/.test(type) ? typed(value) : `${value}`.slice(0, 500)];
}

/**
 * The submission of a form with `data-eventtrack`: its tagged fields.
 * @param {any} form
 */
export function submit(form) {
  if (tag(form, "") === null) return;
  begun.set(form, 0);
  /** @param {Element} field */
  const isRead = (field) =>
    fits(field, FIELDS) &&
    !isSkipped(field) &&
    !isSecret(field);
  const groups = Object.create(null);
  // A form's own `elements` may be a field.
  for (const field of [...get(HTMLFormElement.prototype, "elements", form)].filter(isRead)) {
    const name = tag(field, "-field") || attribute(field, "name");
    if (name) (groups[name] ??= []).push(field);
  }
  for (const name in groups) {
    const [{ type, checked, multiple }, other] = groups[name];
    const values = groups[name].flatMap(valuesOf);
    const isList = multiple || (other && type !== "radio");
    groups[name] = isList ? values : type === "checkbox" ? checked : values[0];
  }
  send(form, "", "form.submit", { form: idOf(form) }, groups);
}

/**
 * Forms that are begun, and those that are left without being sent.
 * @returns {import("./elements.js").Turn}
 */
export function watchForms() {
  let timer = 0;

  /** @param {string} action @param {Element} form @param {object} [more] */
  const tell = (action, form, more) =>
    send(form, `-${action}`, action, { form: idOf(form), ...more });

  /** @param {Event} _ @param {import("./elements.js").Path} path */
  const change = (_, path) => {
    const [field] = /** @type {any[]} */ (path);
    const [form] = onPath([field.form, ...path], FORMS);
    if (!form || isSkipped(field)) return;
    if (!begun.has(form)) tell("form.start", form);
    if (begun.get(form) !== 0) {
      begun.set(form, isSecret(field) ? null : attribute(field, "name") || attribute(field, "id"));
    }
  };
  const leave = () =>
    begun.forEach((field, form) => {
      if (field !== 0) tell("form.abandon", form, { field });
      begun.set(form, 0);
    });

  listen("input", change);
  listen("change", change);
  listen("pagehide", leave);
  return (isOther) => {
    clearTimeout(timer);
    if (isOther) {
      leave();
      begun.clear();
    } else if (ask("hidden")) timer = setTimeout(guard(leave), AWAY);
  };
}
