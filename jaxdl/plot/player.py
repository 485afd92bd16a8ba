"""HTML page of the player, a :class:`string.Template`."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$heading</title>
<style>
body { margin: 8px; font: 14px/1.4 "DejaVu Sans", Verdana, sans-serif; color: #111;
  background: #fff; }
figure { margin: 0 auto; width: $width; min-width: min(100%, 380px); }
figcaption { min-height: 1.4em; text-align: center; }
img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
img[hidden] { display: none; }
#frame { display: block; width: 100%; margin: 8px 0; }
.controls { display: flex; flex-wrap: wrap; gap: 6px; align-items: center;
  justify-content: center; }
.controls { margin-bottom: 8px; }
button { min-height: 32px; font: inherit; }
#play { min-width: 64px; }
fieldset { border: 0; margin: 0; padding: 0; }
legend { float: left; margin-right: 4px; padding: 0; }
</style>
</head>
<body>
<figure>
<figcaption id="title"></figcaption>
<div id="frames">
$images
</div>
<input id="frame" type="range" min="0" max="$last" value="$last" step="1" aria-label="Frame">
<div class="controls">
<button type="button" id="first" title="First frame">First</button>
<button type="button" id="previous" title="Previous frame">Previous</button>
<button type="button" id="play">Play</button>
<button type="button" id="next" title="Next frame">Next</button>
<button type="button" id="final" title="Last frame">Last</button>
</div>
<div class="controls">
<label>Speed
<select id="speed">
<option value="0.25">&frac14; &times;</option>
<option value="0.5">&frac12; &times;</option>
<option value="1" selected>1 &times;</option>
<option value="2">2 &times;</option>
<option value="4">4 &times;</option>
</select></label>
<fieldset id="mode"><legend>At the end</legend>
<label><input type="radio" name="mode" value="once">once</label>
<label><input type="radio" name="mode" value="loop" checked>loop</label>
<label><input type="radio" name="mode" value="reflect">reflect</label>
</fieldset>
</div>
</figure>
<script>
(() => {
  "use strict";
  const get = (id) => document.getElementById(id);
  const images = [...get("frames").children];
  const last = images.length - 1;
  let current = last;
  let direction = 1;
  let timer = null;

  function show(index) {
    images[current].hidden = true;
    current = Math.min(Math.max(index, 0), last);
    images[current].hidden = false;
    get("title").textContent = images[current].alt;
    get("frame").value = current;
    get("frame").setAttribute("aria-valuetext", images[current].alt);
  }

  function pause() {
    clearTimeout(timer);
    timer = null;
    get("play").textContent = "Play";
  }

  function play() {
    if (mode() === "once" && current === last) show(0);
    direction = 1;
    get("play").textContent = "Pause";
    schedule();
  }

  function mode() {
    return document.querySelector("input[name=mode]:checked").value;
  }

  function schedule() {
    clearTimeout(timer);
    timer = setTimeout(advance, $milliseconds / Number(get("speed").value));
  }

  function advance() {
    if (mode() === "reflect") {
      if (current + direction < 0 || current + direction > last) direction = -direction;
      show(current + direction);
    } else if (mode() === "loop") {
      show(current === last ? 0 : current + 1);
    } else if (current < last) {
      show(current + 1);
    }
    if (mode() === "once" && current === last) pause();
    else schedule();
  }

  function step(index) {
    pause();
    show(index);
  }

  get("first").onclick = () => step(0);
  get("previous").onclick = () => step(current - 1);
  get("next").onclick = () => step(current + 1);
  get("final").onclick = () => step(last);
  get("play").onclick = () => (timer === null ? play() : pause());
  get("frame").oninput = (event) => step(Number(event.target.value));
  get("speed").onchange = () => timer !== null && schedule();

  show(0);
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (last > 0 && !still) play();
})();
</script>
</body>
</html>
"""
