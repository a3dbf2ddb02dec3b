import { render } from "preact";
import { Store } from "./state/store";
import { Page } from "./ui/Page";
import "./ui/page.css";

const store = new Store();
const page = document.getElementById("page");
if (page !== null) render(<Page store={store} />, page);
void store.start();
