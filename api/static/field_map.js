// The map of the field: it is moved and zoomed while its signs keep their size, names are put where there is room, and
// a card says what a point is. Without this the picture is whole, and each of its points a link with a title.
"use strict";
{
  const WIDTH = 1200, HEIGHT = 700, NEAREST = 14, LABELS_FROM = 2.2, LABELS = 70, MOST_WIDE = 190, STEP = 1.5;
  const AWAY = [0, -20, 20, -40, 40, -60, 60, -80, 80], ASIDE = [0, -35, 35, -70, 70, -105, 105, -140, 140];
  const SVG = "http://www.w3.org/2000/svg";
  // What is looked at stays when filters bring other points.
  const view = { x: WIDTH / 2, y: HEIGHT / 2, zoom: 1 };
  let stage, svg, land, card, points, names, labels, width, height, isSmall, waits = false;

  const wide = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60]/g;
  const textWidth = (text, size) => {
    const many = (text.match(wide) ?? []).length;
    return (many + 0.57 * (text.length - many)) * size;
  };
  const clamped = (value, least, most) => Math.min(Math.max(value, least), Math.max(least, most));
  const across = () => (width / WIDTH) * view.zoom;
  const down = () => (height / HEIGHT) * view.zoom;
  const screen = (point) => [(point.x - view.x) * across() + width / 2, (point.y - view.y) * down() + height / 2];

  function begin() {
    const found = document.querySelector(".stage");
    if (!found || found === stage) return;
    stage = found;
    svg = stage.querySelector(".field-map");
    land = svg.querySelector(".land");
    card = stage.querySelector(".map-card");
    points = [...svg.querySelectorAll(".points a")].map((link) => {
      const { e: x, f: y } = link.transform.baseVal.getItem(0).matrix;
      const lines = link.querySelector("title").textContent.split("\n");
      return { link, x, y, lines, isNeed: link.getAttribute("href").startsWith("/needs/") };
    });
    for (const point of points) point.link.point = point;
    names = [...svg.querySelectorAll(".names text")].map((text) => {
      const [x, y] = text.dataset.at.split(" ").map(Number);
      const [first, second] = text.children;
      return { text, x, y, first: first.textContent, second: second?.textContent ?? "" };
    });
    labels = svg.appendChild(document.createElementNS(SVG, "g"));
    labels.setAttribute("class", "of-points");
    labels.setAttribute("aria-hidden", "true");
    stage.classList.add("live");
    stage.parentElement.querySelector(".zooming").hidden = false;
    sizes.disconnect();
    sizes.observe(stage);
    stage.addEventListener("wheel", wheel, { passive: false });
    measure();
  }
  const sizes = new ResizeObserver(() => measure());

  function measure() {
    if (!stage.clientWidth || !stage.clientHeight) return;
    width = stage.clientWidth;
    height = stage.clientHeight;
    // On a phone names are smaller and have one line, and one that would cover points waits until one looks nearer.
    isSmall = width < 600;
    stage.classList.toggle("small", isSmall);
    for (const name of names) {
      const second = isSmall ? "" : name.second;
      name.width = Math.max(textWidth(name.first, isSmall ? 13 : 15), textWidth(second, 12)) + 10;
      name.height = second ? 40 : 23;
    }
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    draw();
  }

  function draw() {
    const half = 1 / (2 * view.zoom);
    view.x = clamped(view.x, WIDTH * half, WIDTH * (1 - half));
    view.y = clamped(view.y, HEIGHT * half, HEIGHT * (1 - half));
    stage.classList.toggle("near", view.zoom > 1);
    stage.classList.toggle("deep", view.zoom > 3);
    const [left, top] = screen({ x: 0, y: 0 });
    land.setAttribute("transform", `translate(${left} ${top}) scale(${across()} ${down()})`);
    for (const point of points) {
      [point.left, point.top] = screen(point);
      point.isSeen = point.left > -24 && point.left < width + 24 && point.top > -24 && point.top < height + 24;
      point.link.setAttribute("transform", `translate(${point.left.toFixed(1)} ${point.top.toFixed(1)})`);
    }
    placeNames();
    const bounds = { in: view.zoom >= NEAREST, out: view.zoom <= 1, whole: view.zoom <= 1 };
    for (const button of stage.parentElement.querySelectorAll("[data-zoom]")) {
      button.setAttribute("aria-disabled", bounds[button.dataset.zoom]);
    }
    if (!card.hidden && card.point) show(card.point);
  }
  const later = () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => { waits = false; draw(); });
  };

  const boxOf = (x, y, w, h) => [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
  const overlap = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

  // Names of areas stand where they cover the fewest points; none overlaps another, none leaves the picture.
  function placeNames() {
    const seen = points.filter((point) => point.isSeen);
    const taken = [[width - 56, 0, width, 142]];
    for (const name of names) {
      const [x, y] = screen(name);
      let best = null;
      const isHere = x > 0 && x < width && y > 0 && y < height;
      for (const dy of isHere ? AWAY : []) for (const dx of ASIDE) {
        const middle = [clamped(x + dx, name.width / 2 + 4, width - name.width / 2 - 4), clamped(y + dy, name.height / 2 + 4, height - name.height / 2 - 4)];
        const box = boxOf(...middle, name.width, name.height);
        if (isSmall && (Math.abs(middle[0] - x) > 75 || Math.abs(middle[1] - y) > 45)) continue;
        if (box[0] < 0 || box[2] > width || taken.some((other) => overlap(box, other))) continue;
        const covered = seen.filter((p) => p.left > box[0] - 8 && p.left < box[2] + 8 && p.top > box[1] - 8 && p.top < box[3] + 8).length;
        const cost = 3 * covered + (Math.abs(dx) / 2 + Math.abs(dy)) / 40;
        if (isSmall && covered > 1) continue;
        if (!best || cost < best.cost) best = { cost, middle, box };
      }
      name.text.toggleAttribute("hidden", !best);
      if (!best) continue;
      taken.push(best.box);
      const up = name.height > 30 ? 3 : -5;
      name.text.setAttribute("transform", `translate(${best.middle[0].toFixed(1)} ${(best.middle[1] - up).toFixed(1)})`);
    }
    placeLabels(seen, taken);
  }

  // The nearer one looks, the more points say their name.
  function placeLabels(seen, taken) {
    labels.replaceChildren();
    if (view.zoom < LABELS_FROM) return;
    const marks = seen.map((p) => boxOf(p.left, p.top, 18, 18));
    const order = [...seen].sort((a, b) => b.isNeed - a.isNeed);
    for (const point of order) {
      if (labels.childElementCount >= LABELS) break;
      let said = point.lines[0];
      while (textWidth(said, 12) > MOST_WIDE) said = said.slice(0, -2).trimEnd() + "…";
      const w = textWidth(said, 12) + 6;
      const tries = [[0, 21], [0, -21], [w / 2 + 14, 0], [-w / 2 - 14, 0]];
      const free = tries.map(([dx, dy]) => boxOf(point.left + dx, point.top + dy, w, 16)).find((box) =>
        box[0] >= 0 && box[2] <= width && box[1] >= 0 && box[3] <= height && !taken.some((other) => overlap(box, other)) && !marks.some((other) => overlap(box, other)));
      if (!free) continue;
      taken.push(free);
      const text = labels.appendChild(document.createElementNS(SVG, "text"));
      text.setAttribute("x", ((free[0] + free[2]) / 2).toFixed(1));
      text.setAttribute("y", (free[3] - 4).toFixed(1));
      text.textContent = said;
    }
  }

  // Zooms so that what lies under a place of the stage stays there.
  function zoomTo(zoom, at = [width / 2, height / 2]) {
    const next = clamped(zoom, 1, NEAREST);
    const under = [view.x + (at[0] - width / 2) / across(), view.y + (at[1] - height / 2) / down()];
    view.zoom = next;
    view.x = under[0] - (at[0] - width / 2) / across();
    view.y = under[1] - (at[1] - height / 2) / down();
    later();
  }
  function move(dx, dy) {
    view.x -= dx / across();
    view.y -= dy / down();
    later();
  }
  const within = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  function wheel(event) {
    // Only with Ctrl, which is also what two fingers on a touchpad send: else the page scrolls as always.
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoomTo(view.zoom * Math.exp(-clamped(event.deltaY, -100, 100) / 240), within(event));
  }

  // The card.
  let leaving = 0;
  function show(point, isTouched = false) {
    clearTimeout(leaving);
    if (card.point !== point || card.hidden) {
      const lines = [...point.lines.filter(Boolean), ...(isTouched ? [card.dataset.again] : [])];
      card.replaceChildren(...lines.map((line, number) => {
        const said = document.createElement("p");
        said.textContent = line;
        if (isTouched && number === lines.length - 1) said.className = "again";
        return said;
      }));
      card.point?.link.classList.remove("here");
      card.point = point;
      point.link.classList.add("here");
      card.hidden = false;
    }
    const left = clamped(point.left - card.offsetWidth / 2, 6, width - card.offsetWidth - 6);
    const above = point.top - card.offsetHeight - 22;
    card.style.setProperty("left", `${left}px`);
    card.style.setProperty("top", `${above >= 6 ? above : Math.min(point.top + 22, height - card.offsetHeight - 6)}px`);
  }
  function hide() {
    clearTimeout(leaving);
    card.hidden = true;
    card.point?.link.classList.remove("here");
    card.point = null;
  }
  const pointOf = (target) => target.closest?.(".points a")?.point;
  // The browser's own title would say the same a second time, over the card.
  const untitled = (point, isOff) => {
    point.link.querySelector("title").textContent = isOff ? "" : point.lines.join("\n");
    if (isOff) point.link.setAttribute("aria-label", point.lines.join("\n"));
    else point.link.removeAttribute("aria-label");
  };

  document.addEventListener("pointerover", (event) => {
    const point = pointOf(event.target);
    if (point && event.pointerType !== "touch" && !held.size) {
      untitled(point, true);
      show(point);
    } else if (event.target.closest?.(".map-card")) clearTimeout(leaving);
  });
  document.addEventListener("pointerout", (event) => {
    const point = pointOf(event.target);
    if (point && event.pointerType !== "touch") untitled(point, false);
    if (event.pointerType !== "touch" && (point || event.target.closest?.(".map-card"))) {
      clearTimeout(leaving);
      leaving = setTimeout(() => { if (!pointOf(document.activeElement)) hide(); }, 160);
    }
  });
  document.addEventListener("focusin", (event) => {
    const point = pointOf(event.target);
    if (!point) return;
    if (point.left < 20 || point.left > width - 20 || point.top < 20 || point.top > height - 20) {
      view.x = point.x;
      view.y = point.y;
      draw();
    }
    reach(point);
    if (event.target.matches(":focus-visible")) show(point);
  });
  document.addEventListener("focusout", (event) => {
    if (pointOf(event.target)) hide();
  });

  // One point is a stop of the tab key; the arrow keys lead on from it.
  function reach(point) {
    for (const one of points) one.link.setAttribute("tabindex", one === point ? "0" : "-1");
  }
  function nearestToMiddle() {
    const far = (p) => Math.hypot(p.left - width / 2, p.top - height / 2);
    return points.reduce((best, p) => (p.isSeen && (!best || far(p) < far(best)) ? p : best), null);
  }
  function next(point, [dx, dy]) {
    let best = null;
    for (const other of points) {
      const along = (other.left - point.left) * dx + (other.top - point.top) * dy;
      const aside = Math.abs((other.left - point.left) * dy) + Math.abs((other.top - point.top) * dx);
      if (other === point || along <= 0 || aside > 2 * along) continue;
      const far = along + 2 * aside;
      if (!best || far < best.far) best = { other, far };
    }
    return best?.other;
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  // With a Chinese keyboard on, the key of − writes ㄦ: then its place tells what was meant.
  const meant = (event) => {
    const key = gloriaKey(event);
    if (/^[!-~]$/.test(key) || key.length > 1 && !["Process", "Unidentified"].includes(key)) return key === "=" ? "+" : key;
    return { Equal: "+", NumpadAdd: "+", Minus: "-", NumpadSubtract: "-" }[event.code] ?? key;
  };
  document.addEventListener("keydown", (event) => {
    if (!stage?.isConnected || gloriaComposing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const point = pointOf(event.target);
    if (event.key === "Escape" && !card.hidden) {
      hide();
      if (point) stage.focus({ preventScroll: true });
      return;
    }
    if (event.target !== stage && !point) return;
    const key = meant(event);
    if (ARROWS[key]) {
      event.preventDefault();
      if (point) next(point, ARROWS[key])?.link.focus({ preventScroll: true });
      else move(-ARROWS[key][0] * width * 0.15, -ARROWS[key][1] * height * 0.15);
    } else if (key === "+" || key === "-") {
      event.preventDefault();
      zoomTo(view.zoom * (key === "+" ? STEP : 1 / STEP), point ? [point.left, point.top] : undefined);
    } else if (key === "0" || key === "Home") {
      event.preventDefault();
      zoomTo(1);
    } else if (key === "Escape" && point) stage.focus({ preventScroll: true });
  });
  document.addEventListener("focusin", (event) => {
    if (event.target !== stage || points.some((point) => point.link.getAttribute("tabindex") === "0" && point.isSeen)) return;
    const first = nearestToMiddle();
    if (first) reach(first);
  });

  // Buttons, dragging, and two fingers.
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-zoom]");
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    const zoom = { in: view.zoom * STEP, out: view.zoom / STEP, whole: 1 }[button.dataset.zoom];
    zoomTo(zoom);
  });
  const held = new Map();
  let moved = 0, apart = 0;
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest?.(".stage.live") || event.target.closest(".map-card") || event.button > 0) return;
    held.set(event.pointerId, within(event));
    if (held.size === 1) moved = 0;
    apart = 0;
  });
  document.addEventListener("pointermove", (event) => {
    const was = held.get(event.pointerId);
    if (!was) return;
    const now = within(event);
    held.set(event.pointerId, now);
    if (held.size === 1) {
      moved += Math.hypot(now[0] - was[0], now[1] - was[1]);
      if (moved > 5) {
        stage.classList.add("moving");
        hide();
        move(now[0] - was[0], now[1] - was[1]);
      }
    } else if (held.size === 2) {
      const [a, b] = [...held.values()];
      const far = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (apart) zoomTo(view.zoom * (far / apart), [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
      apart = far;
      moved = 99;
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    document.addEventListener(name, (event) => {
      held.delete(event.pointerId);
      apart = 0;
      if (!held.size) stage?.classList.remove("moving");
    });
  }
  document.addEventListener("dragstart", (event) => { if (event.target.closest?.(".stage.live")) event.preventDefault(); });
  // A drag that ends on a point opens nothing; a first touch says what the point is, a second one opens it.
  document.addEventListener("click", (event) => {
    const point = pointOf(event.target);
    if (!event.target.closest?.(".stage.live")) return;
    if (moved > 5) {
      event.preventDefault();
      moved = 0;
    } else if (point && event.pointerType === "touch" && card.point !== point) {
      event.preventDefault();
      show(point, true);
    } else if (!point && !event.target.closest(".map-card")) hide();
  }, true);

  document.addEventListener("htmx:afterSwap", begin);
  begin();
}
