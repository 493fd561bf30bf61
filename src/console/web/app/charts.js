// Time series: stacked areas or bars on uPlot's canvas, with words, tooltip and table in HTML.
import uPlot from "../vendor/uplot.js";
import { bucketMoment, count, moment } from "./format.js";
import { lang, t } from "./i18n.js";
import { isDark } from "./preferences.js";
import { cls, html, useEffect, useMemo, useRef, useState } from "./ui.js";
import { IconButton } from "./components/button.js";
import { Empty } from "./components/feedback.js";

/** Colours in their fixed order; the seventh and "other" are grey. */
export const seriesColor = (i) => `var(--chart-${Math.min(i, 6) + 1})`;

// A canvas does not know custom properties or light-dark(): the browser resolves them on a probe first.
function resolved(...values) {
  const probe = document.createElement("span");
  document.body.append(probe);
  const colors = values.map((value) => {
    probe.style.color = value;
    return getComputedStyle(probe).color;
  });
  probe.remove();
  return colors;
}

/**
 * `at`: moments (RFC 3339); `bucketS`: seconds per bucket; `series`: `[{name, label?, values: [number], show?(i): string}]`,
 * bottom first. `kind`: "area" | "steps" | "bars"; steps for what stays as it is until it changes. `format(number)` for the axis and the default of `show`. `title` heads the card
 * and names the chart; `onPick(i)` is called with the clicked bucket. `actions` stand right of the title.
 */
export function TimeChart({ title, at, bucketS, series, kind = "area", format = count, show, height = 250, actions, onPick, total }) {
  const [hidden, setHidden] = useState(() => new Set());
  const [asTable, setAsTable] = useState(false);
  const known = series.some((one) => one.values.some((value) => value));
  const label = (i) => bucketMoment(at[i], bucketS);
  const text = (one, i) => (one.show ? one.show(i) : show ? show(one, i) : format(one.values[i] ?? 0));
  const short = series.reduce((length, one) => length + (one.label ?? one.name).length + 6, 0) < 70;
  const toggle = (name) => {
    const next = new Set(hidden);
    if (!next.delete(name)) next.add(name);
    setHidden(next.size === series.length ? new Set() : next);
  };
  return html`<section class="card chart-card">
    <div class="chart-head">
      <h2 class="card-title">${title}</h2>
      <ul class=${cls("legend", short && "legend-short")} aria-label=${t("chart.series")}>
        ${series.map((one, i) => html`<li key=${one.name}><button class=${cls("legend-item", hidden.has(one.name) && "legend-off")} type="button" aria-pressed=${String(!hidden.has(one.name))} title=${t("chart.toggle")} onClick=${() => toggle(one.name)}><span class="swatch" style=${{ background: seriesColor(one.name === "other" ? 6 : i) }}></span>${one.label ?? one.name}</button></li>`)}
      </ul>
      <div class="card-actions">${actions}<${IconButton} icon=${asTable ? "chart-line" : "table-2"} label=${t(asTable ? "chart.as_chart" : "chart.as_table")} pressed=${asTable} onClick=${() => setAsTable(!asTable)} /></div>
    </div>
    ${!known
      ? html`<${Empty} icon="chart-line" title=${t("chart.nothing")} />`
      : asTable
        ? html`<${ChartTable} title=${title} at=${at} bucketS=${bucketS} series=${series} label=${label} text=${text} />`
        : html`<${Plot} title=${title} at=${at} bucketS=${bucketS} series=${series} hidden=${hidden} kind=${kind} format=${format} height=${height} label=${label} text=${text} onPick=${onPick} total=${total} />`}
  </section>`;
}

function ChartTable({ title, at, bucketS, series, label, text }) {
  const filled = at.map((_, i) => i).filter((i) => series.some((one) => one.values[i])).reverse();
  return html`<div class="table-frame chart-table" tabindex="0" role="region" aria-label=${title}><table class="table">
    <thead><tr><th scope="col">${t(bucketS >= 86_400 ? "chart.day" : "chart.time")}</th>${series.map((one) => html`<th key=${one.name} scope="col" class="end">${one.label ?? one.name}</th>`)}</tr></thead>
    <tbody>${filled.map((i) => html`<tr key=${i}><td class="number">${label(i)}</td>${series.map((one) => html`<td key=${one.name} class="end number">${text(one, i)}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

// Stacked: each line is the sum of what lies under it. The highest comes first, so that bars overlap rightly.
function stacked(at, seen) {
  const sums = [];
  seen.forEach((one, i) => sums.push(at.map((_, x) => (i ? sums[i - 1][x] : 0) + (one.values[x] ?? 0))));
  return [at.map((when) => new Date(when).getTime() / 1000), ...sums.reverse()];
}

// Steps of an axis that counts whole things: half a request is none.
const WHOLE = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

function Plot({ title, at, bucketS, series, hidden, kind, format, height, label, text, onPick, total }) {
  const box = useRef(null);
  const plot = useRef(null);
  const drawn = useRef(null);
  const pick = useRef(onPick);
  pick.current = onPick;
  const [cursor, setCursor] = useState(null);
  const dark = isDark();
  const language = lang.value;
  const seen = useMemo(() => series.map((one, i) => ({ ...one, color: seriesColor(one.name === "other" ? 6 : i) })).filter((one) => !hidden.has(one.name)), [series, hidden]);
  const whole = useMemo(() => seen.every((one) => one.values.every(Number.isInteger)), [seen]);
  const data = useMemo(() => stacked(at, seen), [at, seen]);
  // New figures go into the chart that is there; only another shape of them needs another chart.
  const shape = JSON.stringify([seen.map((one) => [one.name, one.color]), at.length]);

  useEffect(() => {
    const [grid, faint, ...colors] = resolved("var(--line)", "var(--faint)", ...seen.flatMap((one) => [one.color, `color-mix(in oklab, ${one.color} 20%, transparent)`]));
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const bars = kind === "bars";
    const paths = bars ? uPlot.paths.bars({ size: [0.72, 36], radius: 0 }) : kind === "steps" ? uPlot.paths.stepped({ align: -1 }) : at.length > 2 ? uPlot.paths.spline() : undefined;
    const order = seen.map((_, i) => i).reverse();
    const axisLabel = (seconds, step) => (step >= 86_400 && bucketS < 86_400 ? moment(seconds * 1000, "day") : bucketMoment(seconds * 1000, bucketS, "minute"));
    const width = Math.max(200, box.current.clientWidth);
    const options = {
      width,
      height,
      padding: [10, 14, 0, 0],
      // An axis of days has its marks where those days begin.
      tzDate: bucketS >= 86_400 ? (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC") : undefined,
      legend: { show: false },
      select: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: true, range: bars ? (_, first, last) => [first - bucketS / 2, last + bucketS / 2] : undefined }, y: { range: (_, min, max) => [Math.min(0, (min ?? 0) * 1.08), max > 0 ? max * 1.08 : min < 0 ? 0 : 1] } },
      axes: [
        { stroke: faint, font, grid: { show: false }, ticks: { show: false }, size: 30, gap: 8, space: width < 500 ? 90 : 110, values: (_, splits, __, ___, step) => splits.map((one) => axisLabel(one, step)) },
        { stroke: faint, font, grid: { stroke: grid, width: 1 }, ticks: { show: false }, gap: 8, space: 42, incrs: whole ? WHOLE : undefined, size: (_, values) => Math.max(34, 12 + 7 * Math.max(0, ...(values ?? []).map((one) => one.length))), values: (_, splits) => splits.map((one) => format(one)) },
      ],
      series: [{}, ...order.map((i) => ({ label: seen[i].name, stroke: colors[2 * i], width: bars ? 0 : 1.5, fill: bars ? colors[2 * i] : i === 0 ? colors[2 * i + 1] : undefined, paths, points: { show: at.length < 3 && !bars } }))],
      // Only the stripe between two neighbours is filled; plain fills would lie over each other and turn to mud.
      bands: bars ? [] : order.slice(0, -1).map((i, place) => ({ series: [place + 1, place + 2], fill: colors[2 * i + 1] })),
      hooks: {
        setCursor: [(chart) => setCursor(chart.cursor.idx == null || chart.cursor.left < 0 ? null : { i: chart.cursor.idx, left: chart.valToPos(chart.data[0][chart.cursor.idx], "x") + chart.bbox.left / devicePixelRatio })],
      },
    };
    const chart = new uPlot(options, data, box.current);
    plot.current = chart;
    drawn.current = data;
    chart.over.addEventListener("click", () => chart.cursor.idx != null && pick.current?.(chart.cursor.idx));
    const watch = new ResizeObserver(() => {
      const now = box.current?.clientWidth;
      if (now && Math.abs(now - chart.width) > 1) chart.setSize({ width: now, height });
    });
    watch.observe(box.current);
    return () => {
      watch.disconnect();
      chart.destroy();
      setCursor(null);
    };
  }, [shape, kind, dark, language, height, format, bucketS, whole]);

  useEffect(() => {
    if (drawn.current === data) return;
    drawn.current = data;
    plot.current.setData(data);
  }, [data]);

  // Keyboards move the same cursor that the mouse does.
  const onKeyDown = (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (move === undefined) {
      if (event.key === "Enter" && cursor) pick.current?.(cursor.i);
      return;
    }
    event.preventDefault();
    const next = Math.max(0, Math.min(at.length - 1, (cursor?.i ?? (move > 0 ? -1 : at.length)) + move));
    plot.current.setCursor({ left: plot.current.valToPos(plot.current.data[0][next], "x"), top: 10 });
  };
  const side = cursor && box.current && cursor.left > box.current.clientWidth * 0.6;
  return html`<div class=${cls("plot", onPick && "plot-pick")}>
    <div class="plot-canvas" ref=${box} tabindex="0" role="img" aria-label=${t("chart.described", { title, n: at.length })} onKeyDown=${onKeyDown} onBlur=${() => setCursor(null)}></div>
    ${cursor &&
    html`<div class="plot-tip" style=${{ left: side ? "auto" : `${cursor.left + 14}px`, right: side ? `${box.current.clientWidth - cursor.left + 14}px` : "auto" }}>
      <p class="plot-tip-time">${label(cursor.i)}</p>
      ${seen.map((one) => html`<p key=${one.name} class="plot-tip-row"><span class="swatch" style=${{ background: one.color }}></span><span class="plot-tip-name">${one.label ?? one.name}</span><span class="number">${text(one, cursor.i)}</span></p>`)}
      ${total && seen.length > 1 && html`<p class="plot-tip-row plot-tip-total"><span class="plot-tip-name">${t("chart.total")}</span><span class="number">${total(cursor.i)}</span></p>`}
    </div>`}
  </div>`;
}
