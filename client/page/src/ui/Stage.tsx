// The picture in the middle of the page; two of them where two rows or versions are compared.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { rowInWords } from "../api/rows";
import { differingNodes } from "../network/differences";
import { counted } from "../network/numbers";
import type { Version } from "../network/version";
import { Diagram } from "../picture/Diagram";
import { layoutOf } from "../picture/layout";
import type { Place } from "../picture/walk";
import type { Store, Traced } from "../state/store";
import { Outputs } from "./Outputs";
import { Play } from "./Play";
import { Tooltip } from "./Tooltip";

const MIN_SCALE = 0.72;

export function Stage({ store, version }: { store: Store; version: Version }) {
  const traced = store.traced.value;
  const other = store.comparison.value && store.other.value;
  const shown = traced?.version === version ? traced : undefined;
  return (
    <section class="card picture" aria-labelledby="picture-heading">
      <h2 id="picture-heading" class="hidden">
        The forward pass
      </h2>
      {store.isTraceDenied.value && (
        <p class="note">This token may not see inside the network (scope “trace”): the picture has outputs only.</p>
      )}
      {shown !== undefined && (
        <>
          <div class="panes">
            <div class="pane">
              {other && <PaneHeading traced={shown} other={other} />}
              <Outputs version={version} values={shown.values} />
              <Pane store={store} traced={shown} {...(other ? { other } : {})} />
            </div>
            {other && (
              <div class="pane">
                <PaneHeading traced={other} other={shown} />
                <Outputs version={other.version} values={other.values} />
                <Pane store={store} traced={other} other={shown} />
              </div>
            )}
          </div>
          <Legend version={version} isComparing={other !== undefined} />
        </>
      )}
    </section>
  );
}

function PaneHeading({ traced, other }: { traced: Traced; other: Traced }) {
  const isSameVersion = traced.version.number === other.version.number;
  return <h3>{isSameVersion ? rowInWords(traced.version, traced.row) : `Version ${traced.version.number}`}</h3>;
}

/** A picture that is as wide as its place, and what the mouse points at. */
function Pane({ store, traced, other }: { store: Store; traced: Traced; other?: Traced }) {
  const { version, values, row } = traced;
  const [pointed, setPointed] = useState<Place>();
  const [width, setWidth] = useState(0);
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (frame.current === null) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(frame.current);
    return () => observer.disconnect();
  }, []);
  const layout = useMemo(() => layoutOf(version, width), [version, width]);
  // A picture that is a little too wide is drawn smaller; what is left is scrolled.
  const scale = Math.max(MIN_SCALE, Math.min(1, width / layout.width));
  const selected = store.node.value;
  const [revealed, setRevealed] = useState<number>();
  // Drawn anew when a value changes, not when the mouse moves.
  const picture = useMemo(() => {
    const differing = other && differingNodes(traced, other);
    return (
      <Diagram
        version={version}
        values={values}
        row={row}
        layout={layout}
        scale={scale}
        label={`${version.network} version ${version.number}: ${counted(version.layers.length, "layer")}`}
        selected={selected}
        revealed={revealed}
        onSelect={(place) => (store.node.value = place)}
        onPoint={setPointed}
        differs={differing && (({ layer, node }) => differing.has(`${layer}/${node}`))}
      />
    );
  }, [store, traced, other, layout, scale, selected, revealed]);
  return (
    <>
      <div class="frame" ref={frame}>
        {width > 0 && (
          <div class="canvas">
            {picture}
            {pointed && <Tooltip traced={traced} place={pointed} layout={layout} scale={scale} />}
          </div>
        )}
      </div>
      {other === undefined && <Play version={version} layout={layout} revealed={revealed} onReveal={setRevealed} />}
    </>
  );
}

function Legend({ version, isComparing }: { version: Version; isComparing: boolean }) {
  return (
    <p class="legend">
      <span class="key positive">positive</span>
      <span class="key negative">negative</span>
      <span class="key dead">dead: passes nothing on</span>
      {isComparing && <span class="key differs">differs</span>}
      {!isComparing && version.profileRows > 0 && <span class="key differs">unusual</span>}
      <span>
        {version.weights === undefined
          ? "The network is too large to draw its edges."
          : "Each node adds up weight × value over its edges, then applies its activation. The wider an edge, the more it adds."}
      </span>
    </p>
  );
}
