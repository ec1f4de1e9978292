/**
 * Backends that break the contract in one way each, made of one that keeps it: the suite must find out. What each is to
 * fail is named by the sentences of the contract.
 */
import type { Backend, BusOptions, Catalog, EventBus, SubscriptionMetrics } from 'lanebus';

type AnyBus = EventBus<Catalog>;
type AnyEvent = Parameters<AnyBus['publish']>[0];

export interface Broken {
  readonly what: string;
  readonly backend: Backend;
  /** Sentences that at least one case must find broken. */
  readonly breaks: readonly string[];
}

/** The methods and getters that differ; all others are the bus's own. */
type Changes = (bus: AnyBus, options: BusOptions) => Partial<AnyBus>;

function changed(sound: Backend, what: string, changes: Changes, refine = (options: BusOptions) => options): Backend {
  return {
    name: `${sound.name}, which ${what}`,
    capabilities: sound.capabilities,
    createBus: <C extends Catalog>(catalog: C, options: BusOptions): EventBus<C> => {
      const bus = sound.createBus(catalog, refine(options)) as unknown as AnyBus;
      const own = changes(bus, options);
      const proxy = new Proxy(bus, {
        get: (target, name) => {
          const value: unknown = Reflect.get(Object.hasOwn(own, name) ? own : target, name);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
      return proxy;
    },
  };
}

/** Publishes in its own way whatever is offered, each on its own. */
function publishing(offer: (bus: AnyBus, event: AnyEvent) => Promise<void>): Changes {
  return (bus) => ({
    publish: (event) => offer(bus, event),
    publishBatch: async (events) => {
      for (const event of events) await offer(bus, event);
    },
  });
}

const miscounted = (metrics: SubscriptionMetrics): SubscriptionMetrics => ({
  ...metrics,
  owed: metrics.owed + Math.floor(metrics.owed / 20),
});

export function brokenBackends(sound: Backend): readonly Broken[] {
  const broken: { what: string; breaks: string[]; changes: Changes; refine?: (options: BusOptions) => BusOptions }[] = [
    {
      what: 'drops one event in a hundred',
      breaks: [
        'Where no thread dies, each delivery is made exactly once.',
        'A subscription made before `start` misses nothing.',
      ],
      changes: (bus, options) => {
        let offered = 0;
        return publishing((_, event) => (++offered % 100 === 0 ? Promise.resolve() : bus.publish(event)))(bus, options);
      },
    },
    {
      what: 'delivers twice',
      breaks: [
        'Where no thread dies, each delivery is made exactly once.',
        'Publishing the same event to S subscriptions makes S deliveries.',
      ],
      changes: publishing(async (bus, event) => {
        await bus.publish(event);
        await bus.publish(event);
      }),
    },
    {
      what: 'swaps two events',
      breaks: [
        'Within a lane, the events of one publishing thread reach a subscription in the order in which they were published, whichever way.',
      ],
      changes: (bus) => ({
        publishBatch: (events) => bus.publishBatch([...events].reverse()),
      }),
    },
    {
      what: 'ignores priority',
      breaks: [
        'Priority is strict: while a more urgent lane has events, a less urgent one has no turn.',
        'Across lanes the more urgent one goes first, at every event boundary: the next event that runs is of the most urgent lane that has any.',
      ],
      changes: () => ({}),
      refine: (options) => {
        const only = { control: false, execution: false, signal: false, market: false } as const;
        return {
          ...options,
          lanes: {
            ...only,
            log: options.lanes?.market === false ? {} : { ...options.lanes?.market, maxPriority: Infinity },
          },
        };
      },
    },
    {
      what: 'never times out',
      breaks: [
        'A delivery whose promise does not settle ends `timedOut`, not before `timeoutMs` and `graceMs` have passed.',
      ],
      changes: (bus) => ({
        subscribe: (type, handler, options) => bus.subscribe(type, handler, { ...options, timeoutMs: 0 }),
      }),
    },
    {
      what: 'times out too early',
      breaks: [
        'At `timeoutMs` from the start of its handler the `signal` of a delivery aborts, with a `TimeoutError`, not earlier.',
      ],
      changes: (bus) => ({
        subscribe: (type, handler, options) => {
          const { timeoutMs } = options ?? {};
          return bus.subscribe(
            type,
            handler,
            timeoutMs === undefined ? options : { ...options, timeoutMs: timeoutMs / 4 },
          );
        },
      }),
    },
    {
      what: 'publishes after stop without refusing',
      breaks: [
        "From its first moment on `stop` refuses what is new, with `ERR_LANEBUS_STOPPED`, and `tryPublish` returns `'closed'`.",
      ],
      changes: (bus) => {
        const isOver = (): boolean => ['stopping', 'stopped'].includes(bus.metrics().state);
        return {
          publish: (event) => (isOver() ? Promise.resolve() : bus.publish(event)),
          tryPublish: (event) => (isOver() ? 'published' : bus.tryPublish(event)),
        };
      },
    },
    {
      what: 'miscounts the ledger',
      breaks: [
        'The ledger adds up, per subscription and per lane: `owed = processed + failed + timedOut + conflated + discarded + filtered + pending`.',
        'In a live snapshot `pending` is approximate; when `drain` has resolved it is zero.',
      ],
      changes: (bus) => ({
        metrics: () => ({ ...bus.metrics(), subscriptions: bus.metrics().subscriptions.map(miscounted) }),
      }),
    },
    {
      what: 'resolves drain early',
      breaks: [
        '`drain` resolves when nothing is pending any more: every handler, also an async one, has ended.',
        '`drain` waits for retries.',
      ],
      changes: () => ({ drain: () => Promise.resolve({ drained: true, pending: 0, durationMs: 0 }) }),
    },
    {
      what: 'publishes bad events of a batch in part',
      breaks: ['A batch with one bad event is refused as a whole.'],
      changes: publishing((bus, event) => bus.publish(event)),
    },
    {
      what: 'never tries again',
      breaks: [
        'With `retry` a delivery that fails is tried again, up to `attempts` tries in all, which `context.attempt` numbers.',
      ],
      changes: (bus) => ({
        subscribe: (type, handler, options) => bus.subscribe(type, handler, { ...options, retry: { attempts: 1 } }),
      }),
    },
    {
      what: 'forgets its dead letters',
      breaks: ['Every delivery that ends `failed` or `timedOut` is kept as a dead letter, exactly once.'],
      changes: () => ({}),
      refine: (options) => ({ ...options, maxDeadLetters: 0 }),
    },
    {
      what: 'makes nobody wait at a full lane',
      breaks: ['With `block`, the default, `publish` waits while the lane is full; who came first is admitted first.'],
      changes: (bus) => ({
        publish: (event) => {
          void bus.publish(event).catch(() => undefined);
          return Promise.resolve();
        },
      }),
    },
    {
      what: 'accepts any option',
      breaks: [
        'The options of a bus are checked whole when it is made: one error has every problem, each with its path, the value given and what is accepted.',
      ],
      changes: () => ({}),
      refine: ({ threads, logger, spares }) => ({ threads: threads === 0 ? 1 : threads, logger, spares }),
    },
    {
      what: 'stops without telling what it has discarded',
      breaks: ['What has not ended within the `timeoutMs` of `stop` is discarded, and its report counts it.'],
      changes: (bus) => ({ stop: async (options) => ({ ...(await bus.stop(options)), drained: true, discarded: 0 }) }),
    },
    {
      what: 'ends no subscription',
      breaks: ['What has not started when its subscription ends is not delivered any more, and ends `discarded`.'],
      changes: (bus) => ({
        subscribe: (type, handler, options) => {
          const subscription = bus.subscribe(type, handler, options);
          let called = false;
          subscription.unsubscribe = () => {
            subscription.resume();
            return !called && (called = true);
          };
          return Object.defineProperty(subscription, 'ended', { value: Promise.resolve() });
        },
      }),
    },
  ];
  return broken.map(({ what, breaks, changes, refine }) => ({
    what,
    breaks,
    backend: changed(sound, what, changes, refine),
  }));
}
