/** Numbers as the page and its charts write them. */
import { formatNumber } from './report.js';
import type { BenchReport } from './report.js';
import { SCENARIOS } from './scenarios.js';

const PER_SECOND = 'events/s';

/** Three digits, with `k` and `M` for the large numbers of a rate. */
export function formatFigure(value: number): string {
  if (value >= 999_500) return `${(value / 1e6).toPrecision(value < 99.95e6 ? 3 : 4)} M`;
  if (value >= 9_995) return `${(value / 1e3).toPrecision(3)} k`;
  return value === 0 ? '0' : formatNumber(value);
}

/** With its unit, but for a rate, whose unit is the heading's. */
export function formatWithUnit(value: number, unit: string): string {
  return unit === PER_SECOND || unit.startsWith('of ') ? formatFigure(value) : `${formatFigure(value)} ${unit}`;
}

/** The set-ups of Lanebus itself, by name. */
export function subjectsOf({ scenario }: BenchReport): ReadonlySet<string> {
  const known = SCENARIOS.find(({ name }) => name === scenario);
  if (known === undefined) throw new Error(`there is no scenario "${scenario}" in this version`);
  return new Set(known.systems.filter(({ subject }) => subject === true).map(({ name }) => name));
}
