/**
 * Handlers that wait for each other's room. A handler publishes to a full lane that waits for a subscription whose
 * handler publishes to a full lane … that waits for the first one: none of them ever goes on. Under `block` no bound on
 * memory can rule that out, so it is found, and one of the deliveries is refused its room: it fails, the rest go on.
 *
 *   lane        full: its oldest waiting event needs every reader to have passed REQUIRED. Dead if one of those that
 *               have not is stuck.
 *   delivery    its handler has returned, and it cannot end before what it has published is admitted (ROOM). Dead if it
 *               waits for a dead lane. Until the handler has returned, its burst may have positions to tell of.
 *   member      stuck in a lane if the record that it must pass there next is in a dead delivery; or if the record is
 *               for it and cannot start, because dead deliveries take up all its places in flight, or one has its key.
 *               Records that are not for it do not stop it: it goes past those whatever it has in flight. With
 *               checkpoints it holds records that it has passed, too, until the delivery in flight has ended.
 *
 * Beginning with every full lane as dead, those are struck out that have no stuck reader, until nothing changes. Each lane
 * that is left waits only for what is left: a deadlock, and one that no thread can leave by itself. So a finding cannot be
 * premature. Nor can it be made of moments that do not belong together: everything is read twice, and positions only
 * grow; what reads the same both times was so in between. Deliveries whose handlers wait for room in other ways, by
 * `bus.publish` or through a promise of another delivery, are not seen: their `timeoutMs` ends them.
 * Why they are not ruled out instead: docs/decisions/0012. Test: test/unit/deadlocks, test/contract/cycles
 */
import { ownership } from '../shared/division.js';
import { compileKeyHash } from '../shared/keys.js';
import { LaneView } from '../shared/lane.js';
import { ADDRESS_MASK, FlightWord, HEADER_BYTES, LaneWord, TYPE_MASK, WAITING_BIT } from '../shared/layout.js';
import { Memory } from '../shared/memory.js';
import { distance } from '../shared/sequence.js';
import { SymbolReader } from '../shared/symbols.js';
import type { Member } from './member.js';
import type { Producer } from './record.js';
import type { Wiring } from './wiring.js';

/** A lane that publishers wait for, with the readers that must move first. */
interface FullLane {
  readonly producer: Producer;
  readonly rank: number;
  readonly behind: readonly { readonly member: Member; readonly position: number }[];
}

interface Flight {
  readonly member: Member;
  readonly flight: number;
  readonly address: number;
  readonly position: number;
  /** Full lanes that it waits for. */
  readonly lanes: readonly FullLane[];
}

/** One step of a cycle: a lane, and the delivery that it waits for. */
export interface Wait {
  readonly lane: { readonly producer: Producer; readonly rank: number };
  readonly member: Member;
  readonly flight: number;
  /** The delivery's, which tells it from a later one at the same place in flight. */
  readonly position: number;
}

/** A cycle of deliveries of which none can go on, if there is one. */
export function findDeadlock(wiring: Wiring): readonly Wait[] | undefined {
  if (!wiring.producers.some(isAwaited)) return undefined;
  const first = look(wiring);
  const cycle = cycleIn(first.lanes, first.flights);
  // The cost of a second look is only paid when there is something to be sure of.
  return cycle !== undefined && look(wiring).print === first.print ? cycle : undefined;
}

/** What a deadlock is to whoever can do something about it. */
export function describeDeadlock(cycle: readonly Wait[]): string {
  const laneOf = ({ lane, member }: Wait): string =>
    `lane "${member.record.lanes[lane.rank].name}" of thread ${lane.producer.thread}`;
  const steps = cycle.map((wait) => `${laneOf(wait)}, which waits for subscription "${wait.member.record.name}"`);
  return (
    `handlers publish in a cycle whose lanes are full: ${steps.join(', which waits for ')}, which waits for ` +
    `${laneOf(cycle[0])}; larger lanes, whenFull: 'spill', or fewer events in the cycle avoid it`
  );
}

function isAwaited({ block, dead }: Producer): boolean {
  return !dead && block.stats.some((stats) => stats[LaneWord.WAITING_F64] > 0);
}

/** All that can be part of a deadlock, and a print of all that was read. */
function look({ producers, records, slots }: Wiring): { lanes: FullLane[]; flights: Flight[]; print: string } {
  const print: number[] = [];
  const lanes: FullLane[] = [];
  for (const producer of producers.filter(isAwaited)) {
    producer.block.control.forEach((control, rank) => {
      if (producer.block.stats[rank][LaneWord.WAITING_F64] === 0) return;
      const required = Atomics.load(control, LaneWord.REQUIRED_INDEX);
      const behind: { member: Member; position: number }[] = [];
      for (const record of records) {
        if (record.ended || !record.ranks.includes(rank) || !record.reads.includes(producer)) continue;
        for (const member of record.members) {
          const position = member.gating(producer, rank)?.position;
          if (position === undefined || distance(required, position) <= 0) continue;
          behind.push({ member, position });
          print.push(member.id, position);
        }
      }
      lanes.push({ producer, rank, behind });
      print.push(producer.index, rank, required);
    });
  }
  const flights: Flight[] = [];
  for (const member of new Set(lanes.flatMap(({ behind }) => behind.map((one) => one.member)))) {
    const { words, flights: places } = member.block;
    for (let flight = 0; flight < places; flight++) {
      const lane = Atomics.load(words, FlightWord.laneIndex(flight));
      const address = (lane & ADDRESS_MASK) - 1;
      const position = Atomics.load(words, FlightWord.positionIndex(flight));
      const room = Atomics.load(words, FlightWord.roomIndex(flight));
      const own = slots[member.thread].producer;
      const awaited = lanes.filter(({ producer, rank }) => producer === own && ((room >> rank) & 1) === 1);
      print.push(member.id, lane, position, room);
      flights.push({ member, flight, address, position, lanes: (lane & WAITING_BIT) === 0 ? [] : awaited });
    }
  }
  return { lanes, flights, print: print.join() };
}

function cycleIn(lanes: readonly FullLane[], flights: readonly Flight[]): readonly Wait[] | undefined {
  const dead = new Set(lanes);
  const isDead = (flight: Flight): boolean => flight.lanes.some((lane) => dead.has(lane));
  /** The dead delivery that keeps a reader of the lane from moving. */
  const holderOf = ({ producer, rank, behind }: FullLane): Flight | undefined => {
    for (const { member, position } of behind) {
      const own = flights.filter((flight) => flight.member === member);
      const address = member.address(producer, rank);
      const next = own.find((one) => one.address === address && one.position === position);
      if (next !== undefined) {
        if (isDead(next)) return next;
        continue;
      }
      const holders = own.filter(isDead);
      if (holders.length === 0) continue;
      // What it holds for a checkpoint it gives back between deliveries only, and it has one at a time.
      if (member.checkpoints !== undefined) return holders[0];
      const record = recordFor(member, address, position);
      if (record === undefined) continue;
      if (holders.length === own.length) return holders[0];
      const { key } = record;
      const sameKey = holders.find(
        (one) => key !== undefined && key === recordFor(member, one.address, one.position)?.key,
      );
      if (sameKey !== undefined) return sameKey;
    }
    return undefined;
  };
  for (let before = -1; before !== dead.size;) {
    before = dead.size;
    for (const lane of dead) if (holderOf(lane) === undefined) dead.delete(lane);
  }
  // Each dead lane leads to another one: whoever follows comes back to where it has been.
  const path: (Wait & { readonly lane: FullLane })[] = [];
  for (let lane = [...dead].at(0); lane !== undefined;) {
    const seen = path.findIndex((wait) => wait.lane === lane);
    if (seen >= 0) return path.slice(seen);
    const holder = holderOf(lane);
    if (holder === undefined) return undefined;
    path.push({ lane, member: holder.member, flight: holder.flight, position: holder.position });
    lane = holder.lanes.find((awaited) => dead.has(awaited));
  }
  return undefined;
}

/** A record that stops a member which cannot start its delivery. */
interface StoppingRecord {
  /** Hash of its key, where deliveries that are in flight together have one each. */
  readonly key: number | undefined;
}

/** The record at a position of a lane; undefined when the member goes past it, or has done so meanwhile. */
function recordFor(member: Member, address: number, position: number): StoppingRecord | undefined {
  const { record, division } = member;
  const { lanes, reads, types, typeCount } = record;
  const producer = reads.find(({ index }) => index === Math.floor(address / lanes.length));
  if (producer === undefined) return undefined;
  const rank = address % lanes.length;
  const view = new LaneView(producer.block, rank);
  const at = view.offset(position);
  const memory = new Memory(view.memory.u8.slice(at, at + ((view.next(position) - position) | 0)).buffer);
  // The copy is whole if the member holds the room still: nobody has written there.
  const gating = member.gating(producer, rank);
  if (gating === undefined || distance(gating.position, position) > 0) return undefined;
  const typeIndex = memory.i32[0] & TYPE_MASK;
  const type = types.find(({ index }) => index === typeIndex);
  if (type === undefined) return undefined;
  const symbols = new SymbolReader(producer.block.symbols);
  const owns = ownership([type], typeCount, division, symbols);
  if (owns !== null && !owns[typeIndex](memory, HEADER_BYTES)) return undefined;
  const { mode, keys } = division;
  if (mode !== 'claimed' || keys === undefined) return { key: undefined };
  return { key: compileKeyHash(type, keys[typeIndex], symbols)(memory, HEADER_BYTES) };
}
