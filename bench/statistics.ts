import { median as medianOf, quantile, sampleWithReplacement } from 'simple-statistics';

const RESAMPLES = 2_000;

/** The lower and the upper end of what the median would be, 95 times of 100, if it were all measured again. */
export type Interval = readonly [number, number];

export interface Series {
  readonly median: number;
  /** In the order of the rounds. */
  readonly rounds: readonly number[];
}

export function median(values: readonly number[]): number {
  return medianOf([...values]);
}

export function toSeries(rounds: readonly number[]): Series {
  return { median: median(rounds), rounds };
}

/**
 * The percentile bootstrap (Efron, "Bootstrap methods: another look at the jackknife", 1979): medians of rounds drawn with
 * replacement, the middle 95 % of them. A round's numbers belong together, so give it the ratios of the rounds, not
 * the two systems' numbers.
 */
export function bootstrapInterval(rounds: readonly number[]): Interval {
  const given = [...rounds];
  const medians = Array.from({ length: RESAMPLES }, () => medianOf(sampleWithReplacement(given, given.length)));
  return [quantile(medians, 0.025), quantile(medians, 0.975)];
}
