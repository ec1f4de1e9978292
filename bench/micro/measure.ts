import Benchmark from 'benchmark';
import type { MicroSpec } from './micro.js';

export interface Figure {
  readonly name: string;
  /** Mean of the samples. */
  readonly nsPerOp: number;
  /** Half of its 95 % interval, in per cent of it. */
  readonly rme: number;
  readonly samples: number;
}

/** Seconds of all samples, and of each. */
const FULL: Benchmark.Options = { maxTime: 1, minTime: 0.02 };
const QUICK: Benchmark.Options = { maxTime: 0.01, minTime: 0.001 };
/** The engine has compiled by then what it will compile: the pump's loop has its last form after millions of events. */
const WARM_UP_MS = 1_000;

/** Checks, warms up, measures, and checks again: what the engine has made of it must still be right. */
export async function measure({ name, make }: MicroSpec, quick: boolean): Promise<Figure> {
  const micro = make();
  await micro.check();
  const first = micro.run();
  const isSync = typeof first === 'number';
  const expected = await first;
  const verify = (result: number): void => {
    if (result !== expected) throw new Error(`${name}: a run comes to ${result}, the first one came to ${expected}`);
  };
  const warmAt = performance.now() + (quick ? 0 : WARM_UP_MS);
  while (performance.now() < warmAt) verify(await micro.run());

  const options = quick ? QUICK : FULL;
  const { stats } = isSync
    ? sampleSync(() => {
        verify(micro.run() as number);
      }, options)
    : await sampleAsync(async () => {
        verify(await micro.run());
      }, options);
  await micro.check();
  await micro.close?.();
  return { name, nsPerOp: (stats.mean * 1e9) / micro.operations, rme: stats.rme, samples: stats.sample.length };
}

function sampleSync(run: () => void, options: Benchmark.Options): Benchmark {
  const benchmark = new Benchmark(run, options);
  benchmark.run({ async: false });
  return checked(benchmark, benchmark.error);
}

async function sampleAsync(run: () => Promise<void>, options: Benchmark.Options): Promise<Benchmark> {
  let failure: unknown;
  const sample = (deferred: Benchmark.Deferred): void => {
    run().then(
      () => {
        deferred.resolve();
      },
      (error: unknown) => {
        failure = error;
        benchmark.abort();
        deferred.resolve();
      },
    );
  };
  const benchmark = new Benchmark(sample, { ...options, defer: true });
  await new Promise<void>((resolve) => {
    benchmark.on('complete', () => {
      resolve();
    });
    benchmark.run({ async: true });
  });
  return checked(benchmark, failure ?? benchmark.error);
}

/** `benchmark` keeps what the measured function has thrown to itself. */
function checked(benchmark: Benchmark, failure: unknown): Benchmark {
  if (failure !== undefined && failure !== null) throw failure as Error;
  return benchmark;
}
