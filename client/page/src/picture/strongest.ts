// The largest of very many amounts, without sorting all of them.

/** Keeps the items of the largest amounts. */
export class Strongest<Item extends { readonly amount: number }> {
  #items: Item[] = [];
  #least = -1;
  /** The size of the largest amount. */
  largest = 0;
  /** Whether there were more items than are kept. */
  isCrowded = false;
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  /** Return whether an amount may be one of the largest. */
  wants(amount: number): boolean {
    return Math.abs(amount) > this.#least || Number.isNaN(amount);
  }

  add(item: Item): void {
    this.#items.push(item);
    if (Number.isFinite(item.amount)) this.largest = Math.max(this.largest, Math.abs(item.amount));
    if (this.#items.length >= 2 * this.#most + 256) this.#trim();
  }

  /** Return the kept items, strongest first. */
  items(): Item[] {
    this.#trim();
    return this.#items;
  }

  #trim(): void {
    const size = ({ amount }: Item) => (Number.isNaN(amount) ? -1 : Math.abs(amount));
    this.#items.sort((one, other) => size(other) - size(one));
    if (this.#items.length <= this.#most) return;
    this.isCrowded = true;
    this.#items.length = this.#most;
    const last = this.#items.at(-1);
    this.#least = last === undefined ? -1 : size(last);
  }
}
