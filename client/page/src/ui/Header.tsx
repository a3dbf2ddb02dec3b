// The bar at the top: which network, which version, which token.

import { useState } from "preact/hooks";
import type { Store } from "../state/store";

export function Header({ store }: { store: Store }) {
  return (
    <header>
      <a class="brand" href="./" aria-label="forwardpass, start again">
        <Mark />
        <span>forwardpass</span>
      </a>
      <Pickers store={store} />
      <TokenField store={store} />
    </header>
  );
}

function Mark() {
  return (
    <svg width="26" height="26" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M7 9 25 16M7 23 25 16" class="mark-line" />
      <circle cx="7" cy="9" r="4.5" class="mark-positive" />
      <circle cx="7" cy="23" r="4.5" class="mark-negative" />
      <circle cx="25" cy="16" r="4.5" class="mark-positive" />
    </svg>
  );
}

function Pickers({ store }: { store: Store }) {
  const version = store.version.value;
  const networks = store.networks.value;
  if (version === undefined && networks.length === 0) return null;
  return (
    <div class="pickers">
      <label>
        <span>Network</span>
        <select value={version?.network ?? ""} onChange={(event) => store.openNetwork(event.currentTarget.value)}>
          {version !== undefined && !networks.some((network) => network.name === version.network) && (
            <option value={version.network}>{version.network}</option>
          )}
          {networks.map(({ name = "" }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span>Version</span>
        <select value={store.chosen.value} onChange={(event) => store.openVersion(event.currentTarget.value)}>
          <VersionOptions store={store} />
        </select>
      </label>
    </div>
  );
}

function VersionOptions({ store }: { store: Store }) {
  const versions = store.versions.value;
  const aliases = versions.flatMap(({ aliases = [], version = "" }) =>
    aliases.filter((alias) => alias !== "latest").map((alias) => ({ alias, version })),
  );
  return (
    <>
      <option value="">latest ({versions.find(({ aliases }) => aliases?.includes("latest"))?.version ?? "?"})</option>
      {aliases.map(({ alias, version }) => (
        <option key={alias} value={alias}>{`${alias} (${version})`}</option>
      ))}
      {versions.map(({ version = "" }) => (
        <option key={version} value={version}>
          {version}
        </option>
      ))}
    </>
  );
}

function TokenField({ store }: { store: Store }) {
  const [isOpen, setOpen] = useState(false);
  const isShown = isOpen || store.wantsToken.value;
  const submit = (event: Event) => {
    event.preventDefault();
    const field = (event.currentTarget as HTMLFormElement).elements.namedItem("token");
    store.setToken((field as HTMLInputElement).value.trim());
    setOpen(false);
  };
  if (!isShown && !store.usesTokens.value) return null;
  return isShown ? (
    <form class="token" onSubmit={submit}>
      <label>
        <span>Token</span>
        <input name="token" type="password" autocomplete="off" defaultValue={store.token.value} />
      </label>
      <button type="submit">Use</button>
    </form>
  ) : (
    <button type="button" class="quiet token-button" onClick={() => setOpen(true)}>
      {store.token.value ? "Change token" : "Token"}
    </button>
  );
}
