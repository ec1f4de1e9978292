import { showProgress } from '../display.js';
import type { RunOptions } from '../options.js';
import type { Pace } from '../pace.js';
import { Pipeline } from './pipeline.js';
import { problemsOf } from './problems.js';
import { resultOf } from './result.js';
import { feedSource, simulatedSource } from './source.js';
import { summaryOf } from './summary.js';

/** Runs the pipeline until it is done or interrupted, and shows it. @returns What is wrong with the result, one line each. */
export async function runPipeline(options: RunOptions, pace: Omit<Pace, 'onProgress'>): Promise<string[]> {
  const { feed, threads, seed, instruments, json, killEvery } = options;
  const source =
    feed === undefined ? simulatedSource(seed, instruments) : await feedSource(feed, instruments, options.tick);
  const pipeline = new Pipeline(threads, killEvery, seed);
  const symbols = feed !== undefined && instruments > 1 ? ` · ${instruments} symbols` : '';
  const title = `Lanebus pipeline · ${source.name}${symbols} · ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  const display = json ? undefined : showProgress(pipeline, title, process.stdout);
  try {
    const outcome = await pipeline.run(source, pace);
    display?.stop();
    const kills = pipeline.killer && { kills: pipeline.killer.kills, restarts: outcome.restarts };
    const result = resultOf(outcome, source, { threads, interrupted: pace.signal.aborted, ...kills });
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : summaryOf(result, title));
    return problemsOf(result);
  } finally {
    display?.stop();
  }
}
