import type { Store } from "../state/store";
import { Header } from "./Header";
import { InputForm } from "./InputForm";
import { NodePanel } from "./NodePanel";
import { Stage } from "./Stage";
import { Tabs } from "./Tabs";

export function Page({ store }: { store: Store }) {
  const version = store.version.value;
  return (
    <>
      <Header store={store} />
      <main>
        {store.error.value !== "" && (
          <p class="error" role="alert">
            {store.error.value}
          </p>
        )}
        {version === undefined ? (
          <Empty store={store} />
        ) : (
          <>
            <div class="heading">
              <h1>{version.network}</h1>
              <p>{version.description}</p>
            </div>
            <div class="stage">
              <InputForm store={store} version={version} />
              <Stage store={store} version={version} />
              <NodePanel store={store} version={version} />
            </div>
            <Tabs store={store} version={version} />
          </>
        )}
      </main>
    </>
  );
}

function Empty({ store }: { store: Store }) {
  return (
    <div class="empty">
      <h1>forwardpass</h1>
      <p>
        {store.isLoading.value
          ? "Loading…"
          : store.wantsToken.value
            ? "Enter a token to see networks."
            : "No networks."}
      </p>
    </div>
  );
}
