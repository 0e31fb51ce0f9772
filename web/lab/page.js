"use strict";
/* Draws the report from the data that stands in the page. Text from the data only ever becomes text
   (textContent), never markup. */
const { run, baseline } = JSON.parse(document.getElementById("data").textContent);
const analysis = run.analysis, old = baseline && baseline.analysis, isOpen = analysis.run.loop === "open";
const who = isOpen ? "requests/s" : "clients";

/* --- words and numbers --- */
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);
const group = (value, digits = 0) => known(value)
  ? value.toLocaleString("en-US", { maximumFractionDigits: digits, minimumFractionDigits: 0 }) : "–";
/* Of a load or a throughput: below 10 the fraction says much of it. */
const amount = (value) => group(value, value < 10 ? 2 : 0);
const significant = (value) => value >= 100 ? group(value) : value >= 10 ? group(value, 1) : group(value, 2);
function time(ms) {
  if (!known(ms)) return "–";
  if (ms >= 10000) return significant(ms / 1000) + " s";
  if (ms >= 1000) return (ms / 1000).toFixed(2) + " s";
  return ms >= 1 ? significant(ms) + " ms" : ms >= 0.1 ? ms.toFixed(2) + " ms" : group(ms * 1000, 1) + " µs";
}
function bytes(value) {
  if (!known(value)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit + 1 < units.length) { value /= 1024; unit++; }
  return significant(value) + " " + units[unit];
}
const percent = (share) => !known(share) ? "–" : share === 0 ? "0 %" : share < 0.0001 ? "<0.01 %"
  : +(share * 100).toFixed(share < 0.1 ? 2 : 1) + " %";
const seconds = (value) => known(value) ? (value < 10 ? value.toFixed(1) : group(value)) + " s" : "–";
const compact = (value) => value >= 1e6 ? group(value / 1e6, 1) + "M" : value >= 1e4 ? group(value / 1e3) + "k"
  : value >= 1e3 ? group(value / 1e3, 1) + "k" : group(value, value < 10 ? 2 : 0);

/* --- elements --- */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
function shape(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
const page = document.getElementById("page"), tip = document.getElementById("tip");
const drawings = []; /* functions that draw anew for a width */
function section(title, note, ...children) {
  const made = element("section", {}, element("h2", {}, title), note ? element("p", { class: "note" }, note) : null,
    ...children);
  page.append(made);
  return made;
}

/* --- scales --- */
function niceStep(span, count) {
  const rough = span / count, power = 10 ** Math.floor(Math.log10(rough)), rest = rough / power;
  return power * (rest <= 1 ? 1 : rest <= 2 ? 2 : rest <= 5 ? 5 : 10);
}
function linear(low, high, from, to, count, isBinary) {
  if (!(high > low)) high = low + 1;
  const ticks = [], step = isBinary ? 2 ** Math.ceil(Math.log2((high - low) / count)) : niceStep(high - low, count);
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) ticks.push(at);
  return { of: (value) => from + (value - low) / (high - low) * (to - from), ticks, low, high };
}
function logarithmic(low, high, from, to) {
  const a = Math.log10(low), b = Math.max(Math.log10(high), Math.log10(low) + 0.3), ticks = [];
  const steps = b - a > 3.2 ? [1] : b - a > 1.5 ? [1, 3] : [1, 2, 5];
  for (let power = Math.floor(a); power <= Math.ceil(b); power++)
    for (const step of steps) {
      const value = step * 10 ** power;
      if (value >= 10 ** a * 0.999 && value <= 10 ** b * 1.001) ticks.push(value);
    }
  return { of: (value) => from + (Math.log10(Math.max(value, 10 ** a)) - a) / (b - a) * (to - from), ticks, low, high };
}

/* --- one chart: lines over x --- */
function bounds(series, limit) {
  let low = Infinity, high = 0;
  for (const line of series) for (const value of line.values) if (known(value)) {
    high = Math.max(high, value);
    if (value > 0) low = Math.min(low, value);
  }
  if (known(limit) && limit <= high * 4) high = Math.max(high, limit);
  return { low: Number.isFinite(low) ? low : 1, high: high || 1 };
}
function pathOf(xs, values, x, y, isStep) {
  let path = "", pen = "M", before = null;
  values.forEach((value, i) => {
    if (!known(value) || !known(xs[i])) { pen = "M"; before = null; return; }
    const px = x.of(xs[i]).toFixed(1), py = y.of(value).toFixed(1);
    /* A value stands for the time up to its own. */
    if (isStep && before !== null) path += `L${before} ${py}`;
    path += `${pen}${px} ${py}`;
    pen = "L"; before = px;
  });
  return path;
}
function chart(parent, options) {
  const holder = element("div", { class: "chart" });
  if (options.title) holder.append(element("div", { class: "title" }, options.title));
  const canvas = element("div");
  holder.append(canvas);
  parent.append(holder);
  const draw = () => drawChart(canvas, options);
  drawings.push(draw);
  return draw;
}
function drawChart(canvas, options) {
  const width = Math.max(280, canvas.clientWidth), height = options.height || 240;
  const left = 54, right = options.labels ? 62 : 14, top = 10, bottom = options.xLabel ? 40 : 24;
  const series = options.series.filter((line) => line.values.some(known));
  const xs = options.xs, span = bounds(series, options.limit);
  const xLow = options.xLow !== undefined ? options.xLow : Math.min(...xs), xHigh = Math.max(...xs);
  const x = options.xLog ? logarithmic(Math.max(xLow, 1e-6), xHigh, left, width - right)
    : linear(xLow, xHigh, left, width - right, Math.max(3, Math.min(8, width / 110)));
  const y = options.yLog && options.yLog() ? logarithmic(span.low * 0.8, span.high * 1.1, height - bottom, top)
    : linear(0, span.high * 1.06, height - bottom, top, height < 180 ? 3 : 5, options.yFormat === bytes);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" });
  svg.append(shape("title", {}, options.title || options.name || "plot"));
  for (const tick of y.ticks) {
    svg.append(shape("line", { x1: left, x2: width - right, y1: y.of(tick), y2: y.of(tick), class: "grid" }));
    svg.append(shape("text", { x: left - 8, y: y.of(tick) + 4, "text-anchor": "end" }, options.yFormat(tick)));
  }
  const ticks = options.xTicks || x.ticks;
  let lastEnd = -Infinity;
  for (const tick of ticks) {
    const at = x.of(tick), label = (options.xFormat || compact)(tick), half = label.length * 3.6 + 4;
    if (at - half < lastEnd) continue;
    lastEnd = at + half;
    svg.append(shape("text", { x: at, y: height - bottom + 17, "text-anchor": "middle" }, label));
  }
  svg.append(shape("line", { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom, class: "axis" }));
  if (options.xLabel)
    svg.append(shape("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, options.xLabel));
  for (const band of options.bands || []) {
    const from = x.of(Math.max(band.from, xLow)), to = x.of(Math.min(band.to, xHigh));
    svg.append(shape("rect", { x: from, width: Math.max(0, to - from), y: top, height: height - bottom - top,
      style: `fill:var(${band.color});opacity:.09` }));
    if (band.name) svg.append(shape("text", { x: (from + to) / 2, y: top + 13, "text-anchor": "middle" }, band.name));
  }
  if (known(options.limit) && options.limit <= y.high) {
    svg.append(shape("line", { x1: left, x2: width - right, y1: y.of(options.limit), y2: y.of(options.limit), class: "limit" }));
    svg.append(shape("text", { x: width - right - 4, y: y.of(options.limit) - 5, "text-anchor": "end" },
      `${options.limitName || "limit"} ${options.yFormat(options.limit)}`));
  }
  drawLines(svg, series, options, xs, x, y, { width, height, left, right, top, bottom });
  for (const mark of options.marks || []) {
    const at = x.of(mark.x), flip = at > width - right - 120;
    svg.append(shape("line", { x1: at, x2: at, y1: top, y2: height - bottom, class: "mark" }));
    if (mark.name) svg.append(shape("text", { x: at + (flip ? -6 : 6), y: height - bottom - 8, class: "strong", "text-anchor": flip ? "end" : "start" }, mark.name));
  }
  hover(svg, series, options, xs, x, y, { left, right, top, bottom, width, height });
  canvas.replaceChildren(svg);
}
function drawLines(svg, series, options, xs, x, y, box) {
  const ends = [];
  for (const line of series) {
    const lineXs = line.xs || xs, color = `var(${line.color})`;
    if (line.bars) {
      line.values.forEach((value, i) => {
        if (!known(value) || value <= 0) return;
        const wide = Math.max(3, Math.min(26, (box.width - box.left - box.right) / lineXs.length * 0.55));
        svg.append(shape("rect", { x: x.of(lineXs[i]) - wide / 2, width: wide, y: y.of(value),
          height: Math.max(1, box.height - box.bottom - y.of(value)), rx: 2, style: `fill:${color}` }));
      });
      continue;
    }
    const path = pathOf(lineXs, line.values, x, y, line.step);
    if (line.area && path) {
      const shown = lineXs.filter((_, i) => known(line.values[i])), base = box.height - box.bottom;
      svg.append(shape("path", { d: `${path}L${x.of(shown[shown.length - 1])} ${base}L${x.of(shown[0])} ${base}Z`,
        style: `fill:${color};opacity:.13;stroke:none` }));
    }
    svg.append(shape("path", { d: path, style: `fill:none;stroke:${color};stroke-width:${line.thick || 2};` +
      `stroke-linejoin:round;${line.dashed ? "stroke-dasharray:5 4;" : ""}` }));
    if (options.dots && !line.dashed) line.values.forEach((value, i) => {
      if (known(value)) svg.append(shape("circle", { cx: x.of(lineXs[i]), cy: y.of(value), r: 3, style: `fill:${color}` }));
    });
    for (let i = line.values.length - 1; i >= 0 && options.labels && !line.dashed; i--)
      if (known(line.values[i])) { ends.push({ y: y.of(line.values[i]), x: x.of(lineXs[i]), line }); break; }
  }
  /* Names at the lines' ends, moved apart. */
  ends.sort((a, b) => a.y - b.y);
  let last = -Infinity;
  for (const end of ends) {
    const at = Math.max(end.y, last + 14);
    last = at;
    svg.append(shape("text", { x: end.x + 8, y: at + 4, class: "strong" }, end.line.name));
  }
}
function hover(svg, series, options, xs, x, y, box) {
  const cross = shape("line", { y1: box.top, y2: box.height - box.bottom, class: "cross", visibility: "hidden" });
  svg.append(cross);
  svg.addEventListener("pointermove", (event) => {
    const frame = svg.getBoundingClientRect(), at = (event.clientX - frame.left) / frame.width * box.width;
    let best = 0;
    xs.forEach((value, i) => { if (Math.abs(x.of(value) - at) < Math.abs(x.of(xs[best]) - at)) best = i; });
    cross.setAttribute("x1", x.of(xs[best]));
    cross.setAttribute("x2", x.of(xs[best]));
    cross.setAttribute("visibility", "visible");
    const rows = series.filter((line) => !line.xs && known(line.values[best])).map((line) => element("div", {},
      element("span", {}, line.name), element("em", {}, (line.format || options.yFormat)(line.values[best]))));
    tip.replaceChildren(element("b", {}, (options.xTip || options.xFormat || compact)(xs[best])), ...rows);
    tip.hidden = false;
    tip.style.left = Math.min(event.clientX + 16, window.innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = Math.min(event.clientY + 16, window.innerHeight - tip.offsetHeight - 8) + "px";
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; cross.setAttribute("visibility", "hidden"); });
}
function legend(parent, entries) {
  const made = element("div", { class: "legend" });
  for (const entry of entries) {
    const key = element("i", { class: entry.dashed ? "dashed" : entry.block ? "block" : "" });
    key.style.borderColor = `var(${entry.color})`;
    if (entry.block) key.style.background = `var(${entry.color})`;
    made.append(element("span", {}, key, entry.name));
  }
  parent.append(made);
}
function logButton(head, draw) {
  const state = { on: false };
  const button = element("button", { type: "button", "aria-pressed": "false" }, "Log scale");
  button.addEventListener("click", () => {
    state.on = !state.on;
    button.setAttribute("aria-pressed", String(state.on));
    draw();
  });
  head.append(button);
  return state;
}

/* --- the parts of the page --- */
function delta(now, before, lessIsBetter) {
  if (!known(now) || !known(before) || before === 0) return null;
  const change = now / before - 1;
  if (Math.abs(change) < 0.02) return element("span", { class: "delta same" }, "≈");
  const better = change < 0 === lessIsBetter;
  return element("span", { class: "delta " + (better ? "better" : "worse") },
    (change > 0 ? "+" : "−") + Math.abs(change * 100).toFixed(Math.abs(change) < 0.1 ? 1 : 0) + " %");
}
function figure(what, value, unit, more, kind, change) {
  return element("div", { class: "figure " + (kind || "") }, element("div", { class: "what" }, what),
    element("div", { class: "value" }, value, unit ? element("small", {}, " " + unit) : null, change),
    more ? element("div", { class: "more" }, more) : null);
}
const failureWords = { refused: "refused", connectTimeout: "no connection in time", tls: "TLS failed", reset: "connection ended",
  timeout: "no answer in time", non2xx: "other status than 2xx", shortBody: "answer cut short", protocol: "not HTTP",
  local: "no descriptors or ports here" };
function failureList(of) {
  return Object.entries(of.errors).filter(([, count]) => count > 0)
    .map(([kind, count]) => `${group(count)} ${failureWords[kind] || kind}`).join(", ");
}
function intro() {
  const about = analysis.run, total = analysis.total;
  document.title = "magpie bench: " + about.urls[0];
  page.append(element("h1", {}, about.urls.length > 1 ? `${about.urls[0]} and ${about.urls.length - 1} more` : about.urls[0]));
  const loop = isOpen ? `open loop, ${about.arrivals} arrivals, latency from the intended start` : "closed loop";
  const kind = about.kind === "extreme" ? "Where does it break, how does it degrade, what runs out first, how fast is it back?  " : "";
  page.append(element("p", { class: "lead" }, `${kind}${about.method}, ${loop}, ${about.keepAlive ? "connections kept" : "a connection for each request"}. ` +
    `${new Date(about.started).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" })}, ${seconds(total.duration)}` +
    `${about.stopped ? ", ended early" : ""}.${old ? " Dashed: the earlier run of " + new Date(old.run.started).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) + "." : ""}`));
}
function headlines() {
  const total = analysis.total, cards = element("div", { class: "cards" }), several = run.stages.length > 1;
  const rate = several ? analysis.peak.throughput : total.throughput;
  const oldRate = old && (several ? old.peak.throughput : old.total.throughput);
  cards.append(figure(several ? "Most answers a second" : "Answers a second", amount(rate), "/s",
    several ? `at ${amount(analysis.peak.at)} ${who}` : `${group(total.requests)} requests`, "", delta(rate, oldRate, false)));
  if (several)
    cards.append(figure("Sustained", amount(analysis.sustained), who,
      `${group(analysis.sustainedConnections)} connections open at once`, "", delta(analysis.sustained, old && old.sustained, false)));
  const shown = several ? [...run.stages].reverse().find((stage) => levelOf(stage) === analysis.sustained) || run.stages[0] : total;
  const was = baseline && (several ? beforeOf(shown) : old.total);
  cards.append(figure(several ? `p99 at ${amount(levelOf(shown))} ${who}` : "p99", time(shown.p99).split(" ")[0], time(shown.p99).split(" ")[1],
    `median ${time(shown.p50)}, worst ${time(shown.max)}` + (several && shown !== run.stages[0] ? `; p99 at ${amount(levelOf(run.stages[0]))}: ${time(run.stages[0].p99)}` : ""), "",
    delta(shown.p99, was && was.p99, true)));
  const failed = Object.values(total.errors).reduce((a, b) => a + b, 0);
  cards.append(figure("Failed", failed === 0 ? "0" : percent(total.errorRate), failed === 0 ? `of ${group(total.requests)}` : "",
    failed === 0 ? "every request got its answer" : failureList(total), failed === 0 ? "good" : "bad"));
  if (several || analysis.run.kind === "extreme")
    cards.append(figure("Breaking point", analysis.breakingPoint === null ? "none" : amount(analysis.breakingPoint),
      analysis.breakingPoint === null ? `up to ${amount(analysis.searchedTo)}` : who,
      "where more than half of the requests fail, or of the clients are not served", analysis.breakingPoint === null ? "good" : "bad"));
  if (known(analysis.degradation.r2))
    cards.append(figure("Degradation", analysis.degradation.shape, "", `p99 over ${who}: ${analysis.degradation.fit} fit, R² ${analysis.degradation.r2.toFixed(2)}; ` +
      `from stage to stage p99 grew ${known(analysis.degradation.meanRatio) ? analysis.degradation.meanRatio.toFixed(2) : "–"}× as fast`));
  const bottleneck = analysis.firstBottleneck;
  if (analysis.series.some((one) => Object.keys(one.resources).length > 1))
    cards.append(bottleneck ? figure("First bottleneck", resourceWords[bottleneck.resource] || bottleneck.resource, "",
      `${bottleneck.evidence}, at ${group(bottleneck.clients)} ${who}`)
      : figure("First bottleneck", "none", "", "no resource that was watched ran out", "good"));
  if (analysis.blast) {
    const back = analysis.blast.recovery;
    cards.append(figure("Normal again", back.recovered ? back.after.toFixed(1) : back.recovered === null ? "unknown" : "not seen", back.recovered ? "s" : "",
      `after a blast of ${group(analysis.blast.clients)} clients; ` + (back.recovered === null ? "the first stage was not normal" : `normal is p99 up to ${time(back.normalUpTo)}`), back.recovered ? "good" : "bad"));
  }
  page.append(cards);
  if (analysis.warnings.length > 0)
    page.append(element("div", { class: "warnings" }, element("strong", {}, "Before you believe these figures"),
      element("ul", {}, ...analysis.warnings.map((text) => element("li", {}, text)))));
}
const resourceWords = { cpu: "CPU", cpuThread: "one thread", machineCpu: "machine’s CPU", memory: "memory", descriptors: "descriptors",
  acceptQueue: "accept queue", loopLag: "loop lag" };

const percentiles = [["p50", "p50", "--p1"], ["p95", "p95", "--p2"], ["p99", "p99", "--p3"], ["p99_9", "p99.9", "--p4"], ["max", "max", "--p5"]];
const levelOf = (stage) => isOpen ? stage.rate : stage.clients;
/* The earlier run's stage of the same level; where there are several, the one that is as far on. */
function beforeOf(stage) {
  const isLike = (other) => levelOf(other) === levelOf(stage);
  return baseline.stages.filter(isLike)[run.stages.filter(isLike).indexOf(stage)];
}
function againstLoad() {
  /* The figures of a ramp belong to no load. */
  const stages = run.stages.filter((stage) => !known(stage.clientsFrom) && !known(stage.rateFrom)), xs = stages.map(levelOf);
  if (new Set(xs).size < 2) return;
  const xLog = Math.max(...xs) / Math.max(Math.min(...xs.filter((value) => value > 0)), 1) > 12;
  const common = { xs, xLog, xLow: xLog ? undefined : 0, xTicks: xs.length <= 14 ? xs : undefined, dots: true, xTip: (value) => `${group(value)} ${who}` };
  const part = section(`Latency against ${who}`, sentence()), head = element("div", { class: "head" });
  part.append(head);
  const series = percentiles.map(([key, name, color]) => ({ name, color, values: stages.map((stage) => stage[key]) }));
  if (baseline) for (const [key, name] of [["p50", "p50, before"], ["p99", "p99, before"]])
    series.push({ name, color: "--ghost", dashed: true, values: stages.map((stage) => (beforeOf(stage) || {})[key]) });
  legend(head, baseline ? [{ name: "p50 and p99 of the earlier run", color: "--ghost", dashed: true }] : []);
  const log = logButton(head, () => draw());
  log.on = worthLog(series);
  head.lastChild.setAttribute("aria-pressed", String(log.on));
  const draw = chart(part, { ...common, series, height: 320, yFormat: time, yLog: () => log.on, labels: true, xLabel: who, name: "latency" });
  const work = section("Work done and work refused", null), pair = element("div");
  work.append(pair);
  const before = baseline ? [{ name: "earlier run", color: "--ghost", dashed: true,
    values: stages.map((stage) => (beforeOf(stage) || {}).throughput) }] : [];
  chart(pair, { ...common, title: "answers a second", series: [{ name: "answers/s", color: "--a", area: true, values: stages.map((stage) => stage.throughput) }, ...before],
    height: 200, yFormat: compact, xLabel: who });
  if (stages.every((stage) => stage.errorRate === 0))
    pair.append(element("p", { class: "note" }, `No request failed, at none of these ${stages.length} loads.`));
  else chart(pair, { ...common, title: "failed requests", series: [{ name: "failed", color: "--bad", bars: true, values: stages.map((stage) => stage.errorRate) }],
    height: 130, yFormat: percent, xLabel: who, limit: 0.5, limitName: "broken above" });
}
function worthLog(series) {
  const span = bounds(series);
  return span.high / span.low > 30;
}
function sentence() {
  const found = analysis.degradation;
  if (!known(found.r2)) return null;
  const words = { flat: "p99 hardly changes with the load.", unclear: "How p99 grows with the load is not clear: no law fits it well.", "sub-linear": "p99 grows more slowly than the load.", linear: "p99 grows in step with the load: queues get longer, work does not get dearer.",
    "super-linear": "p99 grows faster than the load.", exponential: "p99 grows exponentially with the load." };
  return `${words[found.shape] || ""} Best fit: ${found.fit}, R² ${found.r2.toFixed(3)} of logarithms.`;
}
const seriesOf = (from, name) => from.series.find((one) => one.name === name);
function overTime(one, title, note, extra = {}) {
  /* What came when the plan was over is in the table, but not a picture of any load. */
  const count = one.moments.at.filter((at) => at <= one.duration + 1e-6).length;
  const moments = Object.fromEntries(Object.entries(one.moments).map(([key, values]) => [key, values.slice(0, count)])), xs = moments.at;
  if (xs.length < 2) return;
  const part = section(title, note), unit = one.kind === "rate" ? "requests/s" : "clients";
  const nameless = (list) => (list || []).map((one) => ({ ...one, name: "" }));
  const common = { xs, xLow: 0, xFormat: (value) => group(value, 1) + " s", bands: nameless(extra.bands), marks: nameless(extra.marks) };
  chart(part, { ...common, title: one.kind === "rate" ? "requests a second that were to begin, and connections" : "clients that were to be there, and connections",
    series: [{ name: unit, color: "--ghost", step: true, area: true, values: moments.level }, { name: "connections", color: "--d", values: moments.connections, thick: 1.5 }],
    height: 120, yFormat: compact, bands: extra.bands });
  chart(part, { ...common, title: "answers and failures a second", series: [{ name: "answers/s", color: "--a", area: true, values: moments.throughput },
    { name: "failed/s", color: "--bad", values: moments.errors }], height: 170, yFormat: compact });
  const head = element("div", { class: "head" });
  part.append(head);
  legend(head, [{ name: "p50", color: "--p1" }, { name: "p95", color: "--p2" }, { name: "p99", color: "--p3" }]);
  const series = [{ name: "p50", color: "--p1", values: moments.p50 }, { name: "p95", color: "--p2", values: moments.p95 }, { name: "p99", color: "--p3", values: moments.p99 }];
  const log = logButton(head, () => draw());
  log.on = worthLog(series);
  head.lastChild.setAttribute("aria-pressed", String(log.on));
  const draw = chart(part, { ...common, title: "latency of each tenth of a second (in a long run of several together, the worst)", series, height: 200, yFormat: time, yLog: () => log.on, limit: extra.limit, limitName: extra.limitName,
    xLabel: "seconds since it began", marks: extra.marks });
}
function blast() {
  const one = seriesOf(analysis, "blast"), found = analysis.blast;
  if (!one || !found) return;
  const end = found.recovery.endOfBlast, begin = found.before.duration;
  const marks = found.recovery.recovered ? [{ x: end + found.recovery.after, name: `normal again after ${found.recovery.after.toFixed(1)} s` }] : [];
  const rejected = found.during.rejections;
  overTime(one, `A blast of ${group(found.clients)} clients, and the recovery`,
    `During the blast ${amount(found.during.throughput)} answers a second, ${percent(found.during.errorRate)} failed` +
    `${rejected.count > 0 ? `; refusals by status took ${time(rejected.p99)} at most for 99 %` : ""}. ` +
    (found.recovery.recovered ? `${found.recovery.after.toFixed(2)} s after it ended p99 was below ${time(found.recovery.normalUpTo)} and stayed there.` : found.recovery.recovered === null ? "What is normal nobody knows: the first stage was not."
      : "It was not normal again while it was watched."),
    { bands: [{ from: begin, to: end, color: "--bad", name: "blast" }], marks, limit: found.recovery.normalUpTo, limitName: "normal up to" });
}
/* Processor times are counted in hundredths of a second: a mean of five looks is what can be seen. */
function smooth(values) {
  return values.map((_, i) => {
    const near = values.slice(Math.max(0, i - 2), i + 3).filter(known);
    return near.length > 0 ? near.reduce((sum, value) => sum + value, 0) / near.length : null;
  });
}
function resources(one, title, isFolded) {
  const of = one.resources, xs = of.at, limits = one.limits, isFirst = one === bottleneckSeries();
  if (!xs || xs.length < 2 || Object.keys(of).length < 2) return;
  const small = element("div", { class: "small" }), zeros = [];
  if (isFolded) {
    const fold = element("details", {}, element("summary", {}, title), small);
    fold.addEventListener("toggle", drawAll);
    page.append(element("section", {}, fold));
  } else {
    section(title, isFirst && analysis.firstBottleneck
      ? `First to run out: ${resourceWords[analysis.firstBottleneck.resource]} at ${seconds(analysis.firstBottleneck.at)}, ${analysis.firstBottleneck.evidence}.` : null, small);
  }
  const plots = [
    ["Processors: user and kernel", [["cpuUser", "user", "--a"], ["cpuSystem", "kernel", "--b"], ["cpuWaiting", "waiting for one", "--ghost"]], (value) => group(value, 2), limits.cpuUser, true],
    ["Busiest thread", [["busiestThread", "of a processor", "--a"]], percent, limits.busiestThread, true],
    ["The whole machine’s processors", [["machineCpu", "busy", "--d"], ["labCpu", "by the lab", "--ghost"]], (value) => group(value, 2), limits.machineCpu, true],
    ["Memory", [["memory", "memory", "--a"]], bytes, limits.memory],
    ["Descriptors", [["descriptors", "open", "--a"]], compact, limits.descriptors],
    ["Sockets by state", [["established", "established", "--a"], ["synReceived", "half open", "--b"], ["closeWait", "close-wait", "--bad"], ["timeWait", "time-wait", "--ghost"]], compact],
    ["Accept queue", [["acceptQueue", "waiting", "--a"]], compact, limits.acceptQueue],
    ["Accept queue overflows a second", [["listenOverflows", "overflows", "--bad"]], compact],
    ["Context switches a second", [["contextSwitches", "switches", "--a"]], compact],
    ["Network, bytes a second", [["bytesReceived", "received", "--a"], ["bytesSent", "sent", "--b"]], bytes],
    ["Loop lag, by its own metrics", [["loopLag", "longest turn", "--a"]], time],
    ["Connections, by its own metrics", [["connections", "open", "--a"]], compact],
  ];
  const marks = isFirst && analysis.firstBottleneck ? [{ x: analysis.firstBottleneck.at, name: "" }] : [];
  for (const [name, lines, yFormat, limit, wavers] of plots) {
    const known = lines.filter(([key]) => of[key]), shown = known.filter(([key]) => of[key].some((value) => value > 0));
    if (known.length > 0 && shown.length === 0) zeros.push(name.toLowerCase());
    if (shown.length === 0) continue;
    const series = shown.map(([key, word, color], i) => ({ name: word, color, values: wavers ? smooth(of[key]) : of[key], area: i === 0, thick: 1.6 }));
    const cell = element("div");
    small.append(cell);
    chart(cell, { title: name, xs, xLow: 0, series, height: 140, yFormat, limit, xFormat: (value) => group(value, 1) + " s", marks });
    if (series.length > 1) legend(cell, series);
  }
  if (zeros.length > 0) small.after(element("p", { class: "note" }, `Nothing all the time: ${zeros.join(", ")}.`));
}
const bottleneckSeries = () => seriesOf(analysis, "ramp") || seriesOf(analysis, "stages");
function distribution() {
  const total = analysis.total, columns = total.histogram;
  if (columns.length === 0) return;
  const answers = columns.reduce((sum, [, , count]) => sum + count, 0);
  const part = section("How long answers took", `The ${group(answers)} answers with 2xx of all stages; columns on a logarithmic scale.`);
  const holder = element("div", { class: "chart" });
  part.append(holder);
  drawings.push(() => drawHistogram(holder, columns, total));
  const spectrum = element("div");
  part.append(spectrum);
  const nines = (pairs) => pairs.filter(([share]) => share < 100).map(([share, value]) => [1 / (1 - share / 100), value]);
  const now = nines(total.spectrum);
  const ticks = [1, 2, 10, 100, 1000, 10000, 100000].filter((value) => value <= Math.max(...now.map(([at]) => at)));
  const series = [{ name: "this run", color: "--a", values: now.map(([, value]) => value) }];
  if (old) series.push({ name: "earlier run", color: "--ghost", dashed: true, values: nines(old.total.spectrum).map(([, value]) => value) });
  chart(spectrum, { title: "by percentile", xs: now.map(([at]) => at), xLog: true, xTicks: ticks, series, height: 190, yFormat: time,
    yLog: () => worthLog(series), xFormat: (at) => at === 1 ? "0 %" : `${+(100 - 100 / at).toFixed(4)} %`, xLabel: "share of answers that took at most so long" });
  if (old) legend(spectrum, series);
}
function drawHistogram(holder, columns, total) {
  const width = Math.max(280, holder.clientWidth), height = 190, left = 54, right = 14, top = 22, bottom = 24;
  const x = logarithmic(Math.max(columns[0][0], 0.0001), columns[columns.length - 1][1], left, width - right);
  /* Columns are not equally wide in time: what is drawn is the share of answers. */
  const all = columns.reduce((sum, column) => sum + column[2], 0);
  const y = linear(0, Math.max(...columns.map((column) => column[2])) / all, height - bottom, top, 3);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" });
  svg.append(shape("title", {}, "histogram of latencies"));
  for (const tick of y.ticks) {
    svg.append(shape("line", { x1: left, x2: width - right, y1: y.of(tick), y2: y.of(tick), class: "grid" }));
    svg.append(shape("text", { x: left - 8, y: y.of(tick) + 4, "text-anchor": "end" }, percent(tick)));
  }
  for (const tick of x.ticks) svg.append(shape("text", { x: x.of(tick), y: height - bottom + 17, "text-anchor": "middle" }, time(tick)));
  for (const [low, high, count] of columns) {
    const from = x.of(Math.max(low, 0.0001)), to = x.of(high);
    const bar = shape("rect", { x: from + 0.5, width: Math.max(1, to - from - 1), y: y.of(count / all), height: Math.max(0.6, height - bottom - y.of(count / all)), style: "fill:var(--a)" });
    bar.addEventListener("pointermove", (event) => {
      tip.replaceChildren(element("b", {}, `${time(low)} to ${time(high)}`), element("div", {}, element("span", {}, "answers"), element("em", {}, `${group(count)}, ${percent(count / all)}`)));
      tip.hidden = false;
      tip.style.left = Math.min(event.clientX + 16, window.innerWidth - tip.offsetWidth - 8) + "px";
      tip.style.top = event.clientY + 16 + "px";
    });
    bar.addEventListener("pointerleave", () => { tip.hidden = true; });
    svg.append(bar);
  }
  let last = -Infinity;
  for (const [key, name] of [["p50", "p50"], ["p95", "p95"], ["p99", "p99"], ["p99_9", "p99.9"]]) {
    const at = x.of(total[key]);
    svg.append(shape("line", { x1: at, x2: at, y1: top, y2: height - bottom, class: "mark" }));
    if (at > last + 34) { svg.append(shape("text", { x: at, y: top - 7, "text-anchor": "middle", class: "strong" }, name)); last = at; }
  }
  svg.append(shape("line", { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom, class: "axis" }));
  holder.replaceChildren(svg);
}
function stageTable(title, stages, before, steps) {
  const keys = [["mean", "mean"], ["p50", "p50"], ["p95", "p95"], ["p99", "p99"], ["p99_9", "p99.9"], ["max", "max"]];
  const head = element("tr", {}, element("th", {}, who), ...["time", "answers/s", "requests", "failed", "served", "connections", ...keys.map(([, name]) => name), ...(steps ? ["growth"] : [])].map((name) => element("th", {}, name)));
  const rows = stages.map((stage, i) => {
    const was = before && beforeOf(stage);
    const from = isOpen ? stage.rateFrom : stage.clientsFrom;
    const failed = element("td", { class: stage.errorRate > 0 ? "bad" : "" }, percent(stage.errorRate));
    failed.title = failureList(stage);
    const served = element("td", { class: stage.served < stage.clients && known(stage.served) ? "bad" : "" }, group(stage.served));
    const lost = stage.connections.failed;
    const connections = element("td", { class: lost > 0 ? "bad" : "" }, group(stage.connections.peak) + (lost > 0 ? `, ${group(lost)} not made` : ""));
    connections.title = `at once; ${group(stage.connections.opened)} were made, ${group(lost)} were not`;
    const step = steps && steps.find((one) => one.to === levelOf(stage) && known(one.ratio));
    const growth = element("td", {}, step ? `${step.ratio.toFixed(2)}×` : "");
    growth.title = step ? `p99 grew ${step.p99Growth.toFixed(2)}×, ${who} ${step.growth.toFixed(2)}×` : "";
    return element("tr", {}, element("td", {}, known(from) ? `${amount(from)} → ${amount(levelOf(stage))}` : amount(levelOf(stage))),
      element("td", {}, seconds(stage.duration)), element("td", {}, amount(stage.throughput), was ? delta(stage.throughput, was.throughput, false) : null),
      element("td", {}, group(stage.requests)), failed, served, connections,
      ...keys.map(([key]) => element("td", {}, time(stage[key]), was && (key === "p50" || key === "p99") ? delta(stage[key], was[key], true) : null)),
      ...(steps ? [growth] : []));
  });
  section(title, before ? "Changes are against the earlier run." : null, element("div", { class: "wide" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
}
function method() {
  const lab = analysis.total.lab;
  section("How this was measured", null, element("details", {}, element("summary", {}, "What the words mean, and how the lab itself fared"),
    element("p", {}, isOpen ? "Requests began when they were due, whatever became of those before; a latency counts from then on, so a server that stalls cannot hide it."
      : "Each client sent its next request when it had the answer to the last one. A latency counts from the moment the client wanted to ask, a new connection included."),
    element("p", {}, "Latencies are of answers with status 2xx; everything else is a failed request. Percentiles come from a histogram that is exact to 0.4 %. A throughput counts whole answers of any status that came before the last stage ended."),
    element("p", {}, `The lab used ${percent(lab.cpu)} of its ${group(analysis.run.threads)} thread${analysis.run.threads === 1 ? "" : "s"} and waited for a processor ${percent(lab.waitedForCpu)} of the time; ` +
      `a turn of its loop took ${time(lab.loopLag.p50)} (median), ${time(lab.loopLag.p99)} (p99).`),
    element("p", {}, "Growth: how much p99 grew from the stage before, over how much the load did. Sustained: the highest load up to which in each stage at most 1 % failed and 99 % of the clients were served. Served: a client that got a good answer in its stage. Broken: more than half failed, or were not served. Normal again: p99 at most twice that of the first stage, and below 1 % failed.")));
  document.getElementById("foot").textContent = `magpie ${analysis.run.version}, seed ${analysis.run.seed}`;
}

intro();
headlines();
againstLoad();
distribution();
overTime(seriesOf(analysis, "stages"), "Over time", null);
blast();
resources(bottleneckSeries(), analysis.ramp ? "What it used while clients came in twenty steps" : "What the target used");
for (const one of analysis.series.filter((one) => one !== bottleneckSeries()))
  resources(one, one.name === "blast" ? "What it used during the blast" : "What it used during the stages", true);
stageTable("Stages", run.stages, baseline && baseline.stages, run.stages.length > 1 ? analysis.degradation.steps : null);
if (analysis.ramp) stageTable("The ramp’s steps", analysis.ramp, null);
method();

const theme = document.documentElement;
if (location.hash === "#dark" || location.hash === "#light") theme.dataset.theme = location.hash.slice(1);
document.getElementById("theme").addEventListener("click", () => {
  const dark = theme.dataset.theme ? theme.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  theme.dataset.theme = dark ? "light" : "dark";
});
function drawAll() { drawings.forEach((draw) => draw()); }
drawAll();
let waiting = 0;
window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(drawAll, 80); });
