// The nodes of a layer: circles where there are few, else a strip of cells.

import { cellInShort } from "../api/rows";
import { markOf } from "../network/marks";
import { compact, short } from "../network/numbers";
import { activationInWords, sumInWords, sumOf } from "../network/sums";
import { isUnusual } from "../network/usual";
import { percentileAt, type Values, valueAt } from "../network/values";
import { INPUTS, nodeName } from "../network/version";
import { type DiagramProps, isLater } from "./Diagram";
import { type Block, LINE, STRONGEST } from "./layout";
import { cut, isSame, signOf } from "./looks";
import type { Place } from "./walk";

const MAX_BUTTONS = 64;

export type BlockProps = DiagramProps & { block: Block; focused: Place };

export function BlockOfNodes(props: BlockProps) {
  const { block, layout } = props;
  const middle =
    block.labels === "left"
      ? block.x + block.width - block.half.x
      : block.labels === "right"
        ? block.x + block.half.x
        : block.x + block.width / 2;
  const anchor = block.labels === "left" ? "end" : block.labels === "right" ? "start" : "";
  const edge =
    block.labels === "left" ? middle + block.half.x : block.labels === "right" ? middle - block.half.x : middle;
  return (
    <g class={isLater(props, block.layer) ? "later" : ""}>
      <text class={`title ${anchor}`} x={edge} y={block.y - 28}>
        {cut(block.title, Math.max(block.width, 80), 7.5)}
      </text>
      <text class={`subtitle ${anchor}`} x={edge} y={block.y - 13}>
        {cut(block.subtitle, layout.isNarrow ? block.width + 6 : Math.max(block.width, 96), 6)}
      </text>
      {block.form === "circles" ? circles(props) : strip(props)}
    </g>
  );
}

/** The largest size of a finite value in a layer, by which tints are scaled. */
function largestOf(block: Block, values: Values): number {
  let largest = 0;
  for (let node = 0; node < block.nodes.length; node++) {
    const size = Math.abs(valueAt(values, block.layer, node));
    if (Number.isFinite(size)) largest = Math.max(largest, size);
  }
  return largest || 1;
}

interface Look {
  readonly place: Place;
  readonly name: string;
  readonly value: number;
  readonly text: string;
  readonly share: number;
  readonly classes: string;
  readonly mark: string;
}

function lookOf(
  { version, values, row, selected, differs, block }: BlockProps,
  node: number,
  largest: number,
  digits = 4,
): Look {
  const { layer } = block;
  const place = { layer, node };
  const value = valueAt(values, layer, node);
  const mark =
    layer === INPUTS ? "" : markOf(version.layers[layer]?.activation ?? "", values.before[layer]?.[node] ?? 0, value);
  const isOdd = isUnusual(percentileAt(values, layer, node));
  const classes = [
    signOf(value),
    mark,
    differs?.(place) ? "differs" : isOdd ? "unusual" : "",
    isSame(place, selected) ? "selected" : "",
  ];
  return {
    place,
    name: nodeName(version, layer, node),
    value,
    text:
      layer === INPUTS
        ? cellInShort(version.features[node], row[node] ?? null, digits)
        : Number.isNaN(value)
          ? ""
          : compact(value, digits, 6),
    share: Number.isFinite(value) ? Math.min(1, Math.abs(value) / largest) : 0,
    classes: classes.filter(Boolean).join(" "),
    mark,
  };
}

/** What makes a node a button. Its name is the text inside; `label` names one that has none. */
function buttonOf(look: Look, { focused, selected }: BlockProps, label?: string) {
  return {
    "data-layer": look.place.layer,
    "data-node": look.place.node,
    role: "button",
    tabindex: isSame(look.place, focused) ? 0 : -1,
    "aria-pressed": isSame(look.place, selected),
    ...(label ? { "aria-label": label } : {}),
    ...(look.mark ? { "aria-description": look.mark } : {}),
  } as const;
}

function circles(props: BlockProps) {
  const { block, layout, values } = props;
  const largest = largestOf(block, values);
  const room = layout.isDetailed ? (layout.isNarrow ? 74 : 118) : 88;
  const digits = layout.isDetailed ? 4 : 3;
  return block.nodes.map(({ x, y }, node) => {
    const look = lookOf(props, node, largest, digits);
    const radius = block.half.x;
    return (
      <g key={look.name} class={`node circle ${look.classes}`} {...buttonOf(look, props)}>
        {(look.mark === "saturated" || isRinged(look)) && <circle class="ring" cx={x} cy={y} r={radius + 4} />}
        <circle class="body" cx={x} cy={y} r={radius} />
        <circle class="tint" cx={x} cy={y} r={radius} fill-opacity={(0.3 * look.share).toFixed(2)} />
        <text class={`value ${sizeOf(look.text, radius)}`} x={x} y={y + 5}>
          {cut(look.text, 2 * radius, 5.6)}
        </text>
        <text class="name halo" x={x} y={y + radius + LINE}>
          {cut(look.name, room, 6.2)}
        </text>
        {layout.isDetailed && block.layer !== INPUTS && caption(props, look.place, x, y + radius + LINE, room)}
      </g>
    );
  });
}

/** Return how large a value is written in a circle. */
function sizeOf(text: string, radius: number): string {
  const room = radius / 5 - text.length;
  return room >= 0 ? "" : room >= -1.5 ? "long" : "longer";
}

/** The sum of a node in two or three short lines below its name. */
function caption({ version, values, layout }: BlockProps, { layer, node }: Place, x: number, y: number, room: number) {
  const sum = sumOf(version, values, layer, node);
  if (Number.isNaN(sum.before)) return null;
  const words = sumInWords(sum, { terms: 4, digits: 3 }).replaceAll(" × ", "×");
  const cutAt = words.lastIndexOf(" = ");
  const [products, total, activation] = [words.slice(0, cutAt), words.slice(cutAt + 1), activationInWords(sum, 3)];
  const fits = 5.6 * products.length <= room;
  const totals = layout.isNarrow ? [total, activation] : [[total, activation].filter(Boolean).join(", ")];
  // Where the sum has no room, neither has its beginning: the tooltip has it whole.
  const lines = fits ? [products, ...totals] : [activation];
  return lines.filter(Boolean).map((line, index) => (
    <text key={line} class="sum halo" x={x} y={y + (index + 1) * LINE}>
      {cut(line, room, 5.6)}
    </text>
  ));
}

function strip(props: BlockProps) {
  const { block, values } = props;
  const largest = largestOf(block, values);
  if (block.labels === "left" || block.labels === "right") {
    return block.nodes.map((_, node) => <LabelledCell key={node} {...props} node={node} largest={largest} />);
  }
  return [...block.nodes.map((_, node) => cell(props, node, largest)), <Strongest key="strongest" {...props} />];
}

function boxOf({ block }: BlockProps, node: number) {
  const { x, y } = block.nodes[node] ?? { x: 0, y: 0 };
  return { x: x - block.half.x, y: y - block.half.y, width: 2 * block.half.x, height: 2 * block.half.y };
}

function LabelledCell(props: BlockProps & { node: number; largest: number }) {
  const { block, node, largest } = props;
  const look = lookOf(props, node, largest, 3);
  const box = boxOf(props, node);
  return (
    <g class={`node cell ${look.classes}`} {...buttonOf(look, props)}>
      {/* So that its name is as good to point at as its cell. */}
      <rect x={block.x} width={block.width} y={box.y} height={box.height} fill="none" pointer-events="all" />
      <rect class="body" {...box} />
      <rect class="tint" {...box} fill-opacity={opacityOf(look)} />
      {isRinged(look) && <rect class="ring" {...box} />}
      {labelsOf(block, look, box.x + block.half.x, box.y + block.half.y)}
    </g>
  );
}

/** A cell without a label, as one element: a picture may have thousands. Of very many, only the focused one is a button. */
function cell(props: BlockProps, node: number, largest: number) {
  const look = lookOf(props, node, largest, 3);
  const isButton = props.block.nodes.length <= MAX_BUTTONS || isSame(look.place, props.focused);
  const attributes = isButton
    ? buttonOf(look, props, `${look.name}: ${look.text || "not shown"}`)
    : { "data-layer": look.place.layer, "data-node": node };
  return (
    <rect
      key={node}
      class={`node bare ${look.classes}`}
      {...boxOf(props, node)}
      fill-opacity={opacityOf(look)}
      {...attributes}
    />
  );
}

/** Return whether a node has a ring: since it differs from the other picture's, or is unusual. */
function isRinged(look: Look): boolean {
  return look.classes.includes("differs") || look.classes.includes("unusual");
}

function opacityOf(look: Look): string {
  return (0.06 + 0.94 * look.share).toFixed(2);
}

function labelsOf(block: Block, look: Look, x: number, y: number) {
  const isLeft = block.labels === "left";
  const room = block.width - 2 * block.half.x;
  const side = isLeft ? -1 : 1;
  const isWide = room > 120;
  return (
    <>
      <text class={`small ${isLeft ? "end" : "start"}`} x={x + side * (block.half.x + (isWide ? 58 : 6))} y={y + 4}>
        {cut(look.name, room - (isWide ? 58 : 6), 6.3)}
      </text>
      {isWide && (
        <text class={`small muted ${isLeft ? "end" : "start"}`} x={x + side * (block.half.x + 8)} y={y + 4}>
          {look.text}
        </text>
      )}
    </>
  );
}

/** The nodes of the largest values, below a strip that has no room for names. */
function Strongest({ block, version, values }: BlockProps) {
  const order = block.nodes
    .map((_, node) => node)
    .filter((node) => Number.isFinite(valueAt(values, block.layer, node)));
  const size = (node: number) => Math.abs(valueAt(values, block.layer, node));
  order.sort((one, other) => size(other) - size(one));
  const top = block.y + block.height - STRONGEST * LINE + 8;
  return (
    <g aria-hidden="true">
      {order.slice(0, STRONGEST).map((node, index) => (
        <text key={node} class="small subtitle" x={block.x + block.width / 2} y={top + index * LINE}>
          {`${cut(nodeName(version, block.layer, node), 80, 6)}  ${short(valueAt(values, block.layer, node), 3)}`}
        </text>
      ))}
    </g>
  );
}
