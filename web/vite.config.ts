import { defineConfig } from "vitest/config";

export default defineConfig({
  // The page may be served below a path.
  base: "./",
  build: {
    target: "es2023",
    // The page's policy allows no inline scripts and no data in addresses.
    assetsInlineLimit: 0,
    // Parts of the page are small: loading their styles with the page needs less than loading them one by one.
    cssCodeSplit: false,
    modulePreload: false,
  },
  // The table of platforms is outside of this folder: the service reads it too.
  server: { fs: { allow: [".."] }, proxy: proxied() },
  test: {
    include: ["tests/**/*.test.ts"],
    // The tests are pure: they need no process and no globals of their own.
    pool: "threads",
    isolate: false,
  },
});

/** For `npm run dev`: what the functions answer at BASE_URL, the address that `make run` prints. */
function proxied(): Record<string, object> {
  const { BASE_URL } = process.env;
  if (!BASE_URL) return {};
  const { origin, pathname } = new URL(BASE_URL);
  const path = pathname.replace(/\/$/, "");
  const target = { target: origin, rewrite: (found: string) => path + found };
  return { "/api": target, "/config.json": target };
}
