/** The text of docs/benchmarks.md, from the reports of one run. */
import { formatFigure, formatWithUnit, subjectsOf } from './figures.js';
import { REASONS } from './reasons.js';
import type { BenchReport, Quotient, Verdict } from './report.js';
import type { Latency } from './scenario.js';
import { median, type Interval } from './statistics.js';

/** Folder of the charts, beside the page. */
export const CHARTS = 'benchmarks';

export function pageOf(reports: readonly BenchReport[], reasons: Readonly<Record<string, string>> = REASONS): string {
  return [
    '# Benchmarks',
    '`npm run bench:report` writes this page from the results of one run: edit none of it by hand.',
    '## How it was measured',
    'Each system of a scenario runs in a fresh process each round, the order of the systems changes from round to round, and ' +
      'each warms up until it is steady before its time counts. Every result is checked: a lost, doubled or changed event fails ' +
      'the run. The figures are medians of the rounds. A ratio is taken within a round, and is above 1 where Lanebus is better, ' +
      'for rates as for latencies; the interval behind it is the 95 % bootstrap interval of its median.',
    machinesOf(reports),
    '## Targets',
    targetsOf(reports, reasons),
    ...reports.flatMap(sectionOf),
    '## Where Lanebus is slower',
    slowerOf(reports),
    '',
  ].join('\n\n');
}

function machinesOf(reports: readonly BenchReport[]): string {
  const [first] = reports;
  const { cpu, cores, governor, node, v8, platform, flags } = first.machine;
  const loads = reports.map(({ machine }) => machine.loadavg[0].toFixed(2)).join(', ');
  const busy = reports.filter((report) => report.busy).map(({ scenario }) => `\`${scenario}\``);
  const line =
    `Machine: ${cpu}, ${cores} cores, governor ${governor ?? 'unknown'}; Node ${node} (V8 ${v8}), ${platform}; ` +
    `flags: ${flags.length > 0 ? `\`${flags.join(' ')}\`` : 'none'}; load average as each scenario began: ${loads}.`;
  if (busy.length === 0) return line;
  return `${line}\n\n**BUSY**: others used the machine during ${busy.join(', ')}: these figures say little, their ratios somewhat more.`;
}

function targetsOf(reports: readonly BenchReport[], reasons: Readonly<Record<string, string>>): string {
  const verdicts = reports.flatMap((report) => report.targets.map((verdict) => ({ report, verdict })));
  if (verdicts.length === 0) return 'None of these scenarios has one.';
  return tableOf(
    ['Target', 'To be', 'Moonshot', 'Median', '95 % interval', 'Verdict'],
    verdicts.map(({ report, verdict }) => [
      verdict.title,
      boundOf(verdict),
      verdict.moonshot === undefined ? '' : formatFigure(verdict.moonshot),
      formatFigure(verdict.median),
      formatInterval(verdict.interval),
      `${verdictOf(verdict, reasons)}${report.busy ? ' (BUSY)' : ''}`,
    ]),
  );
}

function boundOf({ atLeast, atMost }: Verdict): string {
  return [
    ...(atLeast === undefined ? [] : [`≥ ${formatFigure(atLeast)}`]),
    ...(atMost === undefined ? [] : [`≤ ${formatFigure(atMost)}`]),
  ].join(', ');
}

function verdictOf({ title, met }: Verdict, reasons: Readonly<Record<string, string>>): string {
  if (met) return 'met';
  return Object.hasOwn(reasons, title) ? `**missed**: ${reasons[title]}` : '**missed**';
}

function sectionOf(report: BenchReport): string[] {
  const { scenario, question, systems, absent, busy } = report;
  const own = Object.entries(report.ratios).filter(([, ratio]) => !isOfPeer(report, ratio));
  return [
    `## ${scenario}${busy ? ' (BUSY)' : ''}`,
    `${question.charAt(0).toUpperCase()}${question.slice(1)}${question.endsWith('?') ? '' : '.'}`,
    ...(Object.keys(systems).length > 0 ? [`![${scenario}](${CHARTS}/${scenario}.svg)`] : []),
    systemsOf(report),
    ...(own.length > 0
      ? [
          'Lanebus with itself:',
          own
            .map(([name, { of, over, ...ratio }]) => `- \`${name}\`: \`${of}\` ÷ \`${over}\`: ${formatRatio(ratio)}`)
            .join('\n'),
        ]
      : []),
    ...(Object.keys(absent).length > 0
      ? [
          'Not measured:',
          Object.entries(absent)
            .map(([name, why]) => `- \`${name}\`: ${why}`)
            .join('\n'),
        ]
      : []),
  ];
}

function systemsOf(report: BenchReport): string {
  const { unit, systems, rounds } = report;
  const subjects = subjectsOf(report);
  const rows = Object.entries(systems).map(([name, series]) => {
    const measurements = rounds.flatMap((round) =>
      Object.hasOwn(round.measurements, name) ? [round.measurements[name]] : [],
    );
    return {
      name,
      series,
      broken: measurements.some(({ passed }) => passed === false),
      latency: summaryOf(measurements.flatMap(({ latency }) => latency ?? [])),
    };
  });
  const withLatency = rows.some(({ latency }) => latency !== undefined);
  return tableOf(
    [
      'System',
      `Median, ${unit}`,
      'Min–max',
      'Rounds',
      'Lanebus ÷ system',
      ...(withLatency ? ['p50 µs', 'p99 µs', 'p99.9 µs', 'Max µs'] : []),
    ],
    rows.map(({ name, series, broken, latency }) => [
      `${subjects.has(name) ? `**\`${name}\`**` : `\`${name}\``}${broken ? ' (broke its bound)' : ''}`,
      formatFigure(series.median, unit),
      `${formatFigure(Math.min(...series.rounds), unit)}–${formatFigure(Math.max(...series.rounds), unit)}`,
      String(series.rounds.length),
      subjects.has(name) ? '' : ratiosOfPeer(report, name),
      ...(withLatency ? latencyCells(latency) : []),
    ]),
  );
}

/** One for each set-up of Lanebus that it is compared with. */
function ratiosOfPeer(report: BenchReport, peer: string): string {
  const found = Object.values(report.ratios).filter(
    (ratio) => isOfPeer(report, ratio) && (ratio.of === peer || ratio.over === peer),
  );
  return found
    .map((ratio) => {
      const subject = ratio.of === peer ? ratio.over : ratio.of;
      return `${found.length > 1 ? `\`${subject}\`: ` : ''}${formatRatio(ratio)}`;
    })
    .join('<br>');
}

function isOfPeer(report: BenchReport, { of, over }: Pick<Quotient, 'of' | 'over'>): boolean {
  const subjects = subjectsOf(report);
  return subjects.has(of) !== subjects.has(over);
}

/** The medians of the rounds; of the longest, the longest. */
function summaryOf(latencies: readonly Latency[]): Latency | undefined {
  if (latencies.length === 0) return undefined;
  return {
    p50: median(latencies.map(({ p50 }) => p50)),
    p99: median(latencies.map(({ p99 }) => p99)),
    p999: median(latencies.map(({ p999 }) => p999)),
    max: Math.max(...latencies.map(({ max }) => max)),
  };
}

function latencyCells(latency: Latency | undefined): string[] {
  if (latency === undefined) return ['', '', '', ''];
  return [latency.p50, latency.p99, latency.p999, latency.max].map((value) => formatFigure(value));
}

function slowerOf(reports: readonly BenchReport[]): string {
  const rows = reports.flatMap((report) =>
    Object.values(report.ratios)
      .filter((ratio) => ratio.median < 1 && isOfPeer(report, ratio))
      .map((ratio) => {
        const [subject, peer] = subjectsOf(report).has(ratio.of) ? [ratio.of, ratio.over] : [ratio.over, ratio.of];
        const { unit, systems, scenario } = report;
        return [
          `[${scenario}](#${scenario}${report.busy ? '-busy' : ''})`,
          `\`${subject}\``,
          formatWithUnit(systems[subject].median, unit),
          `\`${peer}\``,
          formatWithUnit(systems[peer].median, unit),
          formatRatio(ratio),
        ];
      }),
  );
  if (rows.length === 0) return 'Nowhere: no ratio of this run is below 1.';
  return tableOf(['Scenario', 'Lanebus', 'Its median', 'Slower than', 'Its median', 'Ratio'], rows);
}

function formatRatio({ median, interval }: { readonly median: number; readonly interval: Interval }): string {
  return `${formatFigure(median)} ${formatInterval(interval)}`;
}

function formatInterval([low, high]: Interval): string {
  return `[${formatFigure(low)}, ${formatFigure(high)}]`;
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
