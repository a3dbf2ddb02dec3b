// Where a picture of a network has its layers and nodes. Numbers only; Diagram.tsx draws them.

import { INPUTS, layerName, type Version, widthOf } from "../network/version";

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A layer, or the inputs: circles where there are few nodes, else a strip of cells. */
export interface Block {
  readonly layer: number;
  readonly form: "circles" | "strip";
  readonly title: string;
  readonly subtitle: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** The centre of each node. */
  readonly nodes: readonly Point[];
  /** Half the width and half the height of a node. */
  readonly half: Point;
  /** Where a strip has its labels, one for each node, or below it for the strongest ones. */
  readonly labels: "left" | "right" | "below" | "none";
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly blocks: readonly Block[];
  /** Whether nodes show their sums and edges their weights: of networks of the size of the article's. */
  readonly isDetailed: boolean;
  /** Whether there is as little room as on a phone. */
  readonly isNarrow: boolean;
  /** Where edges pass layers that do not read them, by their source and the column that they pass. */
  readonly lanes: ReadonlyMap<string, { readonly left: Point; readonly right: Point }>;
  /** The column of each layer, by layer; the inputs' is 0. */
  readonly columnOf: ReadonlyMap<number, number>;
}

export const MAX_CIRCLES = 8;
export const MAX_LABELLED = 48;
export const STRONGEST = 3;
/** The height of a line of small text. */
export const LINE = 15;
export const TITLE_HEIGHT = 44;

const MAX_DETAILED = 4;
const MAX_DETAILED_LAYERS = 6;
const MIN_GAP = 34;
const MAX_GAP = 190;
const MARGIN = 12;
const LANE_HEIGHT = 26;
const BLOCK_GAP = 28;
const CELLS_IN_COLUMN = 64;
const LABEL_WIDTH = { wide: 176, narrow: 84 };

/** What stands in a column: a layer, or a lane in which edges pass. */
interface Item {
  readonly key: string;
  readonly layer: number;
  readonly isLane: boolean;
  readonly shape: Shape;
}

interface Shape {
  readonly width: number;
  readonly height: number;
  readonly form: Block["form"];
  readonly labels: Block["labels"];
  /** Centres of the nodes from the upper left corner. */
  readonly nodes: readonly Point[];
  readonly half: Point;
}

/** Lay out a network for a picture that is to be `available` pixels wide; it is wider where it must be. */
export function layoutOf(version: Version, available: number): Layout {
  const isDetailed = isSmall(version);
  const isNarrow = available < 520;
  const columnOf = columns(version);
  const items = arranged(version, columnOf, (layer) => shapeOf(version, layer, { isDetailed, isNarrow }));
  const widths = items.map((column) => Math.max(...column.map((item) => item.shape.width)));
  const free = available - 2 * MARGIN - widths.reduce((total, width) => total + width, 0);
  const gap = Math.min(MAX_GAP, Math.max(isNarrow ? 14 : MIN_GAP, free / Math.max(1, items.length - 1)));
  const heights = items.map((column) => stackHeight(column));
  const height = Math.max(...heights) + 2 * MARGIN;
  const blocks: Block[] = [];
  const lanes = new Map<string, { left: Point; right: Point }>();
  let x = MARGIN;
  items.forEach((column, index) => {
    const width = widths[index] ?? 0;
    let y = (height - (heights[index] ?? 0)) / 2;
    for (const { key, layer, isLane, shape } of column) {
      const left = x + (width - shape.width) / 2;
      if (isLane) {
        const middle = y + LANE_HEIGHT / 2;
        lanes.set(key, { left: { x, y: middle }, right: { x: x + width, y: middle } });
        y += LANE_HEIGHT + BLOCK_GAP;
        continue;
      }
      const top = y + TITLE_HEIGHT;
      blocks.push({
        layer,
        form: shape.form,
        title: layerName(version, layer),
        subtitle: subtitle(version, layer),
        x: left,
        y: top,
        width: shape.width,
        height: shape.height,
        nodes: shape.nodes.map((node) => ({ x: left + node.x, y: top + node.y })),
        half: shape.half,
        labels: shape.labels,
      });
      y = top + shape.height + BLOCK_GAP;
    }
    x += width + gap;
  });
  return {
    width: Math.ceil(x - gap + MARGIN),
    height: Math.ceil(height),
    blocks,
    isDetailed,
    isNarrow,
    lanes,
    columnOf,
  };
}

/** Return the key of the lane in which edges from a layer pass a column. */
export function laneKey(source: number, column: number): string {
  return `${source}/${column}`;
}

function isSmall(version: Version): boolean {
  const widths = [version.features.length, ...version.layers.map((layer) => layer.nodes.length)];
  return widths.length <= MAX_DETAILED_LAYERS + 1 && Math.max(...widths) <= MAX_DETAILED;
}

/** Return the column of each layer: one after the last column of what it reads. */
function columns(version: Version): Map<number, number> {
  const columnOf = new Map([[INPUTS, 0]]);
  version.layers.forEach((layer, index) => {
    columnOf.set(index, 1 + Math.max(0, ...layer.sources.map((source) => columnOf.get(source.layer) ?? 0)));
  });
  return columnOf;
}

/** Return what stands in each column, from top to bottom: beside what it reads, as far as there is room. */
function arranged(version: Version, columnOf: Map<number, number>, shape: (layer: number) => Shape): Item[][] {
  const count = 1 + Math.max(...columnOf.values());
  const found: Item[][] = Array.from({ length: count }, () => []);
  const readBy = new Map<string, string[]>();
  for (const [layer, column] of columnOf) {
    found[column]?.push({ key: String(layer), layer, isLane: false, shape: shape(layer) });
    for (const source of version.layers[layer]?.sources ?? []) {
      const first = (columnOf.get(source.layer) ?? 0) + 1;
      let before = String(source.layer);
      for (let at = first; at < column; at++) {
        const key = laneKey(source.layer, at);
        if (!found[at]?.some((item) => item.key === key)) {
          const lane = { width: 0, height: LANE_HEIGHT, form: "strip", labels: "none", nodes: [], half: ZERO } as const;
          found[at]?.push({ key, layer: source.layer, isLane: true, shape: lane });
          readBy.set(key, [before]);
        }
        before = key;
      }
      readBy.set(String(layer), [...(readBy.get(String(layer)) ?? []), before]);
    }
  }
  // Barycenters from left to right (Sugiyama et al., 1981); ties keep the order of the network, lanes below layers.
  const place = new Map<string, number>([[String(INPUTS), 0.5]]);
  for (const column of found.slice(1)) {
    const middle = (item: Item) => mean((readBy.get(item.key) ?? []).map((key) => place.get(key) ?? 0.5));
    const ranked = column.map((item) => ({ item, rank: middle(item) + (item.isLane ? 0.001 : 0) }));
    ranked.sort((one, other) => one.rank - other.rank);
    column.splice(0, column.length, ...ranked.map(({ item }) => item));
    column.forEach((item, index) => {
      place.set(item.key, (index + 0.5) / column.length);
    });
  }
  return found;
}

const ZERO: Point = { x: 0, y: 0 };

function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / Math.max(1, values.length);
}

function stackHeight(column: readonly Item[]): number {
  const heights = column.map((item) => item.shape.height + (item.isLane ? 0 : TITLE_HEIGHT));
  return heights.reduce((total, height) => total + height, 0) + BLOCK_GAP * (heights.length - 1);
}

function shapeOf(version: Version, layer: number, { isDetailed = false, isNarrow = false }): Shape {
  const count = widthOf(version, layer);
  return count <= MAX_CIRCLES ? circles(count, isDetailed, isNarrow) : strip(version, layer, count, isNarrow);
}

function circles(count: number, isDetailed: boolean, isNarrow: boolean): Shape {
  const radius = isDetailed ? (isNarrow ? 21 : 26) : 17;
  // Below a circle stand its name and, where there is room, its sum in two or three lines.
  const below = isDetailed ? (isNarrow ? 4 : 3) * LINE + 22 : LINE + 5;
  const width = isDetailed ? (isNarrow ? 72 : 112) : isNarrow ? 56 : 84;
  const pitch = 2 * radius + below;
  return {
    width,
    height: count * pitch,
    form: "circles",
    labels: "none",
    nodes: Array.from({ length: count }, (_, index) => ({ x: width / 2, y: index * pitch + radius + 2 })),
    half: { x: radius, y: radius },
  };
}

function strip(version: Version, layer: number, count: number, isNarrow: boolean): Shape {
  const isOutput = version.outputs.some((output) => output.layer === layer);
  if (count <= MAX_LABELLED && (layer === INPUTS || isOutput)) {
    return labelled(count, layer === INPUTS ? "left" : "right", isNarrow ? LABEL_WIDTH.narrow : LABEL_WIDTH.wide);
  }
  const rows = gridRows(count, layer === INPUTS);
  const across = Math.ceil(count / rows);
  const size = across === 1 ? { x: 22, y: Math.min(13, Math.max(6, 400 / rows)) } : { x: 7, y: 7 };
  const cells = across * size.x;
  const width = Math.max(cells, 92);
  // An image reads line by line, a layer column by column.
  const isImage = layer === INPUTS && rows * rows === count;
  const nodes = Array.from({ length: count }, (_, index) => {
    const [column, row] = isImage ? [index % rows, Math.floor(index / rows)] : [Math.floor(index / rows), index % rows];
    return { x: (width - cells) / 2 + (column + 0.5) * size.x, y: (row + 0.5) * size.y };
  });
  const half = { x: size.x / 2 - (across === 1 ? 0.5 : 0.25), y: size.y / 2 - (size.y > 8 ? 1 : 0.25) };
  return { width, height: rows * size.y + 10 + STRONGEST * LINE, form: "strip", labels: "below", nodes, half };
}

function labelled(count: number, labels: "left" | "right", labelWidth: number): Shape {
  const cell = { x: 20, y: Math.min(20, Math.max(LINE, 480 / count)) };
  const x = labels === "left" ? labelWidth + cell.x / 2 : cell.x / 2;
  return {
    width: labelWidth + cell.x,
    height: count * cell.y,
    form: "strip",
    labels,
    nodes: Array.from({ length: count }, (_, index) => ({ x, y: (index + 0.5) * cell.y })),
    half: { x: cell.x / 2, y: cell.y / 2 - 1 },
  };
}

/** Return the number of rows of a grid: of a square where the inputs are one, as images are. */
function gridRows(count: number, isInputs: boolean): number {
  const side = Math.round(Math.sqrt(count));
  return isInputs && side >= MAX_CIRCLES && side * side === count ? side : Math.min(CELLS_IN_COLUMN, count);
}

function subtitle(version: Version, layer: number): string {
  const count = widthOf(version, layer);
  if (layer === INPUTS) return `${count} ${count === 1 ? "value" : "values"}`;
  const { kind = "dense", activation = "identity", merge = "" } = version.layers[layer] ?? {};
  const words = [
    kind === "dense" ? "" : kind.replaceAll("_", " "),
    activation === "identity" && kind !== "dense" ? "" : activation,
  ];
  return [...words, merge, count > MAX_CIRCLES ? `${count} nodes` : ""].filter(Boolean).join(" · ");
}
