// Judges the page by axe, in every tab, light and dark, on a desk and on a phone; keeps screenshots.
"use strict";

const { join } = require("node:path");
const { run, node, violations } = require("./opened.js");

const VIEWPORTS = { desk: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const TABS = ["rows", "compare", "versions", "table", "take"];

run({
  async axe(open, { network, rows, folder }) {
    const found = [];
    for (const [size, viewport] of Object.entries(VIEWPORTS)) {
      for (const colorScheme of ["light", "dark"]) {
        const page = await open(`#network=${network}`, { viewport, colorScheme });
        await page.locator("svg.diagram").waitFor();
        await page.setInputFiles("input[type=file]", rows);
        await page.locator("table.rows").waitFor();
        await page.click(node(0, 0));
        for (const tab of TABS) {
          await page.click(`#tab-${tab}`);
          if (tab === "compare") await page.getByRole("button", { name: "Keep this row" }).click();
          await page.waitForFunction(() => document.querySelectorAll("#tab-panel > *").length > 0);
          for (const violation of await violations(page)) found.push(`${size}, ${colorScheme}, ${tab}: ${violation}`);
        }
        if (folder) await page.screenshot({ path: join(folder, `${size}-${colorScheme}.png`), fullPage: true });
        await page.context().close();
      }
    }
    return { found };
  },

  // The pictures of docs/how-to/view.md.
  async pictures(open, { folder, rows, network }) {
    const keep = (page, name, fullPage = false) => page.screenshot({ path: join(folder, `${name}.png`), fullPage });
    const settled = (page) => page.waitForTimeout(1_000);
    for (const [size, viewport] of Object.entries(VIEWPORTS)) {
      const page = await open("#network=article-2-hidden", { viewport });
      await page.locator(node(0, 0), { hasText: "26" }).waitFor();
      await settled(page);
      await keep(page, size);
    }
    const page = await open(`#network=${network}`);
    await page.locator("svg.diagram").waitFor();
    await page.setInputFiles("input[type=file]", rows);
    await page.locator("progress").waitFor({ state: "detached" });
    await page.locator("label", { hasText: "Order" }).locator("select").selectOption("error");
    await page.locator("table.rows tbody button").first().click();
    await page.click(node(1, 1));
    await page.locator(".node-panel .quantiles").waitFor();
    await page.mouse.move(0, 0);
    await settled(page);
    await keep(page, "rows", true);
    const dark = await open("#network=article-2-hidden&tab=compare&with_row=[3,5]&row=[1,6]", { colorScheme: "dark" });
    await dark.locator("svg.diagram").nth(1).waitFor();
    await settled(dark);
    await keep(dark, "compare");
    return {};
  },

  // Whatever is wider than the page: nothing, on a desk and on a phone.
  async width(open, { networks }) {
    const found = [];
    for (const network of networks) {
      for (const [size, viewport] of Object.entries(VIEWPORTS)) {
        const page = await open(`#network=${network}`, { viewport });
        await page.locator("svg.diagram").waitFor();
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        if (width > viewport.width) found.push(`${network}, ${size}: ${width}`);
        await page.context().close();
      }
    }
    return { found };
  },
});
