// Uses the page as a person would, in the browser that is given; prints what it shows.
"use strict";

const { chromium } = require("playwright-core");

const [browser, url] = process.argv.slice(2);
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"];

async function main() {
  const running = await chromium.launch({ executablePath: browser, args: [...FLAGS, "--disable-sync"] });
  const page = await running.newPage();
  page.setDefaultTimeout(60_000);
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.goto(url);
  const said = async (words) => {
    await page.locator("output", { hasText: words }).waitFor();
    return page.locator("output").textContent();
  };
  const listed = await said("networks");

  await page.selectOption("select", "article-2-hidden");
  await page.fill("input[name=row]", "3, 5");
  await page.click("button");
  const traced = await said("version");
  const nodes = await page.locator("svg text").allTextContents();

  await page.fill("input[name=row]", "1, 2, 3");
  await page.click("button");
  const refused = await said("INVALID_ARGUMENT");
  await running.close();
  console.log(JSON.stringify({ listed, traced, nodes, refused, problems }));
}

main();
