/**
 * What the micro-benchmarks measure is inside the package, as it was built: `dist`, which the compiled bench cannot import
 * by the path of its source. Types come from there.
 */
const built = new URL('../../../dist/shared/', import.meta.url);

function load(module: string): Promise<unknown> {
  return import(new URL(module, built).href);
}

export const { Claims } = (await load('claims.js')) as typeof import('../../src/shared/claims.js');
export const { PublishClock } = (await load('clock.js')) as typeof import('../../src/shared/clock.js');
export const { compileDecoder, compileEncoder } = (await load(
  'codec.js',
)) as typeof import('../../src/shared/codec.js');
export const { ConflationBlock, ConflationProgress } = (await load(
  'conflation-block.js',
)) as typeof import('../../src/shared/conflation-block.js');
export const { ConflationReader } = (await load('conflation.js')) as typeof import('../../src/shared/conflation.js');
export const { KeyConflator } = (await load('conflator.js')) as typeof import('../../src/shared/conflator.js');
export const { select } = (await load('division.js')) as typeof import('../../src/shared/division.js');
export const { compileFilter, filterProblems, normaliseFilter } = (await load(
  'filters.js',
)) as typeof import('../../src/shared/filters.js');
export const { compileKeyHash, ownerOf } = (await load('keys.js')) as typeof import('../../src/shared/keys.js');
export const { Lane, LaneView } = (await load('lane.js')) as typeof import('../../src/shared/lane.js');
export const {
  CircuitBlock,
  ClaimBlock,
  ConsumerBlock,
  HEADER_BYTES,
  LaneWord,
  Outcome,
  ProducerBlock,
  SubscriptionBlock,
} = (await load('layout.js')) as typeof import('../../src/shared/layout.js');
export const { Memory } = (await load('memory.js')) as typeof import('../../src/shared/memory.js');
export const { Outbox } = (await load('outbox.js')) as typeof import('../../src/shared/outbox.js');
export const { Pump } = (await load('pump.js')) as typeof import('../../src/shared/pump.js');
export const { Reader } = (await load('reader.js')) as typeof import('../../src/shared/reader.js');
export const { ReturnReader } = (await load('returns.js')) as typeof import('../../src/shared/returns.js');
export const { LocalSubscription } = (await load(
  'subscription.js',
)) as typeof import('../../src/shared/subscription.js');
export const { SymbolReader, SymbolWriter } = (await load(
  'symbols.js',
)) as typeof import('../../src/shared/symbols.js');
