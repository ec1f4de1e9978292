import type { Mutant } from '../mutant.js';

const AS_PUBLISHED = 'An event reaches its handler as it was published, with fields of every kind.';
const MISFIT = 'An event that does not fit its type is refused with an error that names the type and the field.';
const CODEC = 'shared/codec.js';

export const events: readonly Mutant[] = [
  {
    id: 'absent-is-present',
    rule: AS_PUBLISHED,
    file: CODEC,
    text: '!== 0 ? ${value} : ${absent})`',
    becomes: '=== 0 ? ${value} : ${absent})`',
  },
  {
    id: 'fields-too-many-pass',
    rule: MISFIT,
    file: CODEC,
    text: 'if (count !== 0) refuseExtraFields(type, event);',
    becomes: '',
  },
  {
    id: 'int32-wraps',
    rule: MISFIT,
    file: CODEC,
    text: "(`typeof ${v} !== 'number' || (${v} | 0) !== ${v}`)",
    becomes: "(`typeof ${v} !== 'number'`)",
  },
  {
    id: 'held-events-share-bytes',
    rule: 'An event is published as it is when it is offered, whatever is done to it later.',
    file: 'shared/admission.js',
    text: 'return this.memory.u8.slice(0, this.#bytes);',
    becomes: 'return this.memory.u8.subarray(0, this.#bytes);',
    tryFirst: 'who came first is admitted first',
  },
  {
    id: 'refused-is-not-counted',
    rule: 'Nothing of an event that is refused is written, and it counts as `rejected`.',
    file: 'shared/outbox.js',
    text: "this.#admissionFor(known).count('REJECTED_F64', 1);",
    becomes: 'void known;',
  },
  {
    id: 'any-size-fits',
    rule: 'An event that is larger than its lane accepts is refused with `ERR_LANEBUS_RECORD_TOO_LARGE`.',
    file: 'shared/lane.js',
    text: 'if (payloadBytes + causeBytes > this.maxPayloadBytes)',
    becomes: 'if (false)',
  },
  {
    id: 'one-symbol-too-many',
    rule: 'More different symbols than the bus has room for are refused with `ERR_LANEBUS_SYMBOL_TABLE_FULL`.',
    file: 'shared/symbols.js',
    text: 'if (id >= this.#ends.length) {',
    becomes: 'if (id > this.#ends.length) {',
  },
  {
    id: 'batch-in-part',
    rule: 'A batch with one bad event is refused as a whole.',
    file: 'shared/outbox.js',
    text: 'admission.lane.rollback();',
    becomes: 'admission.lane.commitAll(batch.get(admission).types);',
  },
];
