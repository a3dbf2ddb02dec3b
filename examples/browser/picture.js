// A trace as a picture: a column for the inputs and one for each layer, every node with its value.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 150;
const HEIGHT = 34;
const GAP = 70;
const MARGIN = 30;

// Draw a trace of one row into an empty svg element.
export function draw(svg, trace) {
  const columns = [
    { title: "inputs", names: trace.inputNames, values: trace.inputs },
    ...trace.layers.map((layer) => ({
      title: `${layer.name}: ${layer.function?.name || layer.function?.expression || "identity"}`,
      names: layer.nodes,
      values: layer.activation,
    })),
  ];
  const tallest = Math.max(...columns.map(({ values }) => values.length));
  const height = MARGIN + tallest * (HEIGHT + 10);
  svg.setAttribute("viewBox", `0 0 ${columns.length * (WIDTH + GAP)} ${height}`);
  const top = (count) => MARGIN + ((tallest - count) * (HEIGHT + 10)) / 2;
  const place = (column, node) => [column * (WIDTH + GAP), top(columns[column].values.length) + node * (HEIGHT + 10)];

  columns.forEach(({ title, names, values }, column) => {
    const [left, first] = place(column, 0);
    add(svg, "text", { x: left, y: first - 10, class: "title" }, title);
    values.forEach((value, node) => {
      const [x, y] = place(column, node);
      if (column > 0) {
        columns[column - 1].values.forEach((_, from) => {
          const [fromX, fromY] = place(column - 1, from);
          add(svg, "line", { x1: fromX + WIDTH, y1: fromY + HEIGHT / 2, x2: x, y2: y + HEIGHT / 2 });
        });
      }
      add(svg, "rect", { x, y, width: WIDTH, height: HEIGHT, rx: 4 });
      add(svg, "text", { x: x + 8, y: y + 22 }, names[node] ?? `node_${node}`);
      add(svg, "text", { x: x + WIDTH - 8, y: y + 22, class: "value" }, String(Number(value.toPrecision(6))));
    });
  });
}

function add(parent, name, attributes, words = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  // As text: whatever a network is called, it is no markup.
  element.textContent = words;
  parent.append(element);
}
