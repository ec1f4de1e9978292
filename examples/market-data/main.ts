import { showProgress, summaryOf } from './display.js';
import { FeedError, instrumentOf, openFeed } from './feed.js';
import { restartsOf } from './killer.js';
import { Market } from './market.js';
import type { RunOptions } from './options.js';
import { parseOptions, UsageError } from './options.js';
import type { Pace } from './pace.js';
import { runPipeline } from './pipeline/run.js';
import { problemsOf, resultOf } from './result.js';
import { simulate } from './simulator.js';

const EXIT_FAILED = 1;
const EXIT_BAD_INPUT = 2;

/** Until it is done or interrupted. @returns What is wrong with the result, one line each. */
async function runMarket(options: RunOptions, pace: Omit<Pace, 'onProgress'>): Promise<string[]> {
  const { feed, threads, seed, instruments, json, faults } = options;
  const bursts = feed === undefined ? simulate({ seed, instruments }) : await openFeed(feed);
  const market = new Market(options);
  const source =
    feed === undefined ? `simulated exchange, ${instruments} instruments, seed ${seed}` : instrumentOf(feed);
  const title = `Lanebus market data · ${source} · ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  const display = json ? undefined : showProgress(market, title, process.stdout);
  try {
    const outcome = await market.run(bursts, pace);
    display?.stop();
    const interrupted = pace.signal.aborted;
    const about = feed === undefined ? { source, seed, threads, interrupted } : { source, threads, interrupted };
    const kills = market.killer && { kills: market.killer.kills, restarts: restartsOf(outcome.metrics) };
    const result = resultOf(outcome, {
      ...about,
      ...kills,
      ...(faults !== undefined && { deadLetters: outcome.letters }),
    });
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : summaryOf(result, title));
    return problemsOf(result);
  } finally {
    display?.stop();
  }
}

async function run(options: RunOptions): Promise<number> {
  const interrupt = new AbortController();
  // Ctrl-C under npm arrives twice, once from the terminal and once from npm. The stop that it starts is bounded.
  const onSignal = (): void => {
    interrupt.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const pace = { rate: options.rate, seconds: options.seconds, signal: interrupt.signal };
    const problems = await (options.pipeline === true ? runPipeline(options, pace) : runMarket(options, pace));
    for (const problem of problems) process.stderr.write(`market-data: ${problem}\n`);
    return problems.length === 0 ? 0 : EXIT_FAILED;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

try {
  process.exitCode = await run(parseOptions(process.argv.slice(2), (text) => process.stdout.write(text)));
} catch (error) {
  if (error instanceof UsageError) {
    if (error.message !== '') process.stderr.write(`market-data: ${error.message}\n`);
    process.exitCode = error.exitCode;
  } else if (error instanceof FeedError) {
    process.stderr.write(`market-data: ${error.message}\n`);
    process.exitCode = EXIT_BAD_INPUT;
  } else {
    throw error;
  }
}
