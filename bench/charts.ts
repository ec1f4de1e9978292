/** A scenario's medians as horizontal bars, in SVG that a page on any background can show. */
import { BarChart } from 'echarts/charts';
import { GridComponent, TitleComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { formatFigure, formatWithUnit, subjectsOf } from './figures.js';
import type { BenchReport } from './report.js';

const WIDTH = 860;
const BAR_HEIGHT = 26;
/** Of the title above the bars and the axis below them. */
const FRAME_HEIGHT = 100;
/** Bars of a wider spread would be too short to see on a linear axis. */
const LINEAR_SPREAD = 20;
/** As wide as the longest name, at 12 px. */
const NAME_CHARACTER_WIDTH = 7;
const LANEBUS_COLOR = '#1f6feb';
const PEER_COLOR = '#9aa4b2';
const TEXT_COLOR = '#24292f';

use([BarChart, GridComponent, TitleComponent, SVGRenderer]);

export function chartOf(report: BenchReport): string {
  const { scenario, unit, better, systems } = report;
  const subjects = subjectsOf(report);
  // The axis of categories begins at the bottom: the best is to be on top.
  const bars = Object.entries(systems).sort(([, a], [, b]) =>
    better === 'higher' ? a.median - b.median : b.median - a.median,
  );
  const medians = bars.map(([, { median }]) => median);
  const smallest = Math.min(...medians);
  const logarithmic = smallest > 0 && Math.max(...medians) / smallest > LINEAR_SPREAD;
  const names = bars.map(([name]) => name);
  const height = FRAME_HEIGHT + BAR_HEIGHT * bars.length;
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'sans-serif', color: TEXT_COLOR },
    title: {
      text: scenario,
      subtext: `median ${unit}, ${better} is better${logarithmic ? '; logarithmic axis' : ''}`,
      left: 16,
      top: 10,
      textStyle: { fontSize: 15, color: TEXT_COLOR },
    },
    grid: {
      left: 24 + NAME_CHARACTER_WIDTH * Math.max(0, ...names.map(({ length }) => length)),
      right: 110,
      top: 62,
      bottom: 36,
      containLabel: false,
    },
    xAxis: {
      type: logarithmic ? 'log' : 'value',
      // A bar on a logarithmic axis begins at its end: a decade below the smallest, so that this one has a bar, too.
      ...(logarithmic ? { min: 10 ** (Math.ceil(Math.log10(smallest)) - 1) / (isPowerOfTen(smallest) ? 10 : 1) } : {}),
      splitNumber: 5,
      axisLabel: { formatter: (value: number) => formatFigure(value, unit), hideOverlap: true, color: TEXT_COLOR },
      splitLine: { lineStyle: { color: '#e4e7eb' } },
    },
    yAxis: { type: 'category', data: names, axisTick: { show: false }, axisLabel: { interval: 0, color: TEXT_COLOR } },
    series: [
      {
        type: 'bar',
        barWidth: '66%',
        data: bars.map(([name, { median }]) => ({
          value: median,
          itemStyle: { color: subjects.has(name) ? LANEBUS_COLOR : PEER_COLOR },
          label: {
            show: true,
            position: 'right',
            color: TEXT_COLOR,
            fontWeight: subjects.has(name) ? 'bold' : 'normal',
            formatter: formatWithUnit(median, unit),
          },
        })),
      },
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${roundCoordinates(withoutHover(svg))}\n`;
}

function isPowerOfTen(value: number): boolean {
  return Number.isInteger(Math.log10(value));
}

/** How it looks below a mouse, which an image never is; its names count up, so that the same chart would differ each time. */
function withoutHover(svg: string): string {
  return svg.replaceAll(/<style\s*>.*?<\/style>\s*/gs, '').replaceAll(/ class="zr[^"]*"/g, '');
}

/** A tenth of a pixel is not seen. */
function roundCoordinates(svg: string): string {
  return svg.replaceAll(/ (?:d|transform|x|y|width|height)="[^"]*"/g, (attribute) =>
    attribute.replaceAll(/\d+\.\d{2,}/g, (number) => String(Number(Number(number).toFixed(1)))),
  );
}
