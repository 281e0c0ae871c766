import { defineConfig } from "vitest/config";

// unit needs nothing but Node; gateway and browser run the real binary, built once by their set-up.
export default defineConfig({
  test: {
    projects: [
      {
        resolve: { conditions: ["source"] },
        ssr: { resolve: { conditions: ["source", "node"] } },
        test: { name: "unit", include: ["{client,dashboard,testing}/src/**/*.test.ts"] },
      },
      {
        ssr: { resolve: { conditions: ["source", "node"] } },
        test: {
          name: "gateway",
          include: ["{client,examples/node}/test/**/*.test.ts"],
          globalSetup: ["testing/src/setup.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        ssr: { resolve: { conditions: ["source", "node"] } },
        test: {
          name: "browser",
          include: ["dashboard/test/**/*.test.ts", "testing/grpc-web/*.test.ts"],
          globalSetup: ["testing/src/setup.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
