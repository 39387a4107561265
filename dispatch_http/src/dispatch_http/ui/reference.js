"use strict";
// Sends what a form says and shows the answer. The key is kept nowhere but in its field.
const shown = ["ETag", "Location", "Retry-After", "X-Request-Id"];

async function send(form) {
  const fields = [...form.querySelectorAll("[data-in]")].filter((each) => each.value !== "");
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = {};
  let body;
  for (const each of fields) {
    const where = each.dataset.in;
    if (where === "path") path = path.replace(`{${each.name}}`, encodeURIComponent(each.value));
    if (where === "query") for (const value of each.dataset.many ? each.value.split(",") : [each.value]) query.append(each.name, value.trim());
    if (where === "header") headers[each.name] = each.value;
    if (where === "body") { body = each.value; headers["Content-Type"] = "application/json"; }
  }
  const key = document.getElementById("key").value;
  if (key) headers.Authorization = `Bearer ${key}`;
  const search = query.toString();
  const answer = await fetch(path + (search && `?${search}`), { method: form.dataset.method, headers, body });
  const head = shown.filter((name) => answer.headers.has(name)).map((name) => `${name}: ${answer.headers.get(name)}`);
  let text = await answer.text();
  try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not every answer is JSON */ }
  return [`${answer.status} ${answer.statusText}`, ...head, "", text].join("\n");
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const output = event.target.querySelector("output");
  output.replaceChildren(document.createElement("pre"));
  try { output.firstChild.textContent = await send(event.target); }
  catch (error) { output.firstChild.textContent = String(error); }
});

function reveal() {
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted instanceof HTMLDetailsElement) wanted.open = true;
}
addEventListener("hashchange", reveal);
reveal();
