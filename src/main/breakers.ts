/**
 * The circuits of the subscriptions, as main sees to them: what is told when one opens or closes, and when a probe is let
 * through. Threads open and close them themselves (circuit.ts) and ring; what a thread could not tell is seen at the next
 * look.
 */
import { setTimer, type Timer } from '../shared/clock.js';
import type { Logger } from '../shared/logger.js';
import type { NoticeBoard } from './notices.js';
import type { SubscriptionRecord } from './record.js';

/** How much longer the cool-down is after each probe that fails. */
const GROWTH = 2;

interface Watched {
  state: 'closed' | 'open' | 'halfOpen';
  /** Probes that have failed in a row. */
  probes: number;
  timer: Timer | undefined;
}

export class Breakers {
  readonly #records: readonly SubscriptionRecord[];
  readonly #log: Logger;
  readonly #notices: NoticeBoard;
  readonly #nudge: (record: SubscriptionRecord) => void;
  readonly #disable: (record: SubscriptionRecord) => void;
  readonly #watched = new Map<SubscriptionRecord, Watched>();

  /**
   * @param nudge Lets a subscription's threads look at its circuit.
   * @param disable Ends a subscription.
   */
  constructor(
    records: readonly SubscriptionRecord[],
    log: Logger,
    notices: NoticeBoard,
    nudge: (record: SubscriptionRecord) => void,
    disable: (record: SubscriptionRecord) => void,
  ) {
    this.#records = records;
    this.#log = log;
    this.#notices = notices;
    this.#nudge = nudge;
    this.#disable = disable;
  }

  /** Sees what has happened since the last look. */
  look(): void {
    for (const record of this.#records) if (record.state === 'active' || record.state === 'paused') this.#see(record);
  }

  /** Closes a circuit by hand. */
  reset(record: SubscriptionRecord): void {
    record.circuit.close();
    this.#see(record);
  }

  forget(record: SubscriptionRecord): void {
    this.#watched.get(record)?.timer?.cancel();
    this.#watched.delete(record);
  }

  stop(): void {
    for (const { timer } of this.#watched.values()) timer?.cancel();
    this.#watched.clear();
  }

  #see(record: SubscriptionRecord): void {
    const { state } = record.circuit;
    const watched = this.#watched.get(record) ?? { state: 'closed', probes: 0, timer: undefined };
    const before = watched.state;
    // Who saw another one's probe sleeps, and that probe may have come to nothing.
    if (state === 'halfOpen' && !record.drained) this.#nudge(record);
    watched.state = state === 'probing' ? 'halfOpen' : state;
    if (watched.state === before) return;
    this.#watched.set(record, watched);
    if (state === 'open') this.#opened(record, watched, before === 'closed' ? 0 : watched.probes + 1);
    else if (state === 'closed') this.#closed(record, watched);
  }

  #opened(record: SubscriptionRecord, watched: Watched, probes: number): void {
    const { id, name, circuit, options } = record;
    const { failures } = circuit;
    const subscription = { id, name };
    watched.probes = probes;
    if (options.onMaxFailures === 'unsubscribe') {
      this.#log.fatal({ subscription: name, failures }, 'subscription ended: it has failed maxFailures times in a row');
      this.#notices.post('subscriptionDisabled', { subscription, failures });
      this.#disable(record);
      return;
    }
    const coolDownMs = Math.min(options.maxCoolDownMs, options.coolDownMs * GROWTH ** probes);
    this.#log.error({ subscription: name, failures, coolDownMs }, 'circuit opened: a probe follows the cool-down');
    this.#notices.post('circuitOpened', { subscription, failures, coolDownMs });
    watched.timer?.cancel();
    watched.timer = setTimer(() => {
      // Before it is: a probe may start, and fail, at once.
      watched.state = 'halfOpen';
      circuit.halfOpen();
      this.#nudge(record);
    }, coolDownMs);
    this.#nudge(record); // threads that share it do not start another one
  }

  #closed(record: SubscriptionRecord, watched: Watched): void {
    watched.timer?.cancel();
    watched.probes = 0;
    this.#log.info({ subscription: record.name }, 'circuit closed');
    this.#notices.post('circuitClosed', { subscription: { id: record.id, name: record.name } });
    this.#nudge(record);
  }
}
