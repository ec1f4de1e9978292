/** Numbers as the page and its charts write them. */
import { type BenchReport, formatNumber } from './report.js';
import { SCENARIOS } from './scenarios.js';

const PER_SECOND = 'events/s';

/** Three digits at least, and `k` and `M` for the large numbers of a rate; without a unit, a ratio. */
export function formatFigure(value: number, unit = ''): string {
  if (value === 0) return '0';
  if (unit !== PER_SECOND || value < 9_995) return formatNumber(value);
  if (value < 999_500) return `${(value / 1e3).toPrecision(3)} k`;
  return `${(value / 1e6).toPrecision(value < 99.95e6 ? 3 : 4)} M`;
}

/** With its unit, but for a rate, whose unit is the heading's. */
export function formatWithUnit(value: number, unit: string): string {
  const figure = formatFigure(value, unit);
  return unit === PER_SECOND || unit.startsWith('of ') ? figure : `${figure} ${unit}`;
}

/** The set-ups of Lanebus itself, by name. */
export function subjectsOf({ scenario }: BenchReport): ReadonlySet<string> {
  const known = SCENARIOS.find(({ name }) => name === scenario);
  if (known === undefined) throw new Error(`there is no scenario "${scenario}" in this version`);
  return new Set(known.systems.filter(({ subject }) => subject === true).map(({ name }) => name));
}
