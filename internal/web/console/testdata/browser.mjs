// Walks through the console in a real browser and prints one JSON line of what it saw.
//
//	node browser.mjs '{"base": …, "link": …, "day": …, "borrower": …, "chromium": …, "modules": …, "shots": …}'
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const o = JSON.parse(process.argv[2]);
const require = createRequire(o.modules + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const seen = { checks: [], errors: [], axe: [], wide: [] };
const check = (name, ok, what = "") => { seen.checks.push({ name, ok: !!ok, what: String(what) }); };
const browser = await chromium.launch({ executablePath: o.chromium, args: ["--no-sandbox", "--disable-dev-shm-usage"] });

// watch notes what a page complains of. A form that is refused answers 4xx, which the browser logs: those are expected ones.
const watch = (page, expected) => {
  page.on("console", (m) => { if (m.type() === "error" && !(expected.some((e) => m.text().includes(e)))) seen.errors.push(page.url() + " " + m.text()); });
  page.on("pageerror", (e) => seen.errors.push(page.url() + " " + e.message));
};
const look = async (page, name) => {
  // The page may not run foreign scripts, which is the point of its policy; the tool looks from outside it.
  const found = await page.evaluate(axe + "; axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => v.id + ' ' + v.nodes[0].target + ' ' + v.nodes[0].failureSummary))");
  for (const f of found) seen.axe.push(name + ": " + f);
  const over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  if (over > 0) seen.wide.push(`${name}: ${over} px`);
  const lost = await page.evaluate("document.body.innerText.includes('⟦') || document.title.includes('⟦')");
  check(name + ": every word is in the catalogue", !lost);
  if (o.shots) await page.screenshot({ path: `${o.shots}/${name}.png`, fullPage: true });
};

const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "zh-CN" });
const page = await context.newPage();
watch(page, ["403", "422", "404"]);

// The first account is opened by its link, once.
await page.goto(o.link);
await page.fill("[name=password]", "short");
await page.fill("[name=again]", "short");
await page.click("button.main");
check("a short password is refused", await page.locator("[role=alert]").count());
await page.fill("[name=password]", o.password);
await page.fill("[name=again]", o.password);
await page.click("button.main");
check("the link signs in", new URL(page.url()).pathname === "/");
check("the link works once", (await page.goto(o.link)).status() === 404);

// An account for operations is made, and used from here on.
await page.goto(o.base + "/accounts");
await look(page, "accounts");
await page.fill("[name=name]", "li.wei");
await page.selectOption("[name=role]", "compliance");
await page.click("form[action='/accounts'] button.main");
const link = await page.locator(".note code").innerText();
await page.click(".top form[action='/signout'] button");
check("signing out leads to the sign-in", new URL(page.url()).pathname === "/signin");
await look(page, "signin");
await page.goto(link);
await page.fill("[name=password]", o.password);
await page.fill("[name=again]", o.password);
await page.click("button.main");
await page.click(".top form[action='/signout'] button");
await page.fill("[name=name]", "li.wei");
await page.fill("[name=password]", "not the password");
await page.click("button.main");
check("a wrong password is refused", await page.locator("[role=alert]").count());
await page.fill("[name=password]", o.password);
await page.click("button.main");
check("a right one signs in", new URL(page.url()).pathname === "/");

// Each page, in both languages and themes, wide and narrow.
const pages = { today: "/?day=" + o.day, empty: "/?day=2020-01-01", borrower: `/borrowers/${o.borrower}?day=${o.day}`, care: "/care", audit: "/audit?borrower=" + o.borrower, reports: "/reports", search: "/search?q=nobody" };
for (const [language, theme, width] of [["zh-CN", "light", 1280], ["en", "dark", 1280], ["zh-CN", "dark", 390], ["en", "light", 390]]) {
  await page.setViewportSize({ width, height: 900 });
  await page.goto(o.base + "/");
  if ((await page.getAttribute("html", "lang")) !== language) await page.click(`button[name=language]`);
  if ((await page.getAttribute("html", "data-theme")) !== theme) {
    await page.click("button[name=theme]");
    if ((await page.getAttribute("html", "data-theme")) !== theme) await page.click("button[name=theme]");
  }
  check(`${language} ${theme}: set`, (await page.getAttribute("html", "lang")) === language && (await page.getAttribute("html", "data-theme")) === theme);
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(o.base + path);
    await look(page, `${name}-${language}-${theme}-${width}`);
  }
}
await page.setViewportSize({ width: 1280, height: 900 });

// Totals close, and their numbers lead to their rows.
await page.goto(o.base + pages.today);
const number = async (l) => parseInt((await l.innerText()).replace(/,/g, ""), 10);
let sum = 0;
for (const b of await page.locator(".sums li b").all()) sum += await number(b);
const heads = await page.locator(".sums h2 b").all();
check("the sums close", sum === (await number(heads[0])) + (await number(heads[1])) && sum > 0, sum);
const first = page.locator(".sums li").first();
const want = await number(first.locator("b"));
await first.locator("a").click();
let rows = await page.locator("table[data-rows] tbody tr").count();
for (let more = page.locator("a[rel=next]").last(); (await page.locator("section a[rel=next]").count()) > 0; ) {
  await page.locator("section a[rel=next]").click();
  rows += await page.locator("table[data-rows] tbody tr").count();
}
check("a number opens its rows", rows === want, `${rows} rows of ${want}`);

// Keys.
await page.goto(o.base + pages.today);
await page.keyboard.press("j");
await page.keyboard.press("j");
await page.keyboard.press("k");
check("j and k go through rows", (await page.locator("tbody tr.at").count()) === 1);
await page.keyboard.press("?");
check("? shows the keys", await page.locator("dialog[open]").count());
await page.keyboard.press("Escape");
await page.keyboard.press("/");
check("/ searches", await page.evaluate("document.activeElement.name === 'q'"));
await page.keyboard.type(o.borrower);
await page.keyboard.press("Enter");
await page.waitForURL("**/borrowers/**");

// A hold, and its release, with scripts off: the page's forms are all it needs.
const bare = await browser.newContext({ javaScriptEnabled: false, storageState: await context.storageState(), viewport: { width: 390, height: 800 } });
const quiet = await bare.newPage();
await quiet.goto(o.base + "/borrowers/" + o.borrower);
const before = await quiet.locator(".badges .warn").count();
await quiet.fill("[name=reason]", "客户来电 <b>bold</b>");
await quiet.selectOption("[name=kind]", "dispute");
await quiet.click("form.stack[action$='/holds'] button.main");
check("a hold shows on the person", (await quiet.locator(".badges .warn").count()) === before + 1);
check("a reason is text", (await quiet.locator(".line b b").count()) === 0 && (await quiet.content()).includes("&lt;b&gt;"));
await quiet.click("form[action$='/release'] button");
check("its release takes it away", (await quiet.locator(".badges .warn").count()) === before);

// Another site's form is refused.
const foreign = await page.request.post(o.base + `/borrowers/${o.borrower}/holds`, { headers: { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" }, form: { kind: "manual", reason: "x" } });
check("another site's form is refused", foreign.status() === 403, foreign.status());
await browser.close();
console.log(JSON.stringify(seen));
