/** Why a target is missed, as a profile shows it: one sentence or two, by the target's title. */
export const REASONS: Readonly<Record<string, string>> = {
  'one-to-one, tryPublish each, ÷ postMessage':
    'The publisher bounds it. Of its 46 ns an event, measured alone, making the tick takes 12, looking for fields that do ' +
    'not belong to it 9 and finding its symbol 6; a hand-written loop with the same checks into a bare array takes 41 ' +
    '(decision 0025).',
  'one-to-one, tryPublish each, ÷ piscina.run':
    "The same; and Piscina with 64 tasks at once on its thread does twice what the target's author measured.",
  'one-to-one, tryPublish each, ÷ LMAX Disruptor':
    'The same: the Disruptor fills fields of an event that is there already, and neither checks nor makes anything.',
  'one-to-one, awaited publish each, ÷ postMessage':
    'To await a promise that has resolved takes 42 ns in V8, before the 46 of the publish.',
  'one-to-one-batch (256) ÷ postMessage in arrays of 256':
    'All events of a batch are checked before the first is visible, so each is claimed by itself, some 85 ns, where single ' +
    'events write into a group that is open.',
  'halt-overtakes under flood, p99 µs':
    'The median is some µs. Every hundredth HALT falls into a scavenge of the consumer, 0.25 ms each, or finds that its ' +
    'thread has lost its core.',
  '`any` payload ÷ postMessage of the same object':
    "msgpackr describes the shapes of a value's objects anew in every value: 3 µs to pack this one, 2.3 to unpack. With " +
    'shapes that both threads know it would be 1.5 to 2, and 0.4.',
  'text of 1 KB ÷ postMessage':
    'To measure and write it takes 100 ns, to read it 130, as calls into Node; the rest is garbage of 1 KB an event.',
  'ping-pong, both spinning, p50 µs':
    'A hop is a whole turn of the pump: a look at each lane by Atomics.load, which is a call in Node 20, two readings of ' +
    'the clock, a claim, a redo record, a commit. A bare word takes 0.08 µs.',
};
