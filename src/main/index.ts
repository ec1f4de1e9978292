export type * from '../shared/api.js';
export {
  type Catalog,
  type CatalogDescription,
  defineEvents,
  type EventDefinition,
  type EventDefinitions,
  type EventOf,
  type EventType,
  type FieldDescription,
  type FieldLayout,
  mergeEvents,
  type Payload,
  type TypeDescription,
  type TypeOf,
} from '../shared/catalog.js';
export { ErrorCode, LanebusError, NonRetryableError } from '../shared/errors.js';
export {
  any,
  bool,
  bytes,
  enumOf,
  f64,
  type Field,
  type FieldKind,
  i32,
  i64,
  optional,
  type OptionalField,
  type RequiredField,
  symbol,
  text,
  u32,
  u64,
  u8,
  type ValueOf,
} from '../shared/fields.js';
export type { WhenFull } from '../shared/admission.js';
export type { LogLevel } from '../shared/logger.js';
export { type Backend, type BackendCapabilities, backends, createBus } from './backends.js';
export { busOptionsFrom } from './configuration.js';
export {
  type ConfigurationSource,
  environment,
  fromGetters,
  type Getters,
  jsonFile,
  type KeyedSource,
} from './option-sources.js';
export type { DeadLetterStore, Letter, ReplayRequest } from './dead-letter-store.js';
export {
  type BusEventEmitter,
  type EmitterListener,
  type EmitterNameOf,
  type EmitterPayload,
  type EmitterTypeOf,
  toEventEmitter,
} from './event-emitter.js';
export type {
  BusOptions,
  LaneOptions,
  LogOptions,
  StarvationOptions,
  SymbolOptions,
  ThreadResourceLimits,
} from './options.js';
export { type WorkerHandlers, workerHandlers } from './worker-handlers.js';
