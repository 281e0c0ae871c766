import { render } from "preact";

const root = document.getElementById("app");
if (root) render(<h1>paystream</h1>, root);
