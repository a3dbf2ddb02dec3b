// Numbers as people read them.

/** Return a number with at most `digits` significant digits, and a true minus. */
export function short(value: number, digits = 4): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const rounded = Number(value.toPrecision(digits));
  const text =
    Math.abs(rounded) >= 1e7 || (rounded !== 0 && Math.abs(rounded) < 1e-4) ? scientific(rounded) : `${rounded}`;
  return text.replace("-", "−");
}

/** Return a number in at most `most` characters where two digits suffice for that. */
export function compact(value: number, digits: number, most: number): string {
  const text = short(value, digits);
  return text.length <= most ? text : short(value, 2);
}

function scientific(value: number): string {
  const [digits, exponent] = value.toExponential().split("e");
  return `${digits}e${exponent?.replace("+", "")}`;
}

/** Return a number with its sign, also where it is positive. */
export function signed(value: number, digits = 4): string {
  return value >= 0 ? `+${short(value, digits)}` : short(value, digits);
}

/** Return a share from 0 to 1 in percent. */
export function percent(share: number): string {
  const value = 100 * share;
  const digits = value > 0 && value < 100 && (value < 1 || value > 99) ? 2 : 1;
  return `${Number(value.toFixed(digits))} %`;
}

/** Return a count with its noun: `1 row`, `2 rows`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
