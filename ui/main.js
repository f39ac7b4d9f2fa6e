// @ts-check
// The page: its worker, its views.

import assets from "innerloop:assets";
import { Client } from "./client.js";
import { startPage } from "./page.js";

startPage(new Client({ url: new URL(assets.worker, document.baseURI).href }), assets);
