// From node to node by the arrow keys.

import type { Layout } from "./layout";

export interface Place {
  readonly layer: number;
  readonly node: number;
}

type Step = (layout: Layout, place: Place) => Place | undefined;

const STEPS: Record<string, Step> = {
  ArrowUp: (layout, place) => inLayer(layout, place, place.node - 1),
  ArrowDown: (layout, place) => inLayer(layout, place, place.node + 1),
  Home: (layout, place) => inLayer(layout, place, 0),
  End: (layout, place) => inLayer(layout, place, count(layout, place.layer) - 1),
  ArrowLeft: (layout, place) => beside(layout, place, -1),
  ArrowRight: (layout, place) => beside(layout, place, 1),
};

/** Return the node to which a key leads, or undefined where it leads nowhere. */
export function nextNode(layout: Layout, place: Place, key: string): Place | undefined {
  return STEPS[key]?.(layout, place);
}

function count(layout: Layout, layer: number): number {
  return layout.blocks.find((block) => block.layer === layer)?.nodes.length ?? 0;
}

function inLayer(layout: Layout, { layer }: Place, node: number): Place | undefined {
  return node >= 0 && node < count(layout, layer) ? { layer, node } : undefined;
}

/** Return the node at the same relative height of the block before or after. */
function beside(layout: Layout, place: Place, step: number): Place | undefined {
  const index = layout.blocks.findIndex((block) => block.layer === place.layer);
  const block = layout.blocks[index + step];
  if (block === undefined) return undefined;
  const share = place.node / Math.max(1, count(layout, place.layer) - 1);
  return { layer: block.layer, node: Math.round(share * (block.nodes.length - 1)) };
}
