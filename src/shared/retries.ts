/**
 * Deliveries that main has made again, each for one subscription: a try after a failure, an event that was held behind one, a
 * dead letter that is replayed. The subscription reads them from lanes of main's that are its own, by rank, like those of any
 * publishing thread, at the last address of each rank; so pausing, watching, claims and take-over are the same as for all.
 * Each ends by going back to main (returns.ts).
 *
 * Behind the event's payload, at the record's end:
 *   i32 ticket, flags, attempt, publisher    main's number of it, the number of this try, who had published the event
 *   f64 sequence, publishedAt                where and when
 *   i32 publisher, rank; f64 sequence        of the event that caused it; rank -1 if there is none
 */
import { type Origin, recordBytes } from './lane.js';
import type { Memory } from './memory.js';

export const TRAILER_BYTES = 48;
/** So many of the largest fit into their ring: a checkpoint may hold some. */
export const RETRIES_IN_RING = 4;
/** What the retries' readers have instead of a publishing thread's index. */
export const RETRIES_THREAD = -1;

/** Flags. Not a delivery: the key of the event is free again. */
const RELEASES = 1;
/** The thread holds the event's key for it. */
const HOLDS = 2;

export interface Trailer {
  readonly ticket: number;
  readonly releases: boolean;
  readonly holds: boolean;
  readonly attempt: number;
  readonly publisher: number;
  readonly sequence: number;
  /** On the bus's clock, in ms. */
  readonly publishedAt: number;
  readonly cause: Origin | undefined;
}

/** The payload of a retry: the event's, and what is told with it. */
export function withTrailer(payload: Uint8Array, trailer: Trailer): Uint8Array {
  const start = (payload.length + 7) & -8;
  const bytes = new Uint8Array(start + TRAILER_BYTES);
  bytes.set(payload);
  const view = new DataView(bytes.buffer, start);
  const { ticket, releases, holds, attempt, publisher, sequence, publishedAt, cause } = trailer;
  [ticket, (releases ? RELEASES : 0) | (holds ? HOLDS : 0), attempt, publisher].forEach((word, index) => {
    view.setInt32(index * 4, word, true);
  });
  view.setFloat64(16, sequence, true);
  view.setFloat64(24, publishedAt, true);
  view.setInt32(32, cause?.publisher ?? 0, true);
  view.setInt32(36, cause?.rank ?? -1, true);
  view.setFloat64(40, cause?.sequence ?? 0, true);
  return bytes;
}

/** The trailer of the record at a byte offset, header first. */
export function trailerOf({ i32, f64 }: Memory, at: number): Trailer {
  const start = at + recordBytes(i32[at >> 2]) - TRAILER_BYTES;
  const word = start >> 2;
  const rank = i32[word + 9];
  return {
    ticket: i32[word],
    releases: (i32[word + 1] & RELEASES) !== 0,
    holds: (i32[word + 1] & HOLDS) !== 0,
    attempt: i32[word + 2],
    publisher: i32[word + 3],
    sequence: f64[(start + 16) >> 3],
    publishedAt: f64[(start + 24) >> 3],
    cause: rank < 0 ? undefined : { publisher: i32[word + 8], rank, sequence: f64[(start + 40) >> 3] },
  };
}
