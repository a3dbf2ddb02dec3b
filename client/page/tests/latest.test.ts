import { expect, test } from "vitest";
import { Latest } from "../src/state/latest";

test("one runs at a time, and the last one wins", async () => {
  const latest = new Latest();
  const done: number[] = [];
  let running = 0;
  const finished = new Promise<void>((resolve) => {
    for (let index = 0; index < 10; index++) {
      latest.run(async () => {
        running += 1;
        expect(running).toBe(1);
        await Promise.resolve();
        done.push(index);
        running -= 1;
        if (index === 9) resolve();
      });
    }
  });
  await finished;
  expect(done).toEqual([0, 9]);
});
