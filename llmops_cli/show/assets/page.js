"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--soft").trim();
  const line = style.getPropertyValue("--line").trim();
  const colors = ["#2563eb", "#e8590c", "#0f9d6b", "#a626a4", "#b58900", "#d6336c", "#0891b2", "#6b7280",
    "#7c3aed", "#65a30d", "#be123c", "#0369a1", "#a16207", "#4d7c0f"];
  const axis = (label, more) => Object.assign(
    { label, stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, labelSize: 22 }, more);
  const number = (value) => value == null ? "-" : Number(value.toPrecision(4)).toLocaleString("en");
  const width = (box) => Math.max(320, box.clientWidth);

  function tabs(nav, names, show) {
    const buttons = names.map((name, i) => {
      const button = document.createElement("button");
      button.textContent = name;
      button.onclick = () => {
        buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
        show(i);
      };
      nav.append(button);
      return button;
    });
    if (buttons.length) buttons[0].click();
    nav.hidden = buttons.length < 2;
  }

  // latency CDFs
  const box = document.getElementById("cdf");
  const metrics = Object.keys(data.cdfNames).filter((name) => data.cdf[name]);
  if (!metrics.length) document.getElementById("cdf-section").remove();
  else tabs(document.getElementById("cdf-tabs"), metrics.map((m) => data.cdfNames[m]), (i) => {
    const cdf = data.cdf[metrics[i]];
    const wide = cdf.x[cdf.x.length - 1] / cdf.x[0] > 20;
    box.replaceChildren();
    new uPlot({
      width: width(box), height: 340,
      scales: { x: { time: false, distr: wide ? 3 : 1, range: [cdf.x[0], cdf.x[cdf.x.length - 1]] }, y: { range: [0, 1] } },
      axes: [axis(data.cdfNames[metrics[i]] + " in ms", { values: (u, ticks) => ticks.map((t) => t == null ? "" : number(t)) }),
        axis("share of requests", { values: (u, ticks) => ticks.map((t) => Math.round(t * 100) + " %") })],
      series: [{ label: "ms", value: (u, v) => number(v) }, ...cdf.names.map((label, n) => ({
        label, stroke: colors[n % colors.length], width: 2, points: { show: false },
        value: (u, v) => v == null ? "-" : (v * 100).toFixed(1) + " %",
      }))],
    }, [cdf.x, ...cdf.y], box);
  });

  // throughput against latency
  function sweep(id, title, metric) {
    const target = document.getElementById(id);
    const runs = data.sweep.filter((run) => run.points.some((p) => p[metric + "_p50"] != null));
    if (!runs.length) return target.remove();
    const all = [...new Set(runs.flatMap((run) => run.points.map((p) => p.tokens)))].sort((a, b) => a - b);
    const series = [{ label: data.speed, value: (u, v) => number(v) }], columns = [all];
    runs.forEach((run, n) => ["p50", "p95"].forEach((q) => {
      const at = new Map(run.points.map((p) => [p.tokens, p[metric + "_" + q]]));
      columns.push(all.map((x) => at.has(x) ? at.get(x) : null));
      series.push({
        label: (run.run ? run.run + " " : "") + q + (q === "p95" ? ", dashed" : ""), stroke: colors[n % colors.length], width: 2,
        spanGaps: true, dash: q === "p95" ? [6, 4] : [], points: { show: true, size: 7 }, value: (u, v) => number(v),
      });
    }));
    const pad = Math.max(1, (all[all.length - 1] - all[0]) * 0.06);
    new uPlot({
      width: width(target), height: 300, title,
      scales: { x: { time: false, range: [Math.max(0, all[0] - pad), all[all.length - 1] + pad] },
        y: { range: (u, low, high) => [0, (high || 1) * 1.1] } },
      axes: [axis(data.speed), axis("ms")], series,
    }, columns, target);
  }
  sweep("sweep-ttft", "TTFT", "ttft_ms");
  sweep("sweep-e2e", "E2E", "e2e_ms");

  // over time
  const place = document.getElementById("series");
  if (!data.series.length) document.getElementById("series-section").remove();
  else tabs(document.getElementById("series-tabs"), data.series.map((s) => s.name), (i) => {
    const level = data.series[i];
    place.replaceChildren();
    const shade = (u) => {
      const c = u.ctx;
      c.save();
      c.fillStyle = "rgba(37, 99, 235, .08)";
      for (const [from, to] of level.windows) {
        const left = Math.max(u.valToPos(from, "x", true), u.bbox.left);
        const right = Math.min(u.valToPos(to, "x", true), u.bbox.left + u.bbox.width);
        if (right > left) c.fillRect(left, u.bbox.top, right - left, u.bbox.height);
      }
      c.restore();
    };
    const groups = [["output tokens/s"], ["in flight", "requests/s", "errors"], ["TTFT p50 ms", "TTFT p95 ms"]];
    const known = new Set(groups.flat());
    for (const name of Object.keys(level.columns)) if (!known.has(name)) groups.push([name]);
    const sync = uPlot.sync("time");
    for (const group of groups) {
      const names = group.filter((name) => level.columns[name]);
      if (!names.length) continue;
      const div = document.createElement("div");
      place.append(div);
      const bytes = names[0].includes("bytes");
      const label = names.length === 1 && names[0].length <= 20 ? names[0] : ""; // a longer one is cut; the legend has it
      new uPlot({
        width: width(place), height: 170, cursor: { sync: { key: sync.key } }, hooks: { drawClear: [shade] },
        scales: { x: { time: false }, y: { range: (u, low, high) => [0, (high || 1) * 1.1] } },
        axes: [axis("", { labelSize: 0, values: (u, ticks) => ticks.map((t) => t + " s") }),
          axis(label, { size: 70, values: (u, ticks) => ticks.map((t) => bytes ? number(t / 1e6) + " M" : number(t)) })],
        series: [{ label: "s" }, ...names.map((label, n) => ({
          label, stroke: colors[n % colors.length], width: 2, spanGaps: true, value: (u, v) => number(v),
        }))],
      }, [level.t, ...names.map((name) => level.columns[name])], div);
    }
  });
  document.body.dataset.ready = "yes";
})();
