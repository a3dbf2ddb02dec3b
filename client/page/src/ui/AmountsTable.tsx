// A table of amounts that add up: a name, numbers, and a bar for each row.

import type { ComponentChildren } from "preact";
import { Bar } from "./Bar";

interface AmountsTableProps {
  caption: ComponentChildren;
  /** The heading of the names, and those of the numbers. */
  columns: readonly [string, ...string[]];
  /** Whether the numbers are parts of a sum, which are set smaller. */
  isSum?: boolean;
  children: ComponentChildren;
}

export function AmountsTable({ caption, columns: [names, ...numbers], isSum = false, children }: AmountsTableProps) {
  return (
    <table class={isSum ? "terms sums" : "terms"}>
      <caption>{caption}</caption>
      <thead>
        <tr>
          <th scope="col">{names}</th>
          {numbers.map((heading) => (
            <th key={heading} scope="col" class="number">
              {heading}
            </th>
          ))}
          <th scope="col">
            <span class="hidden">bar</span>
          </th>
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}

interface AmountRowProps {
  name: string;
  numbers: readonly string[];
  amount: number;
  most: number;
}

export function AmountRow({ name, numbers, amount, most }: AmountRowProps) {
  return (
    <tr>
      <th scope="row" title={name}>
        {name}
      </th>
      {numbers.map((number, column) => (
        <td key={column} class="number">
          {number}
        </td>
      ))}
      <td>
        <Bar amount={amount} most={most} />
      </td>
    </tr>
  );
}
