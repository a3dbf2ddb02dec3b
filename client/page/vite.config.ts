import { defineConfig } from "vite";

export default defineConfig({
  // Relative, so that the page also works behind a prefix.
  base: "./",
  build: {
    outDir: "../forwardpass/view/static",
    emptyOutDir: true,
    // The content security policy of the server allows no data: scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  // `npm run dev` takes the networks from a server with `--view-listen 127.0.0.1:8080`.
  server: { proxy: { "/v1": "http://127.0.0.1:8080", "/config.json": "http://127.0.0.1:8080" } },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
});
