// What a node computes, beside the mouse.

import { markOf } from "../network/marks";
import { activationInWords, sumInWords, sumOf } from "../network/sums";
import { usualInWords } from "../network/usual";
import { percentileAt } from "../network/values";
import { INPUTS, layerName } from "../network/version";
import type { Layout } from "../picture/layout";
import type { Place } from "../picture/walk";
import type { Traced } from "../state/store";

const WIDTH = 280;
type Four = [number, number, number, number];

interface TooltipProps {
  traced: Traced;
  place: Place;
  layout: Layout;
  scale: number;
}

export function Tooltip({ traced: { version, values }, place, layout, scale }: TooltipProps) {
  const block = layout.blocks.find(({ layer }) => layer === place.layer);
  const point = block?.nodes[place.node];
  if (block === undefined || point === undefined) return null;
  const sum = sumOf(version, values, place.layer, place.node);
  const mark = place.layer === INPUTS ? "" : markOf(sum.activation, sum.before, sum.value);
  const usual = usualInWords(percentileAt(values, place.layer, place.node), values.percentiles?.rows ?? 0);
  const [x, y, width, height] = [point.x, point.y, layout.width, layout.height].map((length) => length * scale) as Four;
  const left = Math.max(0, Math.min(x - WIDTH / 2, width - WIDTH));
  const distance = block.half.y * scale + 10;
  const top = y > height / 2 ? { bottom: `${height - y + distance}px` } : { top: `${y + distance}px` };
  return (
    <div class="tooltip" role="status" style={{ left: `${left}px`, width: `${WIDTH}px`, ...top }}>
      <strong>{sum.name}</strong> <span class="muted">{layerName(version, place.layer)}</span>
      <p class="sum">{sumInWords(sum, { terms: 4 })}</p>
      {activationInWords(sum) && <p class="sum">{activationInWords(sum)}</p>}
      {usual && <p class="note">{usual}</p>}
      {mark === "dead" && <p class="note">Dead for this row: it passes nothing on.</p>}
      {mark === "saturated" && <p class="note">Saturated: at the end of what {sum.activation} can return.</p>}
    </div>
  );
}
