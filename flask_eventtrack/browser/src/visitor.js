import { hooks } from "./core.js";
import { settings } from "./tag.js";

/** @param {string} name */
const readCookie = (name) => {
  try {
    return (`; ${document.cookie}`.split(`; eventtrack_${name}=`)[1] || "").split(";")[0];
  } catch (_) {
    return ""; // a sandboxed frame has no cookies
  }
};

export const csrfToken = () => readCookie("csrf");

let epoch = "";

/** Whose events these are: another value after each log-in and log-out. "": not known yet. */
export const readEpoch = () => (epoch = csrfToken().split(".")[0] || epoch);

const { globalPrivacyControl, doNotTrack } = /** @type {any} */ (navigator);
const signal = globalPrivacyControl || doNotTrack > 0 ? settings.gpc : "ignore";

/** Whether the visitor's policy forbids events. */
export const isRefused = () =>
  !/^(full|ignore)$/.test(
    `${hooks.chosen || readCookie("consent") || settings.policy || signal}`,
  );
