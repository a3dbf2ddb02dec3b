// All state of the page, and what changes it.

import { batch, computed, effect, signal } from "@preact/signals";
import { type Calls, callsBy } from "../api/calls";
import { ApiError, sender } from "../api/http";
import type { NetworkMessage, VersionMessage } from "../api/messages";
import { type Cell, initialCell } from "../network/features";
import { type Values, valuesOf } from "../network/values";
import { INPUTS, layerName, nodeName, type Version } from "../network/version";
import { type Address, type Comparison, readAddress, type Tab, writeAddress } from "./address";
import { Explanation } from "./explanation";
import { follow } from "./follow";
import { Latest } from "./latest";
import { Rows } from "./rows";

export interface NodeRef {
  readonly layer: number;
  readonly node: number;
}

/** A version with the values of a row. */
export interface Traced {
  readonly version: Version;
  readonly row: readonly Cell[];
  readonly values: Values;
}

const TOKEN = "forwardpass.token";
/** Browsers refuse to change the address more often than about twenty times a second. */
const ADDRESS_PAUSE_MS = 200;

export class Store {
  readonly networks = signal<readonly NetworkMessage[]>([]);
  readonly versions = signal<readonly VersionMessage[]>([]);
  /** The version as it was chosen: a number, an alias, or empty for the latest. */
  readonly chosen = signal("");
  readonly version = signal<Version | undefined>(undefined);
  readonly row = signal<readonly Cell[]>([]);
  readonly traced = signal<Traced | undefined>(undefined);
  readonly node = signal<NodeRef | undefined>(undefined);
  readonly comparison = signal<Comparison | undefined>(undefined);
  readonly other = signal<Traced | undefined>(undefined);
  readonly tab = signal<Tab>("rows");
  readonly token = signal(sessionStorage.getItem(TOKEN) ?? "");
  readonly wantsToken = signal(false);
  /** Whether calls have a token, that of this page or of the command that serves it. */
  readonly usesTokens = computed(() => this.token.value !== "" || this.#hasUpstreamToken.value);
  readonly error = signal("");
  /** What of a link is not shown, until the row changes. */
  readonly notice = computed(() => (this.#misfit.value.row === this.row.value ? this.#misfit.value.words : ""));
  /** Whether values inside the network cannot be had, because the token has no scope for traces. */
  readonly isTraceDenied = signal(false);
  readonly isLoading = signal(true);

  readonly network = computed(() => this.version.value?.network ?? "");

  /** The address of the gRPC server, for programs. */
  readonly target = signal(`${location.hostname}:50051`);

  readonly #hasUpstreamToken = signal(false);
  readonly #misfit = signal<{ row: readonly Cell[]; words: string }>({ row: [], words: "" });
  readonly #send = sender(() => this.token.peek());
  readonly calls: Calls = callsBy(this.#send);
  readonly rows = new Rows(this);
  readonly explanation = new Explanation(this);
  readonly #tracing = new Latest();
  #opening = 0;
  #following = new AbortController();
  #addressTimer: ReturnType<typeof setTimeout> | undefined;

  /** Read the address, load what it names, and follow every change from then on. */
  async start(): Promise<void> {
    effect(() => this.#trace(this.version.value, this.row.value, this.comparison.value));
    effect(() => this.#writeAddress());
    this.rows.start();
    this.explanation.start();
    void this.#readConfiguration();
    addEventListener("hashchange", () => {
      if (location.hash !== writeAddress(this.#address())) void this.open(readAddress(location.hash));
    });
    await this.reload();
  }

  async #readConfiguration(): Promise<void> {
    type Configuration = { target?: string; hasToken?: boolean };
    const found = await this.#send<Configuration>("config.json").catch((): Configuration => ({}));
    if (found.target) this.target.value = found.target;
    this.#hasUpstreamToken.value = found.hasToken ?? false;
  }

  async reload(): Promise<void> {
    this.#following.abort();
    await this.#guarded(async () => {
      this.networks.value = await this.calls.networks();
      this.#following = new AbortController();
      void follow(this, this.token.value, this.#following.signal);
      const address = readAddress(location.hash);
      const first = preferred(this.networks.value);
      await this.open(address.network ? address : { ...address, network: first });
    });
    this.isLoading.value = false;
  }

  /** Load what an address names. */
  async open(address: Address): Promise<void> {
    if (address.network === "") return;
    const opening = ++this.#opening;
    await this.#guarded(async () => {
      const [version, versions] = await Promise.all([
        this.calls.version(address.network, address.version),
        this.calls.versions(address.network),
      ]);
      if (opening !== this.#opening) return;
      batch(() => {
        this.versions.value = versions;
        this.chosen.value = address.version;
        this.version.value = version;
        this.row.value = rowFor(version, address.row);
        this.node.value = address.node && placeOf(version, address.node.layer, address.node.node);
        this.comparison.value = comparisonFor(version, address.comparison);
        const words = [...(address.faults ?? []), ...misfits(version, address)].join(" ");
        this.#misfit.value = { row: this.row.value, words };
        this.tab.value = address.tab;
        this.isTraceDenied.value = false;
        this.error.value = version.obstacle && `Version ${version.number} cannot be computed: ${version.obstacle}.`;
      });
    });
  }

  /** Take in that a network was changed or deleted. */
  async onChange(network: NetworkMessage, isDeleted: boolean): Promise<void> {
    const others = this.networks.value.filter(({ name }) => name !== network.name);
    const all = isDeleted ? others : [...others, network];
    this.networks.value = all.sort((one, other) => ((one.name ?? "") < (other.name ?? "") ? -1 : 1));
    const shown = this.version.value;
    if (shown === undefined || network.name !== shown.network || isDeleted) return;
    const named = this.chosen.value === "" ? network.latestVersion : network.aliases?.[this.chosen.value];
    if (named !== undefined && Number(named) !== shown.number) return this.open(this.#address());
    await this.#guarded(async () => {
      this.versions.value = await this.calls.versions(shown.network);
    });
  }

  openNetwork(network: string): void {
    const nothing = { row: undefined, node: undefined, comparison: undefined };
    void this.open({ ...this.#address(), network, version: "", ...nothing });
  }

  openVersion(version: string): void {
    void this.open({ ...this.#address(), version });
  }

  setCell(feature: number, cell: Cell): void {
    this.row.value = this.row.value.map((value, index) => (index === feature ? cell : value));
  }

  setToken(token: string): void {
    if (token) sessionStorage.setItem(TOKEN, token);
    else sessionStorage.removeItem(TOKEN);
    this.token.value = token;
    this.wantsToken.value = false;
    this.explanation.isAvailable.value = true;
    void this.reload();
  }

  #trace(version: Version | undefined, row: readonly Cell[], comparison: Comparison | undefined): void {
    if (version === undefined || version.obstacle) return;
    this.#tracing.run(() =>
      this.#guarded(async () => {
        const values = await this.#valuesOf(version, row);
        const other = comparison && (await this.#compared(version, row, comparison));
        if (this.version.peek() !== version) return;
        batch(() => {
          this.traced.value = { version, row, values };
          this.other.value = other;
          this.error.value = "";
        });
      }),
    );
  }

  async #compared(version: Version, row: readonly Cell[], comparison: Comparison): Promise<Traced> {
    if (comparison.kind === "row") {
      return { version, row: comparison.row, values: await this.#valuesOf(version, comparison.row) };
    }
    const known = this.other.peek()?.version;
    const isKnown = known?.network === version.network && String(known.number) === comparison.version;
    const other = known && isKnown ? known : await this.calls.version(version.network, comparison.version);
    return { version: other, row, values: await this.#valuesOf(other, row) };
  }

  async #valuesOf(version: Version, row: readonly Cell[]): Promise<Values> {
    if (!this.isTraceDenied.peek()) {
      try {
        return valuesOf(version, await this.calls.trace(version, [row]));
      } catch (error) {
        if (!(error instanceof ApiError && error.isDenied)) throw error;
        this.isTraceDenied.value = true;
      }
    }
    return valuesOf(version, await this.calls.predict(version, [row]));
  }

  /** Do something; show its error. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof ApiError && error.isUnauthenticated) this.wantsToken.value = true;
      this.error.value = error instanceof Error ? error.message : String(error);
    }
  }

  #address(): Address {
    const version = this.version.value;
    const node = this.node.value;
    return {
      network: version?.network ?? "",
      version: this.chosen.value,
      row: this.row.value,
      node: version &&
        node && { layer: layerName(version, node.layer), node: nodeName(version, node.layer, node.node) },
      comparison: this.comparison.value,
      tab: this.tab.value,
    };
  }

  #writeAddress(): void {
    const address = this.#address();
    clearTimeout(this.#addressTimer);
    this.#addressTimer = setTimeout(() => {
      if (address.network) history.replaceState(null, "", writeAddress(address));
    }, ADDRESS_PAUSE_MS);
  }
}

/** Return the network that a stranger sees first: the article's, if it is there. */
function preferred(networks: readonly NetworkMessage[]): string {
  const names = networks.map((network) => network.name ?? "");
  return names.find((name) => name === "article-2-hidden") ?? names[0] ?? "";
}

/** Return a row that fits the features: the one of an address, else the version's first example, else middle values. */
export function rowFor(version: Version, row: readonly Cell[] | undefined): readonly Cell[] {
  if (row !== undefined && row.length === version.features.length) return row;
  return version.features.map((feature, index) => initialCell(feature, version.examples[0]?.[index]));
}

function comparisonFor(version: Version, comparison: Comparison | undefined): Comparison | undefined {
  const isMisfit = comparison?.kind === "row" && comparison.row.length !== version.features.length;
  return isMisfit ? undefined : comparison;
}

/** Return sentences on the rows of an address that are not as wide as the inputs. */
export function misfits(version: Version, { row, comparison }: Pick<Address, "row" | "comparison">): string[] {
  const width = version.features.length;
  const has = (values: readonly Cell[]) => `has ${counted(values.length, "value")} for ${counted(width, "input")}`;
  const other = comparison?.kind === "row" ? comparison.row : undefined;
  return [
    ...(row && row.length !== width ? [`The row ${has(row)}; the page shows another one.`] : []),
    ...(other && other.length !== width ? [`The row to compare with ${has(other)}; it is left out.`] : []),
  ];
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function placeOf(version: Version, layer: string, node: string): NodeRef | undefined {
  const at = layer === "inputs" ? INPUTS : version.layers.findIndex(({ name }) => name === layer);
  const names =
    at === INPUTS && layer === "inputs" ? version.features.map(({ name }) => name) : version.layers[at]?.nodes;
  const index = names?.indexOf(node) ?? -1;
  return index < 0 ? undefined : { layer: layer === "inputs" ? INPUTS : at, node: index };
}
