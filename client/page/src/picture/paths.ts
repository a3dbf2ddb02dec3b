// The lines of edges: curves from node to node, through the lanes of the columns that they pass.

import { linkHorizontal } from "d3-shape";
import type { Edge } from "./edges";
import { type Block, type Layout, laneKey, type Point } from "./layout";

const curve = linkHorizontal<unknown, Point>()
  .x((point) => point.x)
  .y((point) => point.y);

export type PathOf = (edge: Edge) => string;

/** Return what gives the path of an edge in a layout. */
export function pathsIn(layout: Layout): PathOf {
  const blocks = new Map(layout.blocks.map((block) => [block.layer, block]));
  return (edge) => {
    const points = stops(layout, blocks, edge);
    const parts: string[] = [];
    for (let index = 0; index + 1 < points.length; index += 2) {
      const [source, target] = [points[index], points[index + 1]];
      if (source === undefined || target === undefined) continue;
      const path = curve({ source, target }) ?? "";
      // Between two lanes the line goes on where it is.
      parts.push(index === 0 ? path : `L${source.x},${source.y}${path.slice(path.indexOf("C"))}`);
    }
    return parts.join("");
  };
}

/** Return where a curve has a weight's label: near its source, where curves to one node have not met yet. */
export function labelPoint(layout: Layout, edge: Edge): Point | undefined {
  const blocks = new Map(layout.blocks.map((block) => [block.layer, block]));
  const [source, target] = stops(layout, blocks, edge);
  if (source === undefined || target === undefined) return undefined;
  const t = 0.3;
  // A cubic with its inner points at half the way across, as linkHorizontal draws it.
  const middle = (source.x + target.x) / 2;
  const [a, b, c, d] = [(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t ** 2, t ** 3];
  return { x: a * source.x + (b + c) * middle + d * target.x, y: (a + b) * source.y + (c + d) * target.y };
}

function stops(layout: Layout, blocks: ReadonlyMap<number, Block>, edge: Edge): Point[] {
  const [from, to] = [blocks.get(edge.from.layer), blocks.get(edge.to.layer)];
  const [source, target] = [from?.nodes[edge.from.node], to?.nodes[edge.to.node]];
  if (from === undefined || to === undefined || source === undefined || target === undefined) return [];
  const points = [{ x: source.x + from.half.x, y: source.y }];
  const [first, last] = [layout.columnOf.get(from.layer) ?? 0, layout.columnOf.get(to.layer) ?? 0];
  for (let column = first + 1; column < last; column++) {
    const lane = layout.lanes.get(laneKey(from.layer, column));
    if (lane !== undefined) points.push(lane.left, lane.right);
  }
  points.push({ x: target.x - to.half.x, y: target.y });
  return points;
}
