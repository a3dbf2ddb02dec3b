// Takes along what the page offers: a picture, the numbers, the Python. The files go into a given folder.
"use strict";

const { join } = require("node:path");
const { run, outputs } = require("./opened.js");

run({
  async files(open, { network, folder, words, kinds }) {
    const page = await open(`#network=${network}&tab=take`);
    await outputs(page, words);
    const saved = {};
    for (const kind of kinds) {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: kind, exact: true }).click(),
      ]);
      saved[kind] = join(folder, download.suggestedFilename());
      await download.saveAs(saved[kind]);
    }
    return { saved };
  },
});
