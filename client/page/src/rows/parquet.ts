// Parquet files. A module of its own, loaded with the first such file.

import { gunzipSync } from "fflate";
import { decompress as unzstd } from "fzstd";
import { parquetReadObjects } from "hyparquet";
import type { Table, Value } from "./table";

const COMPRESSORS = {
  GZIP: (input: Uint8Array) => gunzipSync(input),
  ZSTD: (input: Uint8Array) => unzstd(input),
};

export async function tableFromParquet(name: string, file: ArrayBuffer): Promise<Table> {
  const rows = await parquetReadObjects({ file, compressors: COMPRESSORS });
  if (rows.length === 0) throw new Error(`${name} has no rows.`);
  const names = Object.keys(rows[0] ?? {}).filter((column) => !column.startsWith("__index_level_"));
  const columns = names.map((column): [string, Value[]] => [column, rows.map((row) => plain(row[column]))]);
  return { name, columns: new Map(columns), count: rows.length };
}

function plain(value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "string") return value;
  return value instanceof Date ? value.toISOString() : JSON.stringify(value);
}
