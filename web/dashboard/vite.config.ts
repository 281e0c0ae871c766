import { defineConfig } from "vite";

// `npm run dev -w dashboard` serves the sources, with a gateway at its usual address behind them.
const gateway = "http://127.0.0.1:50051";

const proxy = { "/payment.PaymentService": gateway, "/payments": gateway, "/healthz": gateway };

export default defineConfig({
  root: import.meta.dirname,
  resolve: { conditions: ["source", "module", "browser"] },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { proxy },
  preview: { proxy },
});
