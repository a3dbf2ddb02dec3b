import { expect, test } from "vitest";
import type { Calls } from "../src/api/calls";
import { ApiError } from "../src/api/http";
import { tensorOf } from "../src/api/tensors";
import { versionOf } from "../src/network/version";
import { tableFromText } from "../src/rows/files";
import { type Predictions, predictRows } from "../src/rows/predictions";
import { cellsAt, mappingOf } from "../src/rows/table";
import { errorsOf, orderOf } from "../src/rows/truth";

const NAMED = versionOf({ inputs: { width: "2", features: [{ name: "a" }, { name: "b" }] }, outputNames: ["y"] });
const NAMELESS = versionOf({ inputs: { width: "2" } });

test("a file with a header is matched by name, whatever its separator and order", () => {
  for (const separator of [",", ";", "\t"]) {
    const text = [["b", "other", "a"], ["1", "x", "2"], ["", "y", "4"]].map((row) => row.join(separator)).join("\r\n");
    const table = tableFromText("rows.csv", `\uFEFF${text}\n`);
    const mapping = mappingOf(NAMED, table);
    expect(mapping.absent).toEqual([]);
    expect(mapping.others).toEqual(["other"]);
    expect([cellsAt(NAMED, mapping, 0), cellsAt(NAMED, mapping, 1)]).toEqual([[2, 1], [4, null]]);
  }
});

test("a file without a header has all its rows, matched by order", () => {
  const table = tableFromText("rows.csv", "1,2,9\n3,4,8\n");
  const mapping = mappingOf(NAMELESS, table);
  expect(table.count).toBe(2);
  expect(mapping.others).toEqual(["column_2"]);
  expect(cellsAt(NAMELESS, mapping, 1)).toEqual([3, 4]);
});

test("a column that is missing is named", () => {
  expect(mappingOf(NAMED, tableFromText("rows.csv", "a,c\n1,2\n")).absent).toEqual(["b"]);
});

test("a quoted cell may have separators and lines", () => {
  const table = tableFromText("rows.csv", 'a,b\n"1,5\n","say ""x"""\n');
  expect(table.columns.get("b")).toEqual(['say "x"']);
});

test.each(["", "a,b\n"])("a file without rows is an error: %j", (text) => {
  expect(() => tableFromText("rows.csv", text)).toThrow("has no rows");
});

/** A server that doubles the first value of each row, and rejects negative ones. */
const DOUBLING = {
  async predict(_version, rows) {
    if (rows.some(([value]) => Number(value) < 0)) throw new ApiError("a row is negative", 400);
    return { outputs: tensorOf(rows.map(([value]) => 2 * Number(value)), rows.length, 1) };
  },
  async predictEach(_version, rows) {
    return rows.map(([value]) =>
      Number(value) < 0 ? { error: { message: "negative" } } : { response: { outputs: tensorOf([2 * Number(value)], 1, 1) } },
    );
  },
} as Partial<Calls> as Calls;

test("all rows are predicted, in pieces; one that is rejected leaves the others alone", async () => {
  const rowAt = (row: number) => [row === 1500 ? -1 : row, 0];
  let last: Predictions | undefined;
  let pieces = 0;
  for await (const predictions of predictRows(DOUBLING, NAMED, rowAt, 2345)) {
    last = predictions;
    pieces += 1;
  }
  expect(pieces).toBe(3);
  expect(last?.done).toBe(2345);
  expect([...(last?.errors ?? [])]).toEqual([[1500, "negative"]]);
  last?.outputs.forEach((output, row) => {
    expect(output).toBe(row === 1500 ? Number.NaN : 2 * row);
  });
});

const CLASSIFIER = versionOf({ inputs: { width: "1" }, classLabels: ["no", "yes"] });

function predictions(more: Partial<Predictions>): Predictions {
  return { version: CLASSIFIER, outputs: new Float64Array(3), labels: [], errors: new Map(), done: 3, ...more };
}

test("a class is right by its label or by its index", () => {
  const found = predictions({ labels: ["no", "yes", "yes"] });
  expect(errorsOf(CLASSIFIER, found, ["no", "no", "yes"])).toMatchObject({ compared: 3, summary: 1 });
  expect([...errorsOf(CLASSIFIER, found, [0, 0, 1]).sizes]).toEqual([0, 1, 0]);
  expect(errorsOf(CLASSIFIER, found, ["", null, "yes"]).compared).toBe(1);
});

test("a number's error is its distance, and the summary the mean", () => {
  const found = predictions({ outputs: Float64Array.from([1, 2, Number.NaN]) });
  const errors = errorsOf(NAMED, found, ["2", 5, 1]);
  expect([...errors.sizes]).toEqual([1, 3, Number.NaN]);
  expect(errors.summary).toBe(2);
});

test("rows are ordered by error or by a node, those without a value last", () => {
  const sizes = Float64Array.from([0, 2, Number.NaN, 5]);
  const errors = { sizes, isClasses: false, compared: 3, summary: 0 };
  const node = Float64Array.from([3, Number.NaN, 1, 2]);
  expect(orderOf(4, "file", { errors, node, isWrongOnly: false })).toEqual([0, 1, 2, 3]);
  expect(orderOf(4, "error", { errors, node, isWrongOnly: false })).toEqual([3, 1, 0, 2]);
  expect(orderOf(4, "high", { errors, node, isWrongOnly: false })).toEqual([0, 3, 2, 1]);
  expect(orderOf(4, "low", { errors, node, isWrongOnly: false })).toEqual([2, 3, 0, 1]);
  expect(orderOf(4, "error", { errors, node, isWrongOnly: true })).toEqual([3, 1]);
});
