// The file of rows that is loaded: which row is shown, what the network predicts for all of them, which are wrong.

import { batch, computed, effect, type Signal, signal } from "@preact/signals";
import type { Calls } from "../api/calls";
import type { Cell } from "../network/features";
import type { Version } from "../network/version";
import { tableOf } from "../rows/files";
import { nodeOverRows, type Predictions, predictRows } from "../rows/predictions";
import { cellsAt, mappingOf, type Table } from "../rows/table";
import { errorsOf, type Order, orderOf } from "../rows/truth";
import type { NodeRef } from "./store";

/** What the rows need of the page. */
export interface Page {
  readonly calls: Calls;
  readonly version: Signal<Version | undefined>;
  readonly node: Signal<NodeRef | undefined>;
  readonly row: Signal<readonly Cell[]>;
  readonly isTraceDenied: Signal<boolean>;
}

/** The values of a node over the rows. */
export interface NodeValues {
  readonly version: Version;
  readonly node: NodeRef;
  readonly values: Float64Array;
}

export class Rows {
  readonly table = signal<Table | undefined>(undefined);
  readonly index = signal(0);
  /** The column that has the truth, or empty. */
  readonly truth = signal("");
  readonly order = signal<Order>("file");
  readonly isWrongOnly = signal(false);
  readonly predictions = signal<Predictions | undefined>(undefined);
  readonly nodeValues = signal<NodeValues | undefined>(undefined);
  readonly error = signal("");

  readonly mapping = computed(() => {
    const [version, table] = [this.#page.version.value, this.table.value];
    return version && table && mappingOf(version, table);
  });
  readonly errors = computed(() => {
    const [version, predictions] = [this.#page.version.value, this.predictions.value];
    const truth = this.table.value?.columns.get(this.truth.value);
    return version && predictions?.version === version && truth ? errorsOf(version, predictions, truth) : undefined;
  });
  /** The rows in the order in which they are listed and stepped through. */
  readonly listed = computed(() => {
    const node = this.nodeValues.value?.values;
    const chosen = { errors: this.errors.value, node, isWrongOnly: this.isWrongOnly.value };
    return orderOf(this.table.value?.count ?? 0, this.order.value, chosen);
  });

  readonly #page: Page;
  #run = 0;
  #nodeRun = 0;

  constructor(page: Page) {
    this.#page = page;
  }

  /** Predict whenever the file or the version changes, and follow the selected node. */
  start(): void {
    effect(() => {
      const [version, table, mapping] = [this.#page.version.value, this.table.value, this.mapping.value];
      if (version && table && mapping) void this.#predict(version, table);
    });
    effect(() => {
      const [node, predictions] = [this.#page.node.value, this.predictions.value];
      const isDone = predictions !== undefined && predictions.done === this.table.value?.count;
      if (isDone && node && !this.#page.isTraceDenied.value) void this.#follow(node, predictions);
    });
  }

  async load(file: File): Promise<void> {
    try {
      const table = await tableOf(file);
      batch(() => {
        this.error.value = "";
        this.table.value = table;
        this.truth.value = "";
        this.order.value = "file";
        this.isWrongOnly.value = false;
        this.nodeValues.value = undefined;
        const others = this.mapping.value?.others ?? [];
        this.truth.value = others.find((name) => /^(target|truth|label|class|y|expected)$/i.test(name)) ?? "";
      });
      if (this.mapping.value?.absent.length === 0) this.show(0);
    } catch (error) {
      this.error.value = `The file cannot be read: ${error instanceof Error ? error.message : error}`;
    }
  }

  clear(): void {
    this.#run += 1;
    batch(() => {
      this.table.value = undefined;
      this.predictions.value = undefined;
      this.nodeValues.value = undefined;
      this.error.value = "";
    });
  }

  /** Show a row of the file in the form and the picture. */
  show(row: number): void {
    batch(() => {
      this.index.value = row;
      this.#page.row.value = this.cellsAt(row);
    });
  }

  /** Show the next row of the list, or one before. */
  step(by: number): void {
    const listed = this.listed.value;
    const place = listed.indexOf(this.index.value);
    const next = listed[place < 0 ? 0 : Math.max(0, Math.min(listed.length - 1, place + by))];
    if (next !== undefined) this.show(next);
  }

  cellsAt(row: number): readonly Cell[] {
    const [version, mapping] = [this.#page.version.value, this.mapping.value];
    return version && mapping ? cellsAt(version, mapping, row) : [];
  }

  async #predict(version: Version, table: Table): Promise<void> {
    const run = ++this.#run;
    this.predictions.value = undefined;
    this.nodeValues.value = undefined;
    const absent = this.mapping.peek()?.absent ?? [];
    if (absent.length > 0) {
      this.error.value = `${table.name} has no column for ${absent.slice(0, 5).join(", ")}${absent.length > 5 ? " …" : ""}.`;
      return;
    }
    await this.#guarded(async () => {
      for await (const predictions of predictRows(this.#page.calls, version, (row) => this.cellsAt(row), table.count)) {
        if (run !== this.#run) return;
        this.predictions.value = predictions;
      }
    });
  }

  async #follow(node: NodeRef, predictions: Predictions): Promise<void> {
    const run = ++this.#nodeRun;
    const { version, errors } = predictions;
    const known = this.nodeValues.peek();
    if (known?.version === version && known.node.layer === node.layer && known.node.node === node.node) return;
    await this.#guarded(async () => {
      const count = this.table.peek()?.count ?? 0;
      const isWanted = (row: number) => !errors.has(row);
      const values = await nodeOverRows(this.#page.calls, version, node, (row) => this.cellsAt(row), count, isWanted);
      if (run === this.#nodeRun && this.#page.version.peek() === version)
        this.nodeValues.value = { version, node, values };
    });
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.error.value = "";
    } catch (error) {
      this.error.value = error instanceof Error ? error.message : String(error);
    }
  }
}
