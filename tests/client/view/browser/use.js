// Uses the page as a person would: picks a network, drags, points, walks by keyboard, follows a link.
"use strict";

const { run, node, outputs } = require("./opened.js");

run({
  // Pick a network, change a value, point at a node; then open the link of what one sees.
  async pick(open) {
    const page = await open();
    await outputs(page, "182");
    const networks = await page.locator("header select").first().locator("option").allTextContents();
    await page.selectOption("header select >> nth=0", "article-1-hidden");
    await outputs(page, "9");
    await page.hover(node(0, 0));
    const tooltip = await page.locator(".tooltip").textContent();
    await page.fill("#input-0", "4");
    await outputs(page, "14");
    await page.locator("input[type=range]").nth(1).focus();
    await page.keyboard.press("ArrowRight");
    await outputs(page, "16");
    await page.click(node(0, 1));
    const panel = await page.locator(".node-panel").textContent();
    await page.waitForFunction(() => location.hash.includes("node="));
    const tokenButtons = await page.locator(".token-button").count();
    const link = page.url();
    const again = await open(link.slice(link.indexOf("#")));
    await outputs(again, "16");
    const panelAgain = await again.locator(".node-panel").textContent();
    return { networks, tooltip, panel, panelAgain, link, tokenButtons };
  },

  // Follow a link to a network that is gone; then pick another.
  async nowhere(open) {
    const page = await open("#network=nobody");
    const error = await page.getByRole("alert").textContent();
    const instead = await page.locator(".empty p").textContent();
    await page.selectOption("header select >> nth=0", "article-1-hidden");
    await outputs(page, "9");
    const baseline = await page.locator(".shares .total th").first().textContent();
    return { error, instead, baseline, alerts: await page.getByRole("alert").count() };
  },

  // Follow links whose rows do not fit; then change the row.
  async misfit(open, { row }) {
    const page = await open(`#network=article-1-hidden&row=${row}`);
    const notice = await page.locator("main > [role=status]").textContent();
    await page.getByRole("button", { name: "Reset" }).click();
    await page.getByText(notice).waitFor({ state: "detached" });
    return { notice };
  },

  // Follow links to nodes.
  async nodes(open, { network, row, nodes }) {
    const panels = [];
    for (const place of nodes) {
      const page = await open(`#network=${network}&row=${JSON.stringify(row)}&node=${JSON.stringify(place)}`);
      await page.locator("#node-heading", { hasText: place[1] }).waitFor();
      panels.push(await page.locator(".node-panel").textContent());
    }
    return { panels };
  },

  // See why a row has its class.
  async classes(open, { network }) {
    const page = await open(`#network=${network}`);
    return { heading: await page.locator("#shares-heading").textContent() };
  },

  // Walk from node to node and from tab to tab without a mouse.
  async keyboard(open) {
    const page = await open("#network=article-1-hidden");
    await outputs(page, "9");
    await page.locator(node(-1, 0)).focus();
    for (const key of ["ArrowDown", "ArrowRight", "ArrowUp"]) await page.keyboard.press(key);
    const tooltip = await page.locator(".tooltip").textContent();
    await page.keyboard.press("Escape");
    const isHidden = (await page.locator(".tooltip").count()) === 0;
    await page.keyboard.press("Enter");
    const heading = await page.locator("#node-heading").textContent();
    await page.locator("#tab-rows").focus();
    await page.keyboard.press("ArrowRight");
    const tab = await page.locator("[role=tab][aria-selected=true]").textContent();
    return { tooltip, isHidden, heading, tab };
  },

  // Play the pass to its end.
  async play(open) {
    const page = await open("#network=article-2-hidden");
    await outputs(page, "182");
    await page.getByRole("button", { name: "Play the pass" }).click();
    const said = [];
    for (const words of ["The inputs", "hidden_0", "hidden_1", "output"]) {
      await page.locator(".play [role=status]", { hasText: words }).waitFor();
      said.push(await page.locator(".play [role=status]").textContent());
    }
    await page.getByRole("button", { name: "Play the pass" }).waitFor();
    return { said, later: await page.locator("svg.diagram .later").count() };
  },

  // Choose categories, what is unknown and what is missing; leave a range.
  async features(open) {
    const page = await open("#network=insurance");
    await page.fill("#input-0", "55");
    await page.selectOption("#input-2", { label: "south" });
    await page.selectOption("#input-3", { label: "yes" });
    await page.fill("#input-1", "32");
    await outputs(page, "7250");
    await page.locator(".shares .total", { hasText: "7250" }).waitFor();
    const shares = await page.locator(".shares tbody tr").allTextContents();
    await page.fill("#input-1", "70");
    const warning = await page.locator(".results .warn").textContent();
    await page.check(".missing input");
    await page.locator(".results .warn").waitFor({ state: "detached" });
    const missing = await page.locator(".results dd").textContent();
    await page.selectOption("#input-2", { label: "any other (taken as no value)" });
    await page.waitForFunction((before) => document.querySelector(".results dd").textContent !== before, missing);
    const unknown = await page.locator(".results dd").textContent();
    return { shares, warning, missing, unknown, names: await page.locator("svg.diagram .value").allTextContents() };
  },

  // Look at how usual a value is, by the version's profile.
  async usual(open, { network, value, unusual }) {
    const page = await open(`#network=${network}`);
    await page.locator("svg.diagram").waitFor();
    await page.fill("#input-0", value);
    await page.click(node(-1, 0));
    await page.locator(".node-panel .note", { hasText: "of the profile" }).waitFor();
    const words = await page.locator(".node-panel .note", { hasText: "of the profile" }).textContent();
    await page.fill("#input-0", unusual);
    await page.locator(".node-panel .odd").waitFor();
    const odd = await page.locator(".node-panel .odd").textContent();
    return { words, odd, marked: await page.locator("svg.diagram .unusual").count() };
  },

  // Wait for a version that is registered meanwhile; the first line that is printed says that the page is there.
  async live(open, { network, words }) {
    const page = await open(`#network=${network}`);
    await page.locator("svg.diagram").waitFor();
    require("node:fs").writeFileSync(words.file, "");
    await outputs(page, words.after);
    return { version: await page.locator("header select").nth(1).locator("option").first().textContent() };
  },

  // A name that is markup is shown as it is.
  async hostile(open, { network }) {
    const page = await open(`#network=${network}`);
    await page.locator("svg.diagram .node").first().waitFor();
    const isTouched = await page.evaluate(() => "touched" in globalThis);
    return { isTouched, labels: await page.locator(".field > label").allTextContents(), output: await page.locator(".results dt").textContent() };
  },

  // Ask for a token; see outputs with one scope, and everything with another.
  async tokens(open, { few, all }) {
    const page = await open();
    await page.locator("input[name=token]").waitFor();
    const use = async (token) => {
      await page.fill("input[name=token]", token);
      await page.click("form.token button");
    };
    await use("wrong");
    const refused = await page.locator("[role=alert]").textContent();
    await use(few);
    await outputs(page, "182");
    const limited = await page.locator(".picture > .note").textContent();
    await page.click(".token-button");
    await use(all);
    await page.locator(".picture > .note").waitFor({ state: "detached" });
    await page.locator(node(0, 0), { hasText: "26" }).waitFor();
    const stored = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie, location.href]);
    return { refused, limited, stored };
  },
});
