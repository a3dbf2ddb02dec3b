// Opens the page in the browser that is given, and keeps whatever it should not do.
"use strict";

const { readFileSync } = require("node:fs");
const { chromium } = require("playwright-core");

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"];
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// Run a scenario with the arguments after the browser's path; print the JSON of what it returns, and the problems.
async function run(scenarios) {
  const [binary, url, name, argument = "null"] = process.argv.slice(2);
  const browser = await chromium.launch({ executablePath: binary, args: [...FLAGS, "--disable-sync"] });
  const problems = [];
  try {
    const open = (address = "", options = {}) => opened(browser, url, address, options, problems);
    const found = await scenarios[name](open, JSON.parse(argument));
    console.log(JSON.stringify({ ...found, problems }));
  } finally {
    await browser.close();
  }
}

async function opened(browser, url, address, options, problems) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") problems.push(`${message.text()} ${message.location().url}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !/^(blob|data):/.test(request.url())) problems.push(`request to ${request.url()}`);
  });
  await page.goto(`${url}${address}`);
  return page;
}

const node = (layer, index) => `svg.diagram [data-layer="${layer}"][data-node="${index}"]`;

// Wait until the outputs read as they should.
async function outputs(page, words) {
  await page.locator(".results", { hasText: words }).first().waitFor();
}

// The rules of axe that the page breaks, each with the elements.
async function violations(page) {
  await page.evaluate(AXE);
  const { violations: found } = await page.evaluate(() => globalThis.axe.run());
  return found.map(({ id, nodes }) => `${id}: ${nodes.map((each) => each.html.slice(0, 120)).join(" | ")}`);
}

module.exports = { run, node, outputs, violations };
