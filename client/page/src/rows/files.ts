// Files of rows, read in the browser: they are sent nowhere but, as rows, to the server that computes them.

import { dsvFormat } from "d3-dsv";
import type { Table, Value } from "./table";

const SEPARATORS = [",", ";", "\t"];

/** Read a CSV or Parquet file. */
export async function tableOf(file: File): Promise<Table> {
  if (isParquet(file.name)) {
    const { tableFromParquet } = await import("./parquet");
    return tableFromParquet(file.name, await file.arrayBuffer());
  }
  return tableFromText(file.name, await file.text());
}

function isParquet(name: string): boolean {
  return /\.(parquet|pq)$/i.test(name);
}

/** Read a table whose first line has the names of its columns; without such a line they are called by their numbers. */
export function tableFromText(name: string, text: string): Table {
  const rows = dsvFormat(separatorOf(text)).parseRows(text.replace(/^\uFEFF/, ""));
  const lines = rows.filter((row) => row.length > 1 || row[0] !== "");
  const first = lines[0];
  if (first === undefined) throw new Error(`${name} has no rows.`);
  const isHeader = !first.every((cell) => cell.trim() !== "" && Number.isFinite(Number(cell)));
  const names = isHeader ? first : first.map((_, index) => `column_${index}`);
  const content = isHeader ? lines.slice(1) : lines;
  if (content.length === 0) throw new Error(`${name} has no rows below its header.`);
  const columns = names.map((column, index): [string, Value[]] => [
    column.trim(),
    content.map((row) => row[index] ?? ""),
  ]);
  return { name, columns: new Map(columns), count: content.length };
}

/** Return the separator that the first line has most often. */
function separatorOf(text: string): string {
  const line = text.slice(0, text.indexOf("\n") + 1 || text.length);
  const count = (separator: string) => line.split(separator).length;
  return SEPARATORS.reduce((best, separator) => (count(separator) > count(best) ? separator : best));
}
