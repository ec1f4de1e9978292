export type { CaseOptions, Capability, ConformanceCase } from './conformance/case.js';
export { conformanceCases } from './conformance/cases.js';
export { heldElsewhere, type HeldElsewhere } from './conformance/held-elsewhere.js';
export { conformanceSuite, runCase, type Runner, type SuiteOptions } from './conformance/suite.js';
export { createTestBus, type TestBus } from './test-bus.js';
