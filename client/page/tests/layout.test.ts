import { expect, test } from "vitest";
import { type Block, type Layout, layoutOf, TITLE_HEIGHT } from "../src/picture/layout";
import { pathsIn } from "../src/picture/paths";
import { ARTICLE, chance, randomNetwork } from "./networks";

const arrangement = (random: () => number) => randomNetwork(random, { isWeighted: false });

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

function boxOf(block: Block): Box {
  return { left: block.x, right: block.x + block.width, top: block.y - TITLE_HEIGHT, bottom: block.y + block.height };
}

function overlap(one: Box, other: Box): boolean {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}

function isInside(layout: Layout, box: Box): boolean {
  return box.left >= 0 && box.top >= 0 && box.right <= layout.width && box.bottom <= layout.height;
}

const SEEDS = Array.from({ length: 150 }, (_, seed) => seed);

test("nothing overlaps, all is inside, and every layer is right of what it reads", () => {
  for (const seed of SEEDS) {
    const random = chance(seed);
    const version = arrangement(random);
    const layout = layoutOf(version, 340 + 1000 * random());
    const boxes = layout.blocks.map(boxOf);
    expect(layout.blocks.length).toBe(version.layers.length + 1);
    boxes.forEach((box, index) => {
      expect(isInside(layout, box), `seed ${seed}`).toBe(true);
      for (const other of boxes.slice(index + 1)) expect(overlap(box, other), `seed ${seed}`).toBe(false);
    });
    const rightOf = new Map(layout.blocks.map((block) => [block.layer, block.x + block.width]));
    for (const block of layout.blocks) {
      for (const source of version.layers[block.layer]?.sources ?? []) {
        expect(rightOf.get(source.layer)).toBeLessThanOrEqual(block.x);
      }
    }
  }
});

test("nodes stand apart, inside their block", () => {
  for (const seed of SEEDS) {
    const layout = layoutOf(arrangement(chance(seed)), 800);
    for (const { nodes, half, x, y, width, height } of layout.blocks) {
      const places = new Set(nodes.map((node) => `${node.x}/${node.y}`));
      expect(places.size).toBe(nodes.length);
      const isRight = nodes.every((node, index) => {
        const isInside = node.x - half.x >= x - 1e-9 && node.x + half.x <= x + width + 1e-9;
        const isBetween = node.y - half.y >= y - 1e-9 && node.y + half.y <= y + height;
        const next = nodes[index + 1] ?? { x: Infinity, y: Infinity };
        return isInside && isBetween && (Math.abs(next.x - node.x) >= 2 * half.x || Math.abs(next.y - node.y) >= 2 * half.y);
      });
      expect(isRight, `seed ${seed}`).toBe(true);
    }
  }
});

test("edges that skip layers pass beside them", () => {
  let skips = 0;
  for (const seed of SEEDS) {
    const version = arrangement(chance(seed));
    const layout = layoutOf(version, 900);
    for (const [key, lane] of layout.lanes) {
      skips += 1;
      for (const box of layout.blocks.map(boxOf)) {
        const hits = lane.left.x < box.right && lane.right.x > box.left && lane.left.y > box.top && lane.left.y < box.bottom;
        expect(hits, `seed ${seed}, lane ${key}`).toBe(false);
      }
    }
  }
  expect(skips).toBeGreaterThan(20);
});

test("a path goes from the right of its source to the left of its target", () => {
  const layout = layoutOf(ARTICLE, 700);
  const path = pathsIn(layout)({ from: { layer: -1, node: 0 }, to: { layer: 0, node: 1 }, weight: 1, amount: 1, strength: 1 });
  const [from, to] = [layout.blocks[0], layout.blocks[1]];
  const [start, end] = [from?.nodes[0], to?.nodes[1]];
  expect(path.startsWith(`M${(start?.x ?? 0) + (from?.half.x ?? 0)},${start?.y}`)).toBe(true);
  expect(path.endsWith(`${(end?.x ?? 0) - (to?.half.x ?? 0)},${end?.y}`)).toBe(true);
});

test("the article's network fits a phone and shows its sums", () => {
  const layout = layoutOf(ARTICLE, 340);
  expect(layout.width).toBeLessThanOrEqual(340);
  expect(layout.isDetailed).toBe(true);
});
