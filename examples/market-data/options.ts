import { availableParallelism } from 'node:os';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { TickSize } from './pipeline/tick-size.js';

export interface RunOptions {
  /** A feed file; the simulated exchange without one. */
  readonly feed?: string;
  /** Runs the trading pipeline instead of the four handlers. */
  readonly pipeline?: true;
  /** The step of the feed's prices, for the pipeline. */
  readonly tick?: TickSize;
  readonly threads: number;
  /** Wall-clock time to publish for; with a feed, no limit unless given. */
  readonly seconds: number;
  /** Events a second; 0 = as fast as the bus takes them. */
  readonly rate: number;
  /** Of the simulated exchange; with a feed and the pipeline, the symbols that the feed is published under. */
  readonly instruments: number;
  readonly seed: number;
  readonly json: boolean;
  /** Terminates a random thread of the pool after every so many events. */
  readonly killEvery?: number;
  /** Share of the deliveries to the four handlers that are made to fail, from 0 to 1. */
  readonly faults?: number;
}

/** Arguments that cannot be used. The message is one line; it is empty when help was asked for and shown. */
export class UsageError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.name = 'UsageError';
    this.exitCode = exitCode;
  }
}

const EXIT_USAGE = 2;
const MAX_THREADS = 64;
const MAX_SECONDS = 86_400;
const MAX_RATE = 100_000_000;
const MAX_INSTRUMENTS = 1_000;
const MAX_SEED = 2 ** 32 - 1;
const DEFAULT_SECONDS = 10;
const DEFAULT_RATE = 50_000;
const DEFAULT_INSTRUMENTS = 8;
const DEFAULT_SEED = 1;
// There are four worker subscriptions: more threads than that would have nothing to do.
const DEFAULT_THREADS = Math.min(4, Math.max(2, availableParallelism()));

const DETAILS = `
Without --feed, a simulated exchange sends deterministic order flow: the same
--seed and --instruments give the same events. With --feed those two have no
effect (but see --pipeline), --rate defaults to 0 and --seconds to no limit.

With --pipeline, six stages run in the pool, and each publishes the events of
the next: order book, features, prediction, signal, execution with fills and
profit and loss, and risk, whose HALT stops new orders. The same events come to
the same result on any number of threads. With --feed as well, --instruments
publishes the feed under so many symbols. The object of --json then has:
resultDigest (SHA-256 of the final state), state, stages (received, published),
orders, pnl, instruments, and of those below: events, ledger, eventsPerSecond,
threads, durationMs, halts, latestHalts, source, seed, interrupted.

With --kill-every, threads are terminated wherever they are. Handlers keep their
state by checkpoints, so the books, counts and the digest are those of a run
without; "kills" and "restarts" are then in the object of --json too.

With --faults, that share of the deliveries fails on each try and is tried three
times; what has not worked then is a dead letter on disk, listed at the end with
the command that looks at it ("deadLetters" in the object of --json, by
subscription and reason). An event that comes late or not at all may make others
fail, so the books are those of what was processed.

Otherwise the object of --json has: events, book, ledger (per subscription: owed,
processed, failed, timedOut, conflated, discarded, filtered, pending, exact),
eventsPerSecond, threads; durationMs, received, halts, latestHalts, source,
seed, interrupted; and by instrument: books, bars, trades, risk. Of several
instruments, "book" has the sums, the average price over all trades, and no
best levels.

Exit codes: 0 done; 1 something was lost or failed; 2 a flag or the feed cannot
be used.`;

/** Reads the command line (without node and script). Throws `UsageError`. */
export function parseOptions(args: readonly string[], write: (text: string) => void): RunOptions {
  const refusals: string[] = [];
  const command = new Command('market-data')
    .description(
      'Fans market data out to an order book, bars, trade statistics and a risk monitor, each on a thread of the pool.',
    )
    .option('--feed <file>', 'publish this csv or csv.gz file of market-by-order messages', filePath)
    .option('--pipeline', 'trade on it instead: book, features, prediction, signal, execution, risk')
    .addOption(integer('--threads <n>', 'threads in the pool', 1, MAX_THREADS).default(DEFAULT_THREADS))
    .addOption(integer('--seconds <s>', `how long to publish (default: ${DEFAULT_SECONDS})`, 1, MAX_SECONDS))
    .addOption(
      integer(
        '--rate <r>',
        `events a second, 0 = as fast as the bus takes them (default: ${DEFAULT_RATE})`,
        0,
        MAX_RATE,
      ),
    )
    .addOption(
      integer(
        '--instruments <n>',
        `simulated instruments (default: ${DEFAULT_INSTRUMENTS}), or symbols for the feed of a pipeline (default: 1)`,
        1,
        MAX_INSTRUMENTS,
      ),
    )
    .option('--tick <size>', 'price step of the feed of a pipeline (default: 0.25)', tickSize)
    .addOption(integer('--seed <n>', 'seed of the simulated exchange', 0, MAX_SEED).default(DEFAULT_SEED))
    .addOption(integer('--kill-every <n>', 'terminate a random thread after every n events', 1, MAX_RATE))
    .option('--faults <rate>', 'make this share of the handlers fail, from 0 to 1', share)
    .option('--json', 'print one JSON object and nothing else', false)
    .helpOption('--help', 'show this help')
    .addHelpText('after', DETAILS)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: (text) => refusals.push(text) });
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) throw new UsageError('', 0);
    throw new UsageError(refusalOf(error, command.args, refusals), EXIT_USAGE);
  }
  const options = command.opts<Partial<RunOptions> & Pick<RunOptions, 'threads' | 'seed' | 'json'>>();
  if (options.faults !== undefined && options.pipeline === true) {
    throw new UsageError('--faults is for the four handlers: not with --pipeline, see --help', EXIT_USAGE);
  }
  const simulated = options.feed === undefined;
  const pipelineFeed = !simulated && options.pipeline === true;
  if (options.tick !== undefined && !pipelineFeed) {
    throw new UsageError(`--tick ${options.tick.toString()} needs both --pipeline and --feed, see --help`, EXIT_USAGE);
  }
  return {
    ...options,
    instruments: options.instruments ?? (pipelineFeed ? 1 : DEFAULT_INSTRUMENTS),
    seconds: options.seconds ?? (simulated ? DEFAULT_SECONDS : Infinity),
    rate: options.rate ?? (simulated ? DEFAULT_RATE : 0),
  };
}

function refusalOf(error: CommanderError, words: readonly string[], refusals: readonly string[]): string {
  if (error.code === 'commander.excessArguments') {
    return `unexpected argument '${words[0]}': accepted are flags only, see --help`;
  }
  // Commander puts a suggestion on a second line.
  const refusal = refusals
    .join('')
    .replace(/^error: /, '')
    .trim()
    .replace(/\s*\n\s*/g, ' ');
  return error.code === 'commander.unknownOption' ? `${refusal}, see --help` : refusal;
}

function integer(flags: string, description: string, least: number, most: number): Option {
  return new Option(flags, description).argParser((value) => {
    const parsed = /^[0-9]{1,15}$/.test(value) ? Number(value) : NaN;
    if (parsed >= least && parsed <= most) return parsed;
    throw new InvalidArgumentError(`Accepted is an integer from ${least} to ${most}.`);
  });
}

function share(value: string): number {
  const parsed = /^(0|1|0?\.\d+|1\.0+)$/.test(value) ? Number(value) : NaN;
  if (parsed >= 0 && parsed <= 1) return parsed;
  throw new InvalidArgumentError('Accepted is a number from 0 to 1.');
}

function tickSize(value: string): TickSize {
  const parsed = TickSize.parse(value);
  if (parsed !== undefined) return parsed;
  throw new InvalidArgumentError('Accepted is a decimal number above 0 and below 1000000, with up to 9 decimals.');
}

function filePath(value: string): string {
  if (value !== '') return value;
  throw new InvalidArgumentError('Accepted is the path of a file.');
}
