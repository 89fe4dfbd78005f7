import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { type Samples, spread } from './round-trips.js';
import { milliseconds } from './times.js';

const HEIGHT = 110;

/** Round trips of a session's heartbeats over time. Says in words what it draws. */
export function RttPlot({ samples, theme }: { readonly samples: Samples; readonly theme: string }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const count = samples.at.length;
  const isDrawn = count > 1;
  useEffect(() => {
    const element = box.current;
    if (element === null || !isDrawn) return undefined;
    const drawn = new uPlot(optionsOf(element), dataOf(samples), element);
    plot.current = drawn;
    const observer = new ResizeObserver(() => drawn.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      drawn.destroy();
      plot.current = undefined;
    };
  }, [theme, samples, isDrawn]);
  useEffect(() => {
    plot.current?.setData(dataOf(samples));
  }, [samples, count, samples.at.at(-1)]);
  const said = spread(samples.ms);
  const words =
    said === undefined
      ? 'No round trip was measured since this page was opened.'
      : `Last ${milliseconds(said.last)}, median ${milliseconds(said.median)}, worst ${milliseconds(said.worst)} of ${count}.`;
  return (
    <figure class="plot">
      <div ref={box} role="img" aria-label={`Heartbeat round trip. ${words}`} hidden={!isDrawn} />
      <figcaption>{words}</figcaption>
    </figure>
  );
}

function dataOf({ at, ms }: Samples): uPlot.AlignedData {
  return [[...at], [...ms]];
}

function optionsOf(element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--dim'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line'), width: 1, size: 4 },
    font: `11px ${style.fontFamily}`,
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.15)] } },
    axes: [
      { ...axis, size: 22, values: (_plot, ticks) => ticks.map((at) => TIME.format(at * 1_000)) },
      { ...axis, size: 52, values: (_plot, ticks) => ticks.map((ms) => `${ms} ms`) },
    ],
    series: [
      {},
      { stroke: colour('--accent'), width: 1.5, fill: colour('--accent-soft'), points: { show: true, size: 4 } },
    ],
  };
}

const TIME = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
