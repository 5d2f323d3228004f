import { init } from "@plausible-analytics/tracker";

init({ domain: "localhost", endpoint: "/plausible", captureOnLocalhost: true });
