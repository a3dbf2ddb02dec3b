// The shares of the inputs in the outputs of the row that is shown, computed whenever the row rests.

import { effect, signal } from "@preact/signals";
import type { Calls, Method } from "../api/calls";
import { ApiError } from "../api/http";
import type { Cell } from "../network/features";
import { type Shares, sharesOf } from "../network/shares";
import type { Version } from "../network/version";
import type { Comparison } from "./address";
import { Latest } from "./latest";
import type { Traced } from "./store";

const REST_MS = 150;

export interface Page {
  readonly calls: Calls;
  readonly traced: { readonly value: Traced | undefined };
  readonly comparison: { readonly value: Comparison | undefined };
}

/** The shares of a version's row, and whether its baseline is the row that is compared with it. */
export interface Found {
  readonly version: Version;
  readonly shares: readonly Shares[];
  readonly isCompared: boolean;
}

export class Explanation {
  readonly method = signal<Method>("integrated_gradients");
  readonly found = signal<Found | undefined>(undefined);
  readonly error = signal("");
  /** Whether the server has the method Explain and the token its scope. */
  readonly isAvailable = signal(true);

  readonly #page: Page;
  readonly #explaining = new Latest();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(page: Page) {
    this.#page = page;
  }

  start(): void {
    effect(() => {
      const [traced, method, comparison] = [this.#page.traced.value, this.method.value, this.#page.comparison.value];
      const baseline = comparison?.kind === "row" ? comparison.row : undefined;
      clearTimeout(this.#timer);
      if (traced && this.isAvailable.value) {
        this.#timer = setTimeout(() => this.#explaining.run(() => this.#explain(traced, method, baseline)), REST_MS);
      }
    });
  }

  async #explain({ version, row }: Traced, method: Method, baseline: readonly Cell[] | undefined): Promise<void> {
    try {
      const shares = sharesOf(version, await this.#page.calls.explain(version, row, method, baseline));
      this.found.value = { version, shares, isCompared: baseline !== undefined };
      this.error.value = "";
    } catch (error) {
      this.found.value = undefined;
      if (error instanceof ApiError && (error.isAbsentMethod || error.isDenied)) this.isAvailable.value = false;
      else this.error.value = error instanceof Error ? error.message : String(error);
    }
  }
}
