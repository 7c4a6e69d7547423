"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--soft").trim();
  const line = style.getPropertyValue("--line").trim();
  const colors = ["#2563eb", "#e8590c", "#0f9d6b", "#a626a4", "#b58900", "#d6336c", "#0891b2", "#6b7280"];
  const axis = (label, more) => Object.assign(
    { label, stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, labelSize: 22 }, more);
  const small = (value) => value.toExponential(3).replace(/\.?0+e/, "e");
  const number = (value) => value == null ? "-"
    : value && Math.abs(value) < 1e-3 ? small(value) : Number(value.toPrecision(4)).toLocaleString("en");
  const sync = uPlot.sync("step");

  const fromZero = { range: (u, low, high) => [0, (high || 1) * 1.08] };
  // a loss that falls from 2.10 to 2.05 is no flat line
  const fitted = { range: (u, low, high) => {
    const room = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
    return [low - room, high + room];
  } };

  // curves: [{name, points: [[step, value], ...], dots}]
  function plot(id, title, label, curves, height, y) {
    const box = document.getElementById(id);
    const shown = curves.filter((curve) => curve.points.length);
    if (!shown.length) return box.remove();
    const steps = [...new Set(shown.flatMap((curve) => curve.points.map((p) => p[0])))].sort((a, b) => a - b);
    const columns = shown.map((curve) => {
      const at = new Map(curve.points);
      return steps.map((step) => at.has(step) ? at.get(step) : null);
    });
    new uPlot({
      width: Math.max(320, box.clientWidth), height, title, cursor: { sync: { key: sync.key } },
      scales: { x: { time: false }, y },
      axes: [axis("step"), axis(label, { size: 70, values: (u, ticks) => ticks.map((t) => t == null ? "" : number(t)) })],
      series: [{ label: "step" }, ...shown.map((curve, n) => ({
        label: curve.name, stroke: colors[n % colors.length], width: 2, spanGaps: true,
        dash: curve.dots ? [6, 4] : [], points: { show: !!curve.dots || curve.points.length === 1, size: 6 }, value: (u, v) => number(v),
      }))],
    }, [steps, ...columns], box);
  }

  const lossAxis = data.logarithmic ? { distr: 3 } : fitted;
  plot("loss", "", data.logarithmic ? "loss (logarithmic)" : "loss", data.loss, 360, lossAxis);
  plot("norm", "Norm of the gradients", "norm", data.norm, 240, fromZero);
  plot("rate", "Learning rate", "rate", data.rate, 240, fromZero);
  plot("speed", "Tokens per second", "tokens/s", data.speed, 200, fromZero);
  document.body.dataset.ready = "yes";
})();
