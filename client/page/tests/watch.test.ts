import { expect, test } from "vitest";
import { linesOf } from "../src/api/watch";

function stream(...pieces: string[]): ReadableStream<Uint8Array> {
  const bytes = pieces.map((piece) => Uint8Array.from([...piece].map((character) => character.charCodeAt(0))));
  return new ReadableStream({
    start(controller) {
      for (const piece of bytes) controller.enqueue(piece);
      controller.close();
    },
  });
}

test("lines are whole however the stream is cut; empty ones are passed over", async () => {
  const found: string[] = [];
  // "ü" in UTF-8 is cut in two.
  for await (const line of linesOf(stream('{"a"', ":1}\n\n\n{", '"b":"\xc3', '\xbc"}\n', "rest"))) found.push(line);
  expect(found).toEqual(['{"a":1}', '{"b":"ü"}']);
});
