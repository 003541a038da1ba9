// Draws the figures that stand as JSON in the page. Without this file the page shows the same lines as still pictures.
"use strict";
(() => {
  const style = () => getComputedStyle(document.documentElement);
  // A string such as "--accent" is the name of a colour of the sheet.
  const paint = (value, look) => {
    if (typeof value === "string") return value.startsWith("--") ? look.getPropertyValue(value).trim() : value;
    if (Array.isArray(value)) return value.map((item) => paint(item, look));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, paint(item, look)]));
    }
    return value;
  };
  const settings = { displayModeBar: false, responsive: true, displaylogo: false };
  const texts = new Set(["name", "text", "x", "y"]); // data, never colours
  const paintFigure = (figure, look) => {
    const walk = (value, key) => (texts.has(key) ? value : Array.isArray(value) ? value.map((item) => walk(item, key))
      : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, walk(v, k)]))
      : paint(value, look));
    return walk(figure, "");
  };
  // What each line is, below the picture, in as many lines as it needs. Colours are the sheet's own variables.
  const key = (figure) => {
    const list = document.createElement("ul");
    list.className = "key";
    const named = new Set();
    for (const trace of figure.data) {
      if (trace.showlegend === false || named.has(trace.name)) continue;
      named.add(trace.name);
      const item = document.createElement("li");
      const sign = document.createElement("i");
      const area = trace.fill || trace.type === "bar";
      sign.className = area ? "area" : trace.mode === "markers" ? "point" : trace.line.dash || "solid";
      sign.style.color = `var(${trace.fillcolor || trace.marker?.color || trace.line?.color})`;
      item.append(sign, new DOMParser().parseFromString(trace.name, "text/html").body.textContent);
      list.append(item);
    }
    return list;
  };
  const figureOf = (place) => JSON.parse(document.getElementById(place.dataset.chart).textContent);
  // The room is taken before anything is drawn: a page must not move under somebody who is about to press something.
  const reserve = (place) => {
    const figure = figureOf(place);
    place.classList.add("live");
    if (figure.layout.legend.visible) place.after(key(figure));
  };
  const draw = (place) => {
    const figure = paintFigure(figureOf(place), style());
    if (place.clientWidth < 480) {
      figure.layout.margin = { ...figure.layout.margin, l: 44, r: 6, t: 12 };
      figure.layout.annotations = []; // no room for names beside each other: the lines stay
      if (figure.layout.xaxis.type === "date") figure.layout.xaxis.nticks = 4;
    }
    Plotly.react(place, figure.data, figure.layout, settings);
    place.dataset.drawn = "yes";
  };
  if (typeof Plotly === "undefined") return;
  const places = [...document.querySelectorAll("[data-chart]")];
  places.forEach(reserve);
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "400px" });
  places.forEach((place) => seen.observe(place));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    places.filter((place) => place.dataset.drawn).forEach(draw);
  });
})();
