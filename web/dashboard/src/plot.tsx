import { useEffect, useRef } from "preact/hooks";
import uPlot, { type AlignedData, type Options, type Series } from "uplot";

export interface Line {
  label: string;
  /** The name of a CSS variable with the colour. */
  color: string;
  values: (number | null)[];
}

interface Props {
  times: number[];
  lines: Line[];
  /** Draws the lines as bars on top of one another. */
  stacked?: boolean;
  /** Fixes the scale; by default it goes from 0 to a little above the greatest value. */
  max?: number;
  format: (value: number) => string;
  /** The same for the axis, where there is less room. */
  axis?: (value: number) => string;
  /** What a screen reader says of the plot. */
  summary: string;
  /** Times where payments are missing, in seconds since 1970. */
  marks: number[];
}

const HEIGHT = 168;
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const timeAndSeconds = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

/** A plot over time. It is drawn on a canvas, so what it says is said in words too. */
export function Plot(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;

  // A new plot for new colours or lines; else only its data change.
  const shape = props.lines.map((l) => l.label).join();
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const build = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(element, latest), data(latest.current), element);
    };
    build();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", build);
    const resized = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    resized.observe(element);
    return () => {
      scheme.removeEventListener("change", build);
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(data(props));
  }, [props]);

  return <div class="plot" ref={box} role="img" aria-label={props.summary} />;
}

/** uPlot draws what comes later on top: the highest of a stack goes first. */
function data({ times, lines, stacked }: Props): AlignedData {
  if (!stacked) return [times, ...lines.map((l) => l.values)];
  const stack: (number | null)[][] = [];
  const sum = times.map(() => 0);
  for (const { values } of lines) {
    values.forEach((v, i) => {
      sum[i] = (sum[i] ?? 0) + (v ?? 0);
    });
    stack.unshift([...sum]);
  }
  return [times, ...stack];
}

function options(element: HTMLElement, latest: { current: Props }): Options {
  const style = getComputedStyle(element);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const { lines, stacked, max } = latest.current;
  const axis = { stroke: color("--muted"), font: `11px ${style.fontFamily}`, ticks: { show: false } };
  const grid = { stroke: color("--grid"), width: 1 };
  const bars = uPlot.paths.bars?.({ size: [0.82, 40] });
  const drawn: Series[] = (stacked ? [...lines].reverse() : lines).map((l) =>
    stacked
      ? {
          label: l.label,
          fill: color(l.color),
          width: 0,
          ...(bars && { paths: bars }),
          points: { show: false },
        }
      : { label: l.label, stroke: color(l.color), width: 2, points: { show: false } },
  );
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { show: !stacked, size: 6 }, drag: { x: false, y: false } },
    padding: [8, 20, 0, 0],
    scales: {
      x: {
        time: true,
        range: (_, low, high) =>
          stacked ? [low - (high - low) / 118, high + (high - low) / 118] : [low, high],
      },
      y: { range: (_, __, high) => [0, max ?? (high > 0 ? high * 1.12 : 1)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 74,
        size: 26,
        values: (_, splits, __, ___, step) =>
          splits.map((s) => (step < 60 ? timeAndSeconds : time).format(s * 1000)),
      },
      {
        ...axis,
        grid,
        size: 46,
        space: 34,
        values: (_, splits) => splits.map((v) => (latest.current.axis ?? latest.current.format)(v)),
      },
    ],
    series: [{}, ...drawn],
    plugins: [tooltip(latest), gapMarks(latest, color("--failed"))],
  };
}

/** Says what stands under the pointer. */
function tooltip(latest: { current: Props }): uPlot.Plugin {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  return {
    hooks: {
      init: (u) => u.over.append(tip),
      setCursor: (u) => {
        const { idx, left } = u.cursor;
        const { times, lines, format } = latest.current;
        const at = idx == null ? undefined : times[idx];
        tip.hidden = at === undefined || left === undefined || left < 0;
        if (tip.hidden || at === undefined || idx == null) return;
        const rows = lines
          .filter((l) => l.values[idx] != null)
          .map((l) => {
            const row = document.createElement("div");
            const dot = document.createElement("i");
            dot.style.background = `var(${l.color})`;
            const value = document.createElement("b");
            value.textContent = format(l.values[idx] ?? 0);
            row.append(dot, l.label, value);
            return row;
          });
        const head = document.createElement("div");
        head.textContent = timeAndSeconds.format(at * 1000);
        tip.replaceChildren(head, ...rows);
        const right = (left ?? 0) > u.over.clientWidth / 2;
        tip.style.left = right ? "" : `${(left ?? 0) + 12}px`;
        tip.style.right = right ? `${u.over.clientWidth - (left ?? 0) + 12}px` : "";
      },
    },
  };
}

/** A line down the plot where payments are missing. */
function gapMarks(latest: { current: Props }, color: string): uPlot.Plugin {
  return {
    hooks: {
      draw: (u) => {
        u.ctx.save();
        u.ctx.strokeStyle = color;
        u.ctx.setLineDash([4, 3]);
        for (const at of latest.current.marks) {
          const x = u.valToPos(at, "x", true);
          if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
          u.ctx.beginPath();
          u.ctx.moveTo(x, u.bbox.top);
          u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
          u.ctx.stroke();
        }
        u.ctx.restore();
      },
    },
  };
}
