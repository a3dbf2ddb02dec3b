// What stands below the picture, one at a time.

import type { ComponentType } from "preact";
import type { Version } from "../network/version";
import { TABS, type Tab } from "../state/address";
import type { Store } from "../state/store";
import { CompareTab } from "./CompareTab";
import { RowsTab } from "./RowsTab";
import { TakeTab } from "./TakeTab";
import { ValuesTable } from "./ValuesTable";
import { VersionsTab } from "./VersionsTab";

export interface TabProps {
  store: Store;
  version: Version;
}

const TITLES: Record<Tab, string> = {
  rows: "Your rows",
  compare: "Compare",
  versions: "Versions",
  table: "As a table",
  take: "Take it with you",
};

const PANELS: Record<Tab, ComponentType<TabProps>> = {
  rows: RowsTab,
  compare: CompareTab,
  versions: VersionsTab,
  table: ValuesTable,
  take: TakeTab,
};

export function Tabs({ store, version }: TabProps) {
  const chosen = store.tab.value;
  const Panel = PANELS[chosen];
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = TABS[(TABS.indexOf(chosen) + step + TABS.length) % TABS.length] ?? chosen;
    store.tab.value = next;
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <section class="card tabs">
      <div role="tablist" aria-label="More about this network" onKeyDown={onKeyDown}>
        {TABS.map((tab) => (
          <button
            key={tab}
            type="button"
            role="tab"
            id={`tab-${tab}`}
            aria-selected={tab === chosen}
            aria-controls="tab-panel"
            tabIndex={tab === chosen ? 0 : -1}
            onClick={() => (store.tab.value = tab)}
          >
            {TITLES[tab]}
          </button>
        ))}
      </div>
      <div role="tabpanel" id="tab-panel" aria-labelledby={`tab-${chosen}`}>
        <Panel store={store} version={version} />
      </div>
    </section>
  );
}
