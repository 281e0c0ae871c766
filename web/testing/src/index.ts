export { launch } from "./browser.ts";
export { Broker, freePort, Gateway, produce, type RawPayment, sleep, type Written } from "./processes.ts";
