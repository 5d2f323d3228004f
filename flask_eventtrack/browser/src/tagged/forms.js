import { get } from "../natives.js";
import { attribute } from "../quiet.js";
import { idOf, isSkipped, send, tag, typed } from "./elements.js";
import { isSecret } from "./secrets.js";

const { matches } = Element.prototype;

const FIELDS = "[data-eventtrack-field]:not(:disabled, [type=password], [type=file])";

/** @param {any} field @returns {unknown[]} */
function valuesOf({ type, value, checked, selectedOptions }) {
  if (/checkbox|radio/.test(type)) return checked ? [value] : [];
  if (selectedOptions) return [...selectedOptions].map((option) => option.value);
  return [/number|range/.test(type) ? typed(value) : `${value}`.slice(0, 500)];
}

/**
 * The submission of a form with `data-eventtrack`: its tagged fields.
 * @param {import("./elements.js").Core} core
 * @param {any} form
 */
export function submit(core, form) {
  if (tag(form, "") === null) return;
  /** @param {Element} field */
  const isRead = (field) =>
    matches.call(field, FIELDS) &&
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
  send(core, form, "", "form.submit", { form: idOf(form) }, groups);
}
