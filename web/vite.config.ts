import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    // The tests are pure: they need no process and no globals of their own.
    pool: "threads",
    isolate: false,
  },
});
