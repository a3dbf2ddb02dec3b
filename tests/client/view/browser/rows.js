// Loads files of rows, finds the wrong ones, sorts them by a node; compares rows and versions.
"use strict";

const { run, node, outputs } = require("./opened.js");

run({
  async file(open, { path, network, node: [layer, index] }) {
    const page = await open(`#network=${network}`);
    await page.locator("svg.diagram").waitFor();
    await page.setInputFiles("input[type=file]", path);
    await page.locator("progress").waitFor({ state: "detached" });
    await page.locator(".summary").waitFor();
    const summary = await page.locator(".summary").textContent();
    await page.click(node(layer, index));
    await page.locator(".node-panel .quantiles").waitFor();
    const spread = await page.locator(".node-panel .quantiles td").allTextContents();
    await page.locator("label", { hasText: "Order" }).locator("select").selectOption("high");
    const column = page.locator("table.rows tbody tr td:last-child");
    const highest = await column.first().textContent();
    await page.getByLabel("only the wrong ones").check();
    const wrong = await page.locator("table.rows tbody tr").count();
    await page.getByLabel("only the wrong ones").uncheck();
    await page.getByLabel("Next row").click();
    return { summary, spread, highest, wrong, row: await page.locator(".stepper").textContent() };
  },

  // A file in which one row is rejected, dropped on the page.
  async drop(open, { file, text, network }) {
    const page = await open(`#network=${network}`);
    await page.locator("svg.diagram").waitFor();
    const files = await page.evaluateHandle(
      ([called, content]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([content], called));
        return transfer;
      },
      [file, text],
    );
    await page.dispatchEvent("main", "drop", { dataTransfer: files });
    await page.locator(".summary").waitFor();
    const cells = await page.locator("table.rows tbody tr").allTextContents();
    return { summary: await page.locator(".summary").textContent(), cells };
  },

  async compare(open, { network, version }) {
    const page = await open(`#network=${network}&row=[1,2]&tab=compare`);
    await page.locator("svg.diagram").waitFor();
    await page.getByLabel("or with version").selectOption(version);
    await page.locator("svg.diagram").nth(1).waitFor();
    const caption = await page.locator("#tab-panel caption").textContent();
    const marked = await page.locator("svg.diagram .differs").count();
    await page.click("#tab-versions");
    await page.locator("table", { hasText: "largest change" }).waitFor();
    const changes = await page.locator("#tab-panel").textContent();
    return { caption, marked, changes };
  },

  async twoRows(open) {
    const page = await open("#network=article-1-hidden&tab=compare");
    await outputs(page, "9");
    await page.getByRole("button", { name: "Keep this row" }).click();
    await page.getByText("Every node has the same value.").waitFor();
    await page.fill("#input-1", "4");
    await outputs(page, "10");
    const rows = await page.locator("#tab-panel tbody tr").allTextContents();
    await page.waitForFunction(() => decodeURIComponent(location.hash).includes("row=[2,4]"));
    const again = await open(new URL(page.url()).hash);
    await again.locator("svg.diagram").nth(1).waitFor();
    return { rows, headings: await again.locator(".pane h3").allTextContents() };
  },
});
