import { attribute } from "../quiet.js";
import { idOf, send, tag, typed } from "./elements.js";

const { getRootNode } = Node.prototype;

const FIELDS =
  "[data-eventtrack-field]:not(:disabled, [type=password], [type=file], [autocomplete*=password], [autocomplete*=cc-])";

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
  const root = getRootNode.call(form);
  /** @type {any[]} a form's own `elements` may be a field */
  const fields = [.../** @type {Document} */ (root).querySelectorAll(FIELDS)];
  const groups = Object.create(null);
  for (const field of fields) {
    const name = tag(field, "-field") || attribute(field, "name");
    if (field.form === form && name) (groups[name] ??= []).push(field);
  }
  for (const name in groups) {
    const [{ type, checked, multiple }, other] = groups[name];
    const values = groups[name].flatMap(valuesOf);
    const isList = multiple || (other && type !== "radio");
    groups[name] = isList ? values : type === "checkbox" ? checked : values[0];
  }
  send(core, form, "", "form.submit", { form: idOf(form) }, groups);
}
