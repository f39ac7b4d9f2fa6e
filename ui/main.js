// @ts-check
// The page: its worker, its views.

import assets from "innerloop:assets";
import { Client } from "./client.js";
import { startPage } from "./page.js";

document.getElementById("stuck")?.remove(); // this script has come
startPage(new Client({ url: new URL(assets.worker, document.baseURI).href }), assets);
