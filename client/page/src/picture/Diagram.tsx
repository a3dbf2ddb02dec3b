// The picture of a network, with the values of a row.

import { useMemo, useRef, useState } from "preact/hooks";
import { cellInShort } from "../api/rows";
import type { Cell } from "../network/features";
import { markOf } from "../network/marks";
import { compact, short } from "../network/numbers";
import { activationInWords, sumInWords, sumOf } from "../network/sums";
import { inputsOf, type Values, valueAt } from "../network/values";
import { INPUTS, nodeName, type Version } from "../network/version";
import { type Edge, edgesInto, edgesOutOf, strongestEdges } from "./edges";
import { type Block, type Layout, LINE, STRONGEST } from "./layout";
import { labelPoint, pathsIn } from "./paths";
import { nextNode, type Place } from "./walk";
import "./diagram.css";

export interface DiagramProps {
  version: Version;
  values: Values;
  /** The row as it was entered, by which inputs are shown. */
  row: readonly Cell[];
  layout: Layout;
  /** The size of the picture as a share of its natural one. */
  scale: number;
  label: string;
  selected: Place | undefined;
  /** Whether a node's value is to be marked, since it differs from the other picture's. */
  differs?: ((place: Place) => boolean) | undefined;
  onSelect: (place: Place | undefined) => void;
  onPoint: (place: Place | undefined) => void;
}

const MAX_EDGES_OF_NODE = 64;
const MAX_BUTTONS = 64;
const MAX_WEIGHT_LABELS = 6;
const MAX_WEIGHT_LABELS_OF_NODE = 4;

export function Diagram(props: DiagramProps) {
  const { version, values, layout, scale, selected, label } = props;
  const pathOf = useMemo(() => pathsIn(layout), [layout]);
  const edges = useMemo(() => edgesOf(version, values, selected), [version, values, selected]);
  const [focused, setFocused] = useState<Place>({ layer: INPUTS, node: 0 });
  const drawn = useRef<SVGSVGElement>(null);

  const at = (event: Event): Place | undefined => {
    const element = (event.target as Element).closest<SVGElement>("[data-node]");
    return element === null ? undefined : { layer: Number(element.dataset.layer), node: Number(element.dataset.node) };
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const place = at(event);
    if (place === undefined) return;
    if (event.key === "Escape") props.onPoint(undefined);
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      props.onSelect(isSame(place, selected) ? undefined : place);
    }
    const next = nextNode(layout, place, event.key);
    if (next === undefined) return;
    event.preventDefault();
    // At once: the next key may come before the picture is drawn anew.
    const element = drawn.current?.querySelector<SVGElement>(`[data-layer="${next.layer}"][data-node="${next.node}"]`);
    element?.setAttribute("tabindex", "-1");
    element?.focus();
    setFocused(next);
  };
  const onClick = (event: Event) => {
    const place = at(event);
    if (place) setFocused(place);
    props.onSelect(isSame(place, selected) ? undefined : place);
  };
  return (
    <svg
      ref={drawn}
      class="diagram"
      role="group"
      aria-label={label}
      width={Math.floor(layout.width * scale)}
      height={Math.floor(layout.height * scale)}
      viewBox={`0 0 ${layout.width} ${layout.height}`}
      onPointerOver={(event) => props.onPoint(at(event))}
      onPointerLeave={() => props.onPoint(undefined)}
      onFocusIn={(event) => props.onPoint(at(event))}
      onFocusOut={() => props.onPoint(undefined)}
      onClick={onClick}
      onKeyDown={onKeyDown}
    >
      <g aria-hidden="true">
        {edges.map((edge, index) => (
          <path
            key={index}
            class={`edge ${signOf(edge.weight === undefined ? 0 : edge.amount)}`}
            d={pathOf(edge)}
            stroke-width={(0.75 + 5.25 * edge.strength).toFixed(2)}
            stroke-opacity={(0.22 + 0.6 * edge.strength).toFixed(2)}
          />
        ))}
      </g>
      {layout.blocks.map((block) => (
        <BlockOfNodes key={block.layer} block={block} focused={focused} {...props} />
      ))}
      {hasWeightLabels(layout, version, selected) && (
        <g aria-hidden="true">{edges.map((edge) => weightLabel(layout, edge))}</g>
      )}
    </svg>
  );
}

function edgesOf(version: Version, values: Values, selected: Place | undefined): Edge[] {
  if (selected === undefined) return strongestEdges(version, values);
  return [
    ...(selected.layer === INPUTS ? [] : edgesInto(version, values, selected.layer, selected.node, MAX_EDGES_OF_NODE)),
    ...edgesOutOf(version, values, selected.layer, selected.node, MAX_EDGES_OF_NODE),
  ];
}

/** Return whether edges show their weights: where there is room for all of them, or for those of the selected node. */
function hasWeightLabels(layout: Layout, version: Version, selected: Place | undefined): boolean {
  if (!layout.isDetailed || layout.isNarrow) return false;
  const counts = version.layers.map((layer, index) => layer.nodes.length * inputsOf(version, index));
  if (Math.max(...counts) <= MAX_WEIGHT_LABELS) return true;
  return (
    selected !== undefined &&
    selected.layer !== INPUTS &&
    inputsOf(version, selected.layer) <= MAX_WEIGHT_LABELS_OF_NODE
  );
}

function weightLabel(layout: Layout, edge: Edge) {
  const point = edge.weight === undefined ? undefined : labelPoint(layout, edge);
  if (point === undefined || edge.weight === undefined) return null;
  const text = `× ${short(edge.weight, 3)}`;
  const width = 6.6 * text.length + 8;
  return (
    <g key={`${edge.from.layer}/${edge.from.node}/${edge.to.layer}/${edge.to.node}`} class={signOf(edge.weight)}>
      <rect class="label" x={point.x - width / 2} y={point.y - 8} width={width} height={16} rx={8} />
      <text class="weight" x={point.x} y={point.y + 4}>
        {text}
      </text>
    </g>
  );
}

type BlockProps = DiagramProps & { block: Block; focused: Place };

function BlockOfNodes(props: BlockProps) {
  const { block } = props;
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
    <g>
      <text class={`title ${anchor}`} x={edge} y={block.y - 28}>
        {cut(block.title, Math.max(block.width, 80), 7.5)}
      </text>
      <text class={`subtitle ${anchor}`} x={edge} y={block.y - 13}>
        {cut(block.subtitle, Math.max(block.width, 96), 6)}
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
  const classes = [signOf(value), mark, differs?.(place) ? "differs" : "", isSame(place, selected) ? "selected" : ""];
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
        {(look.mark === "saturated" || look.classes.includes("differs")) && (
          <circle class="ring" cx={x} cy={y} r={radius + 4} />
        )}
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
  const room = radius / 4.2 - text.length;
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
      <rect class="body" {...box} />
      <rect class="tint" {...box} fill-opacity={opacityOf(look)} />
      {look.classes.includes("differs") && <rect class="ring" {...box} />}
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

function isSame(one: Place | undefined, other: Place | undefined): boolean {
  return one !== undefined && one.layer === other?.layer && one.node === other.node;
}

function signOf(value: number): string {
  return value > 0 ? "positive" : value < 0 ? "negative" : "";
}

/** Return a text that fits a width, with the width of a character in pixels. */
function cut(text: string, width: number, character: number): string {
  const most = Math.max(3, Math.floor(width / character));
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
