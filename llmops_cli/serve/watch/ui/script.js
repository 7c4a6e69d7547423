"use strict";
const $ = id => document.getElementById(id);
const past = [];
const KEEP = 150, EVERY_MS = 2000, KEYS_SHOWN = 50, MEMBERS_MOST = 16, REST = 4;
let timer = 0, looks = 0, keysFrom = 0;

function cell(row, text, kind) {
  const td = document.createElement("td");
  if (kind) td.className = kind;
  if (text instanceof Node) td.append(text); else td.textContent = text;
  row.append(td);
}
function table(id, heads, rows, none) {
  fill($(id), heads, rows, none);
}
function fill(at, heads, rows, none) {
  at.replaceChildren();
  if (!rows.length) {
    at.insertRow().append(element("td", none || "none", "soft"));
    return;
  }
  const head = at.createTHead().insertRow();
  for (const [name, kind] of heads) head.append(element("th", name, kind));
  const body = at.createTBody();
  for (const values of rows) {
    const row = body.insertRow();
    values.forEach((value, i) => {
      const [text, kind] = Array.isArray(value) ? value : [value, ""];
      cell(row, text, `${heads[i][1] || ""} ${kind}`.trim());
    });
  }
}

function count(n) {
  if (n >= 1e6) return (n / 1e6).toFixed(2) + "M";
  if (n >= 1e4) return (n / 1e3).toFixed(1) + "k";
  return String(Math.round(n));
}

function rate(n) {
  return n >= 100 ? n.toFixed(0) : n.toFixed(1);
}

function dollars(n) {
  return "$" + (n >= 1 ? n.toFixed(2) : n.toFixed(4));
}

function quantile(now, old, share) {
  const was = new Map((old || []).map(([bound, n]) => [String(bound), n]));
  const recent = now.map(([bound, n]) => [bound, n - (was.get(String(bound)) || 0)]);
  const total = recent.length ? recent[recent.length - 1][1] : 0;
  if (!total) return null;
  let lower = 0, below = 0;
  for (const [bound, n] of recent) {
    if (n >= total * share) {
      if (bound === "+Inf") return lower * 1e3;
      return (lower + (bound - lower) * ((total * share - below) / Math.max(1e-9, n - below))) * 1e3;
    }
    lower = bound; below = n;
  }
  return null;
}

function reached(now, old, share) {
  const value = quantile(now, old, share);
  const largest = now.length > 1 ? now[now.length - 2][0] * 1e3 : null;
  return (value !== null && value === largest ? "> " : "") + ms(value);
}

function ms(value) {
  if (value === null) return "–";
  if (value >= 1e4) return (value / 1e3).toFixed(1) + " s";
  return value.toFixed(value < 10 ? 1 : 0) + " ms";
}

function sum(models, field) {
  return Object.values(models).reduce((all, model) => all + model[field], 0);
}

function draw(id, series) {
  const svg = $(id), width = 360, height = 120, left = 34, bottom = 14;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const values = series.flatMap(line => line.values.filter(v => v !== null));
  const most = Math.max(1e-9, ...values) * 1.1;
  const make = (name, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    svg.append(node);
  };
  for (const part of [0, .5, 1]) {
    const y = 6 + (height - bottom - 6) * (1 - part / 1.1);
    make("line", { x1: left, x2: width, y1: y, y2: y, stroke: "var(--line)" });
    make("text", { x: left - 4, y: y + 3, "text-anchor": "end", "font-size": 9, fill: "var(--soft)" },
      values.length ? (part * most / 1.1 >= 100 ? Math.round(part * most / 1.1) : +(part * most / 1.1).toPrecision(2)) : "");
  }
  const length = Math.max(2, ...series.map(line => line.values.length));
  make("text", { x: left, y: height - 2, "font-size": 9, fill: "var(--soft)" }, `${Math.round(shownSeconds())} s ago`);
  make("text", { x: width, y: height - 2, "font-size": 9, "text-anchor": "end", fill: "var(--soft)" }, "now");
  for (const { values, color } of series) {
    let path = "";
    values.forEach((value, i) => {
      if (value === null) return;
      const x = left + (width - left) * i / (length - 1), y = 6 + (height - bottom - 6) * (1 - value / most);
      path += (path && values[i - 1] !== null ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1);
    });
    make("path", { d: path, fill: "none", stroke: color, "stroke-width": 1.6 });
  }
}

function shownSeconds() {
  return past.length > 1 ? past[past.length - 1].at - past[0].at : 0;
}

function ttft(now, old, share) {
  const all = field => {
    const bounds = new Map();
    for (const model of Object.values(field))
      for (const [bound, n] of model.ttft) bounds.set(String(bound), [bound, (bounds.get(String(bound)) || [0, 0])[1] + n]);
    return [...bounds.values()];
  };
  return quantile(all(now), old ? all(old) : [], share);
}

function total(counts) {
  return Object.values(counts).reduce((all, n) => all + n, 0);
}

function element(name, text, kind) {
  return Object.assign(document.createElement(name), { textContent: text, className: kind || "" });
}

function secondsBetween(old, now) {
  return Math.max(1e-3, now.at - old.at);
}

function show(state) {
  past.push(state);
  if (past.length > KEEP) past.shift();
  const before = past.length > 1 ? past[past.length - 2] : state;
  const minuteAgo = past[Math.max(0, past.length - 31)];
  showAbout(state);
  $("notes").replaceChildren(...notesOn(state).map(text => element("p", text)));
  showCards(state, before);
  showCharts();
  showModels(state, minuteAgo);
  showUpstreams(state);
  showCanaries(state);
  showKeys(state);
  showTags(state);
  showRefused(state);
  showGuard(state);
}

function showAbout(state) {
  const hours = (state.uptime_s / 3600).toFixed(1);
  const time = new Date(state.at * 1000).toLocaleTimeString();
  $("about").textContent = `${state.version}, up ${hours} h, ${time}`;
  $("month").textContent = state.month;
}

function notesOn(state) {
  const notes = [];
  if (!state.config_ok) {
    notes.push("The configuration file was changed and cannot be used; the one before is in force.");
  }
  const versions = new Set(Object.values(state.workers)).size;
  if (versions > 1) {
    notes.push(`${Object.keys(state.workers).length} workers serve ${versions} versions of the configuration.`);
  }
  if (state.keys_damaged) {
    notes.push(`Damaged keys: ${count(state.keys_damaged)}. "llmops keys list" names them.`);
  }
  if (state.audit_lost) {
    notes.push(`The audit log has lost ${count(state.audit_lost)} lines.`);
  }
  if (state.guard_block_rate > 0.2) {
    const percent = (state.guard_block_rate * 100).toFixed(0);
    notes.push(`The guard blocks ${percent} % of the requests.`);
  }
  for (const [name, canary] of Object.entries(state.canaries)) {
    if (canary.state === "rolled back") {
      notes.push(`The canary of ${name} was rolled back: ${canary.reason}.`);
    }
  }
  for (const upstream of state.upstreams) {
    if (!upstream.up) notes.push(`The upstream ${upstream.name} is down.`);
  }
  return notes;
}

function cacheHits(cache) {
  const hits = (cache.hit || 0) + (cache.semantic || 0);
  const asked = hits + (cache.miss || 0);
  return asked ? (hits / asked * 100).toFixed(0) + " %" : "–";
}

function showCards(state, before) {
  const seconds = secondsBetween(before, state);
  const cards = [
    ["requests/s", rate((state.requests - before.requests) / seconds)],
    ["under way", count(state.in_flight)],
    ["waiting", count(state.queued)],
    ["requests", count(state.requests)],
    ["4xx", count(state.client_errors)],
    ["errors", count(state.errors)],
    ["refused", count(total(state.refused))],
    ["cache hits", cacheHits(state.cache)],
    ["cost", dollars(sum(state.models, "dollars"))],
  ];
  $("cards").replaceChildren(...cards.map(([name, value]) => {
    const card = element("div", "", "card");
    card.append(element("span", name, "soft"), element("b", value));
    return card;
  }));
}

function showCharts() {
  const steps = past.slice(1).map((now, i) => {
    const old = past[i];
    return { now, old, seconds: secondsBetween(old, now) };
  });
  const perSecond = figure => steps.map(
    ({ now, old, seconds }) => (figure(now) - figure(old)) / seconds);
  const firstToken = share => steps.map(({ now, old }) => ttft(now.models, old.models, share));
  draw("traffic", [
    { values: perSecond(state => state.requests), color: "var(--one)" },
    { values: perSecond(state => state.errors), color: "var(--bad)" },
  ]);
  draw("ttft", [
    { values: firstToken(.5), color: "var(--one)" },
    { values: firstToken(.99), color: "var(--two)" },
  ]);
  draw("tokens", [
    { values: perSecond(state => sum(state.models, "output_tokens")), color: "var(--one)" },
  ]);
}

const N = "n";
const MODEL_HEADS = [
  ["model"],
  ["requests/s", N],
  ["requests", N],
  ["4xx", N],
  ["errors", N],
  ["tokens in", N],
  ["tokens out", N],
  ["TTFT p50", N],
  ["TTFT p99", N],
  ["TPOT p50", N],
  ["E2E p99", N],
  ["cost", N],
];
const UPSTREAM_HEADS = [
  ["upstream"],
  ["state"],
  ["breaker"],
  ["answers", N],
  ["failures", N],
  ["tokens under way", N],
  ["address"],
];
const CANARY_HEADS = [
  ["model"],
  ["state"],
  ["share"],
  ["new side", N],
  ["errors", N],
  ["TTFT p50", N],
  ["old side", N],
  ["errors", N],
  ["TTFT p50", N],
  ["why"],
];
const KEY_HEADS = [
  ["key"],
  ["role"],
  ["models"],
  ["requests since the start", N],
  ["tokens", N],
  ["cost", N],
  ["budget"],
  ["tags"],
  ["state"],
];
const TAG_HEADS = [["value"], ["keys", N], ["tokens", N], ["cost", N], ["share"]];
const REFUSED_HEADS = [["why"], ["times", N]];
const GUARD_HEADS = [["side"], ["action"], ["rule"], ["times", N]];
const NO_TIMES = { ttft: [], tpot: [], e2e: [] };

function errorCount(n) {
  return [count(n), n ? "bad" : ""];
}

function showModels(state, minuteAgo) {
  const seconds = secondsBetween(minuteAgo, state);
  const rows = Object.entries(state.models).map(([name, model]) => {
    const old = minuteAgo.models[name] || model;
    const times = model.requests > old.requests ? old : NO_TIMES;
    return [
      name,
      rate((model.requests - old.requests) / seconds),
      count(model.requests),
      count(model.client_errors),
      errorCount(model.errors),
      count(model.input_tokens),
      count(model.output_tokens),
      reached(model.ttft, times.ttft, .5),
      reached(model.ttft, times.ttft, .99),
      reached(model.tpot, times.tpot, .5),
      reached(model.e2e, times.e2e, .99),
      dollars(model.dollars),
    ];
  });
  table("models", MODEL_HEADS, rows, "no model was asked for yet");
  $("nomodel").textContent = withoutModel(state);
}

function withoutModel(state) {
  const rest = state.no_model;
  const broken = sum(state.models, "broken");
  const parts = [];
  if (rest.requests) {
    parts.push(`Requests that came to no model (pages, bad keys, mistakes): ${count(rest.requests)}, `
      + `of them ${count(rest.client_errors)} 4xx, ${count(rest.errors)} errors.`);
  }
  if (broken) parts.push(`Answers that broke off, among the errors: ${count(broken)}.`);
  return parts.join(" ");
}

function upstreamState(upstream) {
  if (!upstream.up) return ["down", "bad"];
  if (upstream.refuses) return ["refuses us", "bad"];
  if (upstream.breaker === "open") return ["failing", "warn"];
  return ["up", "good"];
}

function showUpstreams(state) {
  const row = (one, name, where) => [
    name,
    one.leaving ? ["leaving", ""] : upstreamState(one),
    [one.breaker, one.breaker === "closed" ? "" : "warn"],
    count(one.answers),
    errorCount(one.errors),
    count(one.outstanding),
    where,
  ];
  const rows = state.upstreams.flatMap(upstream => [
    row(upstream, upstream.name, upstream.url.join(", ")),
    ...upstream.members.slice(0, MEMBERS_MOST).map(member => row(member, "", member.name)),
  ]);
  table("upstreams", UPSTREAM_HEADS, rows);
}

const CANARY_KINDS = { "rolled back": "bad", done: "good", running: "warn" };

function canarySide(side) {
  const median = side.ttft_s === null ? "–" : ms(side.ttft_s * 1e3);
  return [count(side.requests), count(side.errors), median];
}

function showCanaries(state) {
  const canaries = Object.entries(state.canaries);
  $("canaryhead").hidden = !canaries.length;
  $("canaries").hidden = !canaries.length;
  const rows = canaries.map(([name, canary]) => [
    name,
    [canary.state, CANARY_KINDS[canary.state]],
    bar(canary.percent / 100, canary.percent + " %"),
    ...canarySide(canary.sides.canary),
    ...canarySide(canary.sides.stable),
    canary.reason,
  ]);
  table("canaries", CANARY_HEADS, rows);
}

function budgetBar(key) {
  if (key.budget_dollars !== null) {
    const share = key.dollars / Math.max(1e-9, key.budget_dollars);
    return bar(share, dollars(key.budget_dollars), true);
  }
  if (key.budget_tokens !== null) {
    return bar(key.tokens / key.budget_tokens, count(key.budget_tokens) + " tokens", true);
  }
  return "–";
}

function keyState(key, now) {
  if (key.revoked !== null) return ["revoked", "bad"];
  if (key.expires !== null && key.expires < now) return ["expired", "warn"];
  return ["live", "good"];
}

function showKeys(state) {
  const rows = state.keys.map(key => [
    key.name,
    key.role,
    key.models.join(", ") || "all",
    count(key.requests),
    count(key.tokens),
    dollars(key.dollars),
    budgetBar(key),
    Object.entries(key.tags).map(([tag, value]) => `${tag}=${value}`).join(", ") || "–",
    keyState(key, state.at),
  ]);
  table("keys", KEY_HEADS, rows);
  const last = state.keys_from + state.keys.length;
  $("pages").hidden = state.keys_total <= KEYS_SHOWN;
  $("shown").textContent = `${state.keys_from + 1} to ${last} of ${state.keys_total}, most tokens first`;
  $("before").disabled = state.keys_from === 0;
  $("after").disabled = last >= state.keys_total;
}

function showTags(state) {
  const tables = Object.entries(state.tags).map(([tag, rows]) => {
    const whole = rows.reduce((all, row) => all + row.dollars, 0);
    const at = element("table", "");
    const cells = rows.map(row => [
      row.value || "(without)",
      count(row.keys),
      count(row.tokens),
      dollars(row.dollars),
      bar(row.dollars / Math.max(1e-9, whole), ""),
    ]);
    fill(at, [[tag], ...TAG_HEADS.slice(1)], cells);
    const outer = element("div", "", "table");
    outer.append(at);
    return outer;
  });
  $("taghead").hidden = !tables.length;
  $("tags").replaceChildren(...tables);
}

function showRefused(state) {
  const rows = Object.entries(state.refused)
    .sort(([, a], [, b]) => b - a)
    .map(([code, n]) => [code, count(n)]);
  table("refused", REFUSED_HEADS, rows, "nothing was refused");
}

function showGuard(state) {
  const most = state.guard.slice().sort((a, b) => b.count - a.count).slice(0, 20);
  const rows = most.map(row => [
    row.side,
    [row.action, row.action === "block" ? "bad" : ""],
    row.rule,
    count(row.count),
  ]);
  table("guard", GUARD_HEADS, rows, "nothing was stopped or changed");
}

function bar(share, text, isLimit = false) {
  const node = document.createElement("span"), outer = document.createElement("span"), inner = document.createElement("i");
  outer.className = "bar";
  inner.style.width = Math.min(100, share * 100) + "%";
  if (isLimit && share > .9) inner.style.background = "var(--bad)";
  outer.append(inner);
  node.append(outer, text);
  return node;
}
async function look() {
  const key = sessionStorage.getItem("llmops-key");
  if (!key) return;
  const mine = ++looks, begun = performance.now();
  try {
    const reply = await fetch(`/admin/state?keys=${KEYS_SHOWN}&from=${keysFrom}`, { headers: { Authorization: "Bearer " + key }, cache: "no-store" });
    if (reply.status === 401 || reply.status === 403) {
      leave(reply.status === 401 ? "This key is not valid." : "This key is not of the role admin.");
      return;
    }
    if (!reply.ok) throw new Error("the gateway answers " + reply.status);
    const state = await reply.json();
    if (mine !== looks) return;
    $("login").hidden = true;
    $("page").hidden = false;
    show(state);
  } catch (error) {
    $("notes").replaceChildren(Object.assign(document.createElement("p"), { textContent: "No answer: " + error.message }));
    $("said").textContent = "No answer: " + error.message;
  }
  const took = performance.now() - begun;  // a gateway with ten thousand keys works on it for seconds
  if (mine === looks) timer = setTimeout(look, Math.max(EVERY_MS, REST * took));
}
function leave(said) {
  clearTimeout(timer);
  sessionStorage.removeItem("llmops-key");
  past.length = 0;
  $("page").hidden = true;
  $("login").hidden = false;
  $("said").textContent = said || "";
}
$("login").addEventListener("submit", event => {
  event.preventDefault();
  sessionStorage.setItem("llmops-key", $("key").value.trim());
  $("key").value = "";
  $("said").textContent = "";
  clearTimeout(timer);
  look();
});
function turn(pages) {
  keysFrom = Math.max(0, keysFrom + pages * KEYS_SHOWN);
  clearTimeout(timer);
  look();
}
$("before").addEventListener("click", () => turn(-1));
$("after").addEventListener("click", () => turn(1));
$("out").addEventListener("click", () => leave());
look();
