// Rows of a file: step through them, find the wrong ones, sort them by a node.

import { useRef, useState } from "preact/hooks";
import { counted, percent, short } from "../network/numbers";
import { nodeName, type Version } from "../network/version";
import type { Table } from "../rows/table";
import type { Errors, Order } from "../rows/truth";
import type { Rows } from "../state/rows";
import type { Store } from "../state/store";
import type { TabProps } from "./Tabs";

const PAGE = 25;
const MAX_COLUMNS = 5;

export function RowsTab({ store, version }: TabProps) {
  const { rows } = store;
  const table = rows.table.value;
  return (
    <>
      {rows.error.value && (
        <p class="error" role="alert">
          {rows.error.value}
        </p>
      )}
      {table === undefined ? (
        <Drop rows={rows} version={version} />
      ) : (
        <Loaded store={store} version={version} table={table} />
      )}
    </>
  );
}

function Drop({ rows, version }: { rows: Rows; version: Version }) {
  return (
    <div class="drop">
      <p>
        Drop a CSV or Parquet file on the page, or choose one. Columns are matched by{" "}
        {version.isNamed ? "the names of the inputs" : "their order"}; another column may have the truth. The file stays
        in this browser: only its rows are sent to the server, to be computed.
      </p>
      <FileButton rows={rows}>Choose a file</FileButton>
    </div>
  );
}

function FileButton({ rows, children }: { rows: Rows; children: string }) {
  const field = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" class={rows.table.value ? "quiet" : ""} onClick={() => field.current?.click()}>
        {children}
      </button>
      <input
        ref={field}
        type="file"
        class="hidden"
        tabIndex={-1}
        aria-label="File of rows"
        accept=".csv,.tsv,.txt,.parquet,.pq"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) void rows.load(file);
          event.currentTarget.value = "";
        }}
      />
    </>
  );
}

function Loaded({ store, version, table }: { store: Store; version: Version; table: Table }) {
  const { rows } = store;
  const predictions = rows.predictions.value;
  const done = predictions?.version === version ? predictions.done : 0;
  return (
    <>
      <div class="toolbar">
        <strong>{table.name}</strong>
        <span class="muted">{counted(table.count, "row")}</span>
        {done < table.count && rows.error.value === "" && (
          <progress max={table.count} value={done} aria-label="Predicting the rows" />
        )}
        <FileButton rows={rows}>Another file</FileButton>
        <button type="button" class="quiet" onClick={() => rows.clear()}>
          Remove
        </button>
      </div>
      <div class="toolbar">
        <Stepper rows={rows} />
        <label>
          Truth
          <select value={rows.truth.value} onChange={(event) => (rows.truth.value = event.currentTarget.value)}>
            <option value="">none</option>
            {(rows.mapping.value?.others ?? []).map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <OrderPicker store={store} version={version} />
        {rows.errors.value?.isClasses && (
          <label>
            <input
              type="checkbox"
              checked={rows.isWrongOnly.value}
              onChange={(event) => (rows.isWrongOnly.value = event.currentTarget.checked)}
            />
            only the wrong ones
          </label>
        )}
      </div>
      <Summary errors={rows.errors.value} rejected={predictions?.errors.size ?? 0} />
      <RowsTable key={`${rows.order.value}/${rows.isWrongOnly.value}`} store={store} version={version} />
    </>
  );
}

function Stepper({ rows }: { rows: Rows }) {
  const place = rows.listed.value.indexOf(rows.index.value);
  return (
    <span class="stepper">
      <button type="button" class="quiet" aria-label="Row before" disabled={place <= 0} onClick={() => rows.step(-1)}>
        ‹
      </button>
      <span aria-live="polite">{`row ${rows.index.value + 1}`}</span>
      <button
        type="button"
        class="quiet"
        aria-label="Next row"
        disabled={place >= rows.listed.value.length - 1}
        onClick={() => rows.step(1)}
      >
        ›
      </button>
    </span>
  );
}

function OrderPicker({ store, version }: { store: Store; version: Version }) {
  const { rows } = store;
  const node = store.node.value;
  const name = node && nodeName(version, node.layer, node.node);
  return (
    <label>
      Order
      <select value={rows.order.value} onChange={(event) => (rows.order.value = event.currentTarget.value as Order)}>
        <option value="file">as in the file</option>
        <option value="error" disabled={rows.errors.value === undefined}>
          largest error first
        </option>
        <option value="high" disabled={name === undefined}>
          {name === undefined ? "by a node: select one" : `highest ${name} first`}
        </option>
        {name !== undefined && <option value="low">{`lowest ${name} first`}</option>}
      </select>
    </label>
  );
}

function Summary({ errors, rejected }: { errors: Errors | undefined; rejected: number }) {
  const words: string[] = [];
  if (errors?.isClasses) {
    words.push(
      `${counted(errors.summary, "wrong row")} of ${errors.compared} (${percent(errors.summary / Math.max(1, errors.compared))})`,
    );
  } else if (errors && errors.compared > 0) {
    words.push(`mean absolute error ${short(errors.summary)} over ${counted(errors.compared, "row")}`);
  }
  if (rejected > 0) words.push(`${counted(rejected, "row")} rejected`);
  return words.length > 0 ? <p class="summary">{words.join("; ")}</p> : null;
}

function RowsTable({ store, version }: { store: Store; version: Version }) {
  const { rows } = store;
  const [page, setPage] = useState(0);
  const listed = rows.listed.value;
  const pages = Math.max(1, Math.ceil(listed.length / PAGE));
  const node = rows.nodeValues.value;
  const shownNode = node?.version === version ? node : undefined;
  const columns = [...version.features.keys()].slice(0, MAX_COLUMNS);
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label="Rows of the file">
        <table class="values rows">
          <thead>
            <tr>
              <th scope="col">row</th>
              {columns.map((column) => (
                <th scope="col" key={column}>
                  {version.features[column]?.name}
                </th>
              ))}
              <th scope="col">prediction</th>
              {rows.truth.value && <th scope="col">truth</th>}
              {shownNode && <th scope="col">{nodeName(version, shownNode.node.layer, shownNode.node.node)}</th>}
            </tr>
          </thead>
          <tbody>
            {listed.slice(page * PAGE, (page + 1) * PAGE).map((row) => (
              <Row key={row} row={row} store={store} columns={columns} nodeValue={shownNode?.values[row]} />
            ))}
          </tbody>
        </table>
      </div>
      {pages > 1 && (
        <div class="toolbar">
          <button type="button" class="quiet" disabled={page === 0} onClick={() => setPage(page - 1)}>
            Back
          </button>
          <span>{`${page + 1} of ${pages}`}</span>
          <button type="button" class="quiet" disabled={page + 1 >= pages} onClick={() => setPage(page + 1)}>
            On
          </button>
        </div>
      )}
    </>
  );
}

interface RowProps {
  row: number;
  store: Store;
  columns: readonly number[];
  nodeValue: number | undefined;
}

function Row({ row, store, columns, nodeValue }: RowProps) {
  const { rows } = store;
  const predictions = rows.predictions.value;
  const isWrong = rows.errors.value?.isClasses && rows.errors.value.sizes[row] === 1;
  const error = predictions?.errors.get(row);
  const truth = rows.table.value?.columns.get(rows.truth.value)?.[row];
  return (
    <tr class={[row === rows.index.value ? "current" : "", isWrong ? "wrong" : ""].join(" ")}>
      <th scope="row">
        <button type="button" class="link" onClick={() => rows.show(row)} aria-label={`Show row ${row + 1}`}>
          {row + 1}
        </button>
      </th>
      {columns.map((column) => (
        <td key={column}>{String(rows.mapping.value?.columns[column]?.[row] ?? "")}</td>
      ))}
      <td>{error ?? (predictions?.labels[row] || short(predictions?.outputs[row] ?? Number.NaN, 6))}</td>
      {rows.truth.value && (
        <td>
          {String(truth ?? "")}
          {isWrong && <span class="badge">wrong</span>}
        </td>
      )}
      {nodeValue !== undefined && <td>{short(nodeValue)}</td>}
    </tr>
  );
}
