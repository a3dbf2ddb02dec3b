// What one sees, to take along: a link, pictures, numbers, and the Python that makes the same call.

import { useState } from "preact/hooks";
import { download, pngOf, svgDocument } from "../picture/export";
import { pythonFor } from "../state/python";
import { traceAsJson } from "../state/take";
import type { TabProps } from "./Tabs";

export function TakeTab({ store, version }: TabProps) {
  const [said, setSaid] = useState("");
  const traced = store.traced.value;
  if (traced?.version !== version) return null;
  const name = `${version.network}-${version.number}`;
  const python = pythonFor(version, traced.row, { target: store.target.value, hasToken: store.token.value !== "" });
  const picture = (): SVGSVGElement => {
    const drawn = document.querySelector<SVGSVGElement>("svg.diagram");
    if (drawn === null) throw new Error("There is no picture yet.");
    return drawn;
  };
  const act = async (work: () => Promise<string> | string) => {
    try {
      setSaid(await work());
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error));
    }
  };
  const save = (suffix: string, content: () => Promise<Blob> | Blob) => () =>
    void act(async () => {
      download(`${name}.${suffix}`, await content());
      return `Saved ${name}.${suffix}`;
    });
  const copy = (what: string, text: () => string) => () =>
    void act(async () => {
      await navigator.clipboard.writeText(text());
      return `${what} copied`;
    });
  return (
    <>
      <div class="toolbar">
        <button type="button" onClick={copy("Link", () => location.href)}>
          Copy the link
        </button>
        <button
          type="button"
          class="quiet"
          onClick={save("svg", () => new Blob([svgDocument(picture())], { type: "image/svg+xml" }))}
        >
          SVG
        </button>
        <button type="button" class="quiet" onClick={save("png", () => pngOf(picture()))}>
          PNG
        </button>
        <button
          type="button"
          class="quiet"
          onClick={save("json", () => new Blob([traceAsJson(traced)], { type: "application/json" }))}
        >
          JSON
        </button>
        <button type="button" class="quiet" onClick={save("py", () => new Blob([python], { type: "text/x-python" }))}>
          Python
        </button>
        <span role="status" class="muted">
          {said}
        </span>
      </div>
      <p class="note">
        The link holds the network, the version, the row, the selected node and the comparison. The same in Python:
      </p>
      <pre tabIndex={0} aria-label="Python that makes the same call" role="region">
        <code>{python}</code>
      </pre>
    </>
  );
}
