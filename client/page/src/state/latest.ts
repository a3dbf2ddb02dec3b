// Work of which only the newest matters, as a request for a picture that follows the mouse.

/** Runs one piece of work at a time. Of those that come meanwhile, the last one runs next; others are dropped. */
export class Latest {
  #running = false;
  #next: (() => Promise<void>) | undefined;

  /** Run work now or after the running one. Work must handle its own errors. */
  run(work: () => Promise<void>): void {
    this.#next = work;
    if (!this.#running) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#running = true;
    try {
      while (this.#next !== undefined) {
        const work = this.#next;
        this.#next = undefined;
        await work();
      }
    } finally {
      this.#running = false;
    }
  }
}
