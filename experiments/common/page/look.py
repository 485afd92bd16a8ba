"""The page's style and script."""

STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --soft: #555; --paper: #fff; --box: #f4f5f6;
  --rule: #d4d7da; --link: #0b57a4; --warn: #8a4b00; --c0: #0072b2; --c1: #b84600; --c2: #00795a;
  --c3: #a9407e; --c4: #7a5a00; --c5: #4b5bc0; --c6: #1b1b1b; --c7: #b3261e; }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #e8e8e8; --soft: #b4b8bc; --paper: #16181a; --box: #212427; --rule: #43484d;
    --link: #8ec5ff; --warn: #ffb870; --c0: #5ab4e8; --c1: #ff9a5c; --c2: #35c79b; --c3: #f0a3cc;
    --c4: #e6c04b; --c5: #a9b3ff; --c6: #f2f2f2; --c7: #ff8a80; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main, header, nav { max-width: 1080px; margin: 0 auto; padding: 0 16px; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1.2rem 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; overflow-wrap: anywhere; }
p, li, dd { overflow-wrap: anywhere; }
p { margin: .5rem 0; }
a { color: var(--link); }
.skip { position: absolute; left: -9999px; }
.skip:focus { left: 8px; top: 8px; background: var(--paper); padding: 8px; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1rem; list-style: none; margin: .6rem 0;
  padding: 0; }
.lead { color: var(--soft); margin-top: 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px;
  margin: 1rem 0; }
.facts div { background: var(--box); border-radius: 6px; padding: 8px 12px; }
.facts dt { color: var(--soft); font-size: .85rem; }
.facts dd { margin: 0; font-weight: 600; }
.warning { border-left: 4px solid var(--warn); background: var(--box); padding: 6px 12px;
  margin: .6rem 0; }
.warning b { color: var(--warn); }
.note { color: var(--soft); font-size: .85rem; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; color: var(--soft); padding: 2px 0 4px; }
th, td { text-align: left; vertical-align: top; padding: 3px 14px 3px 0;
  border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; min-width: 4.5em; }
th { overflow-wrap: break-word; }
th code { white-space: nowrap; }
.numbers td { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
.numbers thead th + th { text-align: right; }
code, pre { font: .85rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { background: var(--box); padding: 8px 12px; border-radius: 6px; white-space: pre-wrap;
  overflow-wrap: anywhere; margin: .3rem 0 .9rem; }
code.sum { font-size: .75rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr));
  gap: 8px 28px; }
figure { margin: 0 0 .8rem; min-width: 0; }
.chart svg[role=img] { display: block; width: 100%; height: auto; touch-action: pan-y; }
svg text { fill: var(--text); font: 13px system-ui, "DejaVu Sans", sans-serif; }
.grid { stroke: var(--rule); }
.cursor { stroke: var(--text); stroke-dasharray: 3 3; }
.curve { fill: none; stroke-width: 1.8; }
.band { opacity: .18; stroke: none; }
.line0 { stroke: var(--c0); } .band.line0, .mark.line0 { fill: var(--c0); }
.line1 { stroke: var(--c1); } .band.line1, .mark.line1 { fill: var(--c1); }
.line2 { stroke: var(--c2); } .band.line2, .mark.line2 { fill: var(--c2); }
.line3 { stroke: var(--c3); } .band.line3, .mark.line3 { fill: var(--c3); }
.line4 { stroke: var(--c4); } .band.line4, .mark.line4 { fill: var(--c4); }
.line5 { stroke: var(--c5); } .band.line5, .mark.line5 { fill: var(--c5); }
.line6 { stroke: var(--c6); } .band.line6, .mark.line6 { fill: var(--c6); }
.line7 { stroke: var(--c7); } .band.line7, .mark.line7 { fill: var(--c7); }
.curve.line1, .curve.line5 { stroke-dasharray: 7 3; }
.curve.line2, .curve.line6 { stroke-dasharray: 2 2; }
.curve.line3, .curve.line7 { stroke-dasharray: 9 3 2 3; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; list-style: none; margin: 2px 0;
  padding: 0; font-size: .85rem; }
.legend svg { width: 28px; height: 12px; margin-right: 6px; }
.chart input, .controls input { width: 100%; margin: 4px 0; accent-color: var(--c0); }
.reading { display: block; min-height: 1.5em; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
.strip { display: flex; gap: 12px; overflow-x: auto; padding-bottom: 6px; }
.strip figure { flex: 0 0 auto; max-width: 100%; }
.player .strip { display: block; }
.player figure[hidden] { display: none; }
.strip img { width: 320px; }
.strip img, .figures img { display: block; max-width: 100%; height: auto; background: #fff; }
.strip figcaption { font-size: .9rem; color: var(--soft); }
.controls { max-width: 320px; }
.controls div { display: flex; gap: 8px; }
button { font: inherit; min-height: 36px; padding: 2px 12px; color: var(--text);
  background: var(--box); border: 1px solid var(--soft); border-radius: 6px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr));
  gap: 20px 28px; align-items: start; }
summary { cursor: pointer; padding: 4px 0; color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
@media print {
  body { font-size: 11pt; }
  nav, .skip, .chart input, .controls, .reading { display: none; }
  .strip, .player .strip { display: flex; flex-wrap: wrap; overflow: visible; }
  .player figure[hidden] { display: block; }
  .strip img { width: 110px; }
  .charts, .figures { grid-template-columns: 1fr 1fr; }
  .wide { overflow: visible; }
  figure, tr, pre { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""

SCRIPT = """
"use strict";
const make = (name, properties) => Object.assign(document.createElement(name), properties);
for (const chart of document.querySelectorAll("[data-chart]")) {
  const data = JSON.parse(chart.dataset.chart);
  const picture = chart.querySelector("svg"), cursor = picture.querySelector(".cursor");
  const reading = make("output", { className: "reading" });
  const slider = make("input", { type: "range", min: 0, max: data.steps.length - 1, step: 1 });
  slider.setAttribute("aria-label", "Read values off: " + data.title);
  const show = (index) => {
    const value = (i) => data.values[i][index] ?? "–";
    const values = data.names.map((name, i) => (name ? name + " " : "") + value(i));
    reading.textContent = "Step " + data.steps[index] + ": " + values.join(", ");
    slider.value = index;
    slider.setAttribute("aria-valuetext", reading.textContent);
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, data.places[index]);
    cursor.setAttribute("visibility", "visible");
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * data.width;
    const far = data.places.map((place) => Math.abs(place - x));
    show(far.indexOf(Math.min(...far)));
  });
  picture.after(slider, reading);
  show(data.steps.length - 1);
  cursor.setAttribute("visibility", "hidden");
}
for (const strip of document.querySelectorAll(".strip")) {
  const frames = [...strip.children];
  if (!strip.dataset.player || frames.length < 2) continue;
  for (const name of ["role", "tabindex", "aria-label"]) strip.removeAttribute(name);
  strip.parentElement.classList.add("player");
  const slider = make("input", { type: "range", min: 0, max: frames.length - 1, step: 1 });
  slider.setAttribute("aria-label", strip.dataset.player);
  const show = (index) => {
    frames.forEach((frame, i) => { frame.hidden = i !== index; });
    slider.value = index;
    slider.setAttribute("aria-valuetext", frames[index].querySelector("figcaption").textContent);
  };
  const here = () => Number(slider.value), last = frames.length - 1;
  let timer = null;
  const button = (textContent, onclick) => make("button", { type: "button", textContent, onclick });
  const play = button("Play", () => (timer === null ? start() : stop()));
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  const start = () => {
    play.textContent = "Pause";
    if (here() === last) show(0);
    timer = setInterval(() => (here() < last ? show(here() + 1) : stop()), 500);
  };
  const go = (index) => { stop(); show(Math.min(Math.max(index, 0), last)); };
  slider.addEventListener("input", () => go(here()));
  const row = make("div", {});
  row.append(button("Previous", () => go(here() - 1)), play, button("Next", () => go(here() + 1)));
  const controls = make("div", { className: "controls" });
  controls.append(slider, row);
  strip.after(controls);
  show(last);
}
"""
