// Drags a slider, and measures how often the picture changes and how long each change takes.
"use strict";

const { run } = require("./opened.js");

run({
  async measure(open, { network, seconds }) {
    const page = await open(`#network=${network}`);
    await page.locator("svg.diagram .node").first().waitFor();
    const measured = await page.evaluate(async (milliseconds) => {
      const slider = document.querySelector("input[type=range]");
      const shown = document.querySelector("svg.diagram");
      const delays = [];
      let moved = 0;
      const observer = new MutationObserver(() => {
        if (moved) delays.push(performance.now() - moved);
        moved = 0;
      });
      observer.observe(shown, { subtree: true, attributes: true, characterData: true });
      const [low, high] = [Number(slider.min), Number(slider.max)];
      const start = performance.now();
      let moves = 0;
      for (let now = start; now - start < milliseconds; now = performance.now()) {
        const share = ((now - start) / milliseconds) * 0.9 + 0.05;
        slider.value = String(low + share * (high - low));
        moved ||= performance.now();
        moves += 1;
        slider.dispatchEvent(new InputEvent("input", { bubbles: true }));
        await new Promise(requestAnimationFrame);
      }
      const took = performance.now() - start;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      observer.disconnect();
      delays.sort((one, other) => one - other);
      const at = (part) => delays[Math.min(delays.length - 1, Math.floor(part * delays.length))];
      const value = Number(document.querySelector("#input-0").value);
      return { moves, updates: delays.length, seconds: took / 1_000, median: at(0.5), p95: at(0.95), value };
    }, seconds * 1_000);
    return { ...measured, output: await page.locator(".results dd").first().textContent() };
  },
});
