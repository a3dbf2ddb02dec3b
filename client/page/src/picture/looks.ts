// What the parts of a picture share: classes by sign, texts that fit.

import type { Place } from "./walk";

/** Return whether two places are the same one. */
export function isSame(one: Place | undefined, other: Place | undefined): boolean {
  return one !== undefined && one.layer === other?.layer && one.node === other.node;
}

/** Return the class of a number by its sign. */
export function signOf(value: number): string {
  return value > 0 ? "positive" : value < 0 ? "negative" : "";
}

/** Return a text that fits a width, with the width of a character in pixels. */
export function cut(text: string, width: number, character: number): string {
  const most = Math.max(3, Math.floor(width / character));
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
