import { expect, test } from "vitest";
import { type Address, readAddress, writeAddress } from "../src/state/address";

const NOTHING: Address = { network: "", version: "", row: undefined, node: undefined, comparison: undefined, tab: "rows" };

test.each<Address>([
  NOTHING,
  { ...NOTHING, network: "bank", version: "production", row: [1.5, "a & b # ü", true, null], tab: "table" },
  { ...NOTHING, network: "bank", node: { layer: "hidden", node: "<b>" }, comparison: { kind: "version", version: "2" } },
  { ...NOTHING, network: "bank", row: [0.1 + 0.2, -0], comparison: { kind: "row", row: [1e-300, 5] } },
])("an address is read as it was written: %o", (address) => {
  expect(readAddress(writeAddress(address))).toEqual({ ...address, row: address.row?.map((cell) => (Object.is(cell, -0) ? 0 : cell)) });
});

test.each(["#node=[1]&tab=nowhere", "#%%%", ""])("what is wrong is passed over: %s", (hash) => {
  expect(readAddress(hash)).toEqual(NOTHING);
});

test.each(["#row=oops&node=[1]", "#row={}", "#row=", "#with_row=[[]]"])("a row that cannot be read is said: %s", (hash) => {
  const { faults, ...rest } = readAddress(hash);
  expect(rest).toEqual(NOTHING);
  expect(faults?.join()).toMatch(/^The row .*cannot be read/);
});
