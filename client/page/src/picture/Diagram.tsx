// The picture of a network, with the values of a row.

import { useMemo, useRef, useState } from "preact/hooks";
import type { Cell } from "../network/features";
import { short } from "../network/numbers";
import { inputsOf, type Values } from "../network/values";
import { INPUTS, type Version } from "../network/version";
import { type Edge, edgesInto, edgesOutOf, strongestEdges } from "./edges";
import type { Layout } from "./layout";
import { isSame, signOf } from "./looks";
import { BlockOfNodes } from "./Nodes";
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
  /** The number of columns that are shown, while the pass is played; all where it is undefined. */
  revealed?: number | undefined;
  /** Whether a node's value is to be marked, since it differs from the other picture's. */
  differs?: ((place: Place) => boolean) | undefined;
  onSelect: (place: Place | undefined) => void;
  onPoint: (place: Place | undefined) => void;
}

const MAX_EDGES_OF_NODE = 64;
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
            class={`edge ${signOf(edge.weight === undefined ? 0 : edge.amount)}${isLater(props, edge.to.layer) ? " later" : ""}`}
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
        <g aria-hidden="true">
          {edges.filter((edge) => !isLater(props, edge.to.layer)).map((edge) => weightLabel(layout, edge))}
        </g>
      )}
    </svg>
  );
}

/** Return whether the pass, while it is played, has not come to a layer yet. */
export function isLater({ layout, revealed }: DiagramProps, layer: number): boolean {
  return revealed !== undefined && (layout.columnOf.get(layer) ?? 0) >= revealed;
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
