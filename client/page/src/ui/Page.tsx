import { useEffect } from "preact/hooks";
import type { Store } from "../state/store";
import { Header } from "./Header";
import { InputForm } from "./InputForm";
import { NodePanel } from "./NodePanel";
import { SharesPanel } from "./SharesPanel";
import { Stage } from "./Stage";
import { Tabs } from "./Tabs";

export function Page({ store }: { store: Store }) {
  const version = store.version.value;
  useFileDrop(store);
  useEffect(() => {
    document.title = version ? `${version.network} · forwardpass` : "forwardpass";
  }, [version]);
  return (
    <>
      <Header store={store} />
      <main>
        {store.error.value !== "" && (
          <p class="error" role="alert">
            {store.error.value}
          </p>
        )}
        {store.notice.value !== "" && (
          <p class="note warn" role="status">
            {store.notice.value}
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
            <div class={store.comparison.value ? "stage comparing" : "stage"}>
              <InputForm store={store} version={version} />
              <Stage store={store} version={version} />
              <div class="side">
                <NodePanel store={store} version={version} />
                <SharesPanel store={store} version={version} />
              </div>
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
      <p>{whyEmpty(store)}</p>
    </div>
  );
}

/** Say why no network is shown; the error above says it where there is one. */
function whyEmpty(store: Store): string {
  if (store.isLoading.value) return "Loading…";
  if (store.wantsToken.value) return "Enter a token to see networks.";
  if (store.networks.value.length > 0) return "Choose a network above.";
  return store.error.value === "" ? "No networks." : "";
}

/** Load a file that is dropped anywhere on the page. */
function useFileDrop(store: Store): void {
  useEffect(() => {
    const onDragOver = (event: DragEvent) => event.preventDefault();
    const onDrop = (event: DragEvent) => {
      event.preventDefault();
      const file = event.dataTransfer?.files[0];
      if (file === undefined) return;
      store.tab.value = "rows";
      void store.rows.load(file);
    };
    addEventListener("dragover", onDragOver);
    addEventListener("drop", onDrop);
    return () => {
      removeEventListener("dragover", onDragOver);
      removeEventListener("drop", onDrop);
    };
  }, [store]);
}
