// Makes one file of the benchmark and the model, which Node runs.

import { defineConfig } from "vite";

export default defineConfig({
  logLevel: "warn",
  build: { ssr: "bench/model.ts", outDir: "node_modules/.cache/bench", minify: false },
});
