/** A subscription of tests that have no bus: its deliveries may fail, and nobody takes what comes back unless the test does. */
import { CircuitBlock, ConsumerBlock } from '../../src/shared/layout.js';
import { ReturnReader } from '../../src/shared/returns.js';
import type { FailureSetup } from '../../src/shared/subscription.js';

const RETURN_BYTES = 1 << 18;

/** @param types Number of types in the catalog. */
export function failuresFor(types: number): FailureSetup & { readonly reader: ReturnReader } {
  const reader = new ReturnReader(types, RETURN_BYTES, ConsumerBlock.create().source);
  const circuit = CircuitBlock.create().source;
  return { member: 0, circuit, maxFailures: 0, returns: reader.spec, keepsOrder: false, held: [], reader };
}
