// Chromium in a C locale, as in many a container, calls its language en-US@posix, which its own Intl
// refuses; and uPlot hands it over as it loads. Imported before uPlot, this gives a name that is one.
try {
  Intl.getCanonicalLocales(navigator.language);
} catch {
  Object.defineProperty(navigator, "language", { value: "en-US" });
}
