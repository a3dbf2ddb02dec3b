// What stands below the picture, one at a time.

import type { ComponentType } from "preact";
import type { Version } from "../network/version";
import { TABS, type Tab } from "../state/address";
import type { Store } from "../state/store";
import { ValuesTable } from "./ValuesTable";

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

const PANELS: Partial<Record<Tab, ComponentType<TabProps>>> = {
  table: ValuesTable,
};

export function Tabs({ store, version }: TabProps) {
  const tabs = TABS.filter((tab) => PANELS[tab] !== undefined);
  const chosen = tabs.includes(store.tab.value) ? store.tab.value : (tabs[0] ?? "table");
  const Panel = PANELS[chosen] ?? ValuesTable;
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = tabs[(tabs.indexOf(chosen) + step + tabs.length) % tabs.length] ?? chosen;
    store.tab.value = next;
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <section class="card tabs">
      <div role="tablist" aria-label="More about this network" onKeyDown={onKeyDown}>
        {tabs.map((tab) => (
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
