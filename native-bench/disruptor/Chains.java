import com.lmax.disruptor.EventHandler;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.SleepingWaitStrategy;
import com.lmax.disruptor.WaitStrategy;
import com.lmax.disruptor.YieldingWaitStrategy;
import com.lmax.disruptor.dsl.Disruptor;
import com.lmax.disruptor.dsl.ProducerType;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/** Producers and consumers in rows: one to one, a pipeline, many to one. */
final class Chains {
  private Chains() {}

  private interface Publisher {
    void publishAll(RingBuffer<Tick> ring, int events);
  }

  /** Producer → consumer, one tick a publish. */
  static Json oneToOne(Parameters parameters) throws Exception {
    int symbols = parameters.count("symbols", 16);
    int drop = parameters.drop();
    return measureOneToOne(parameters, (ring, events) -> Streams.publishStream(ring, events, symbols, drop));
  }

  /** Producer → consumer, `batch` ticks a publish. */
  static Json oneToOneBatch(Parameters parameters) throws Exception {
    int symbols = parameters.count("symbols", 16);
    int drop = parameters.drop();
    int batch = parameters.count("batch", 256);
    int capacity = parameters.count("capacity", Streams.CAPACITY);
    if (batch == 0 || batch > capacity) {
      throw new IllegalArgumentException("batch is " + batch + ", expected 1 to the capacity of " + capacity);
    }
    return measureOneToOne(parameters, (ring, events) -> publishBatches(ring, events, batch, symbols, drop));
  }

  private static Json measureOneToOne(Parameters parameters, Publisher publisher) throws Exception {
    WaitStrategy wait = new YieldingWaitStrategy();
    TallyHandler handler = new TallyHandler(TickTally.symbolLengths(parameters.count("symbols", 16)));
    Disruptor<Tick> disruptor = Streams.disruptor(parameters, ProducerType.SINGLE, wait);
    disruptor.handleEventsWith(handler);
    RingBuffer<Tick> ring = disruptor.start();
    return Streams.measureThroughput(parameters, events -> {
      long start = System.nanoTime();
      publisher.publishAll(ring, events);
      TickTally tally = handler.close();
      double seconds = Streams.secondsSince(start);
      tally.check(events);
      return seconds;
    }).toJson(wait);
  }

  private static void publishBatches(RingBuffer<Tick> ring, int count, int batch, int symbols, int drop) {
    for (int first = 0; first < count; first += batch) {
      int end = Math.min(first + batch, count);
      boolean hasDrop = first <= drop && drop < end;
      int size = end - first - (hasDrop ? 1 : 0);
      if (size == 0) continue;
      long high = ring.next(size);
      long low = high - size + 1;
      long sequence = low;
      for (int at = first; at < end; at++) {
        if (at != drop) ring.get(sequence++).make(at, symbols);
      }
      ring.publish(low, high);
    }
    Streams.publishEnd(ring);
  }

  /** Producer → stage → stage → last stage. The first two add 1 to the size: each has had every tick. */
  static Json pipeline(Parameters parameters) throws Exception {
    final int passingStages = 2;
    int symbols = parameters.count("symbols", 16);
    int drop = parameters.drop();
    WaitStrategy wait = new SleepingWaitStrategy();
    TallyHandler last = new TallyHandler(TickTally.symbolLengths(symbols));
    Disruptor<Tick> disruptor = Streams.disruptor(parameters, ProducerType.SINGLE, wait);
    disruptor.handleEventsWith(passing()).then(passing()).then(last);
    RingBuffer<Tick> ring = disruptor.start();
    return Streams.measureThroughput(parameters, events -> {
      long start = System.nanoTime();
      Streams.publishStream(ring, events, symbols, drop);
      TickTally tally = last.close();
      double seconds = Streams.secondsSince(start);
      tally.check(events, passingStages, "the last stage");
      return seconds;
    }).toJson(wait);
  }

  private static EventHandler<Tick> passing() {
    return (tick, sequence, isEndOfBatch) -> tick.size++;
  }

  /** `producers` threads → one ring → one consumer. `events` is of all producers together. */
  static Json manyToOne(Parameters parameters) throws Exception {
    int symbols = parameters.count("symbols", 16);
    int drop = parameters.drop();
    int producers = parameters.positive("producers", 3);
    WaitStrategy wait = new SleepingWaitStrategy();
    PublishersHandler handler = new PublishersHandler(producers, TickTally.symbolLengths(symbols));
    Disruptor<Tick> disruptor = Streams.disruptor(parameters, ProducerType.MULTI, wait);
    disruptor.handleEventsWith(handler);
    RingBuffer<Tick> ring = disruptor.start();
    return Streams.measureThroughput(parameters, events -> {
      long start = System.nanoTime();
      for (int publisher = 0; publisher < producers; publisher++) {
        int own = publisher;
        int share = shareOf(events, own, producers);
        Thread thread = new Thread(() -> publishAs(own, ring, share, symbols, drop));
        thread.setDaemon(true);
        thread.start();
      }
      TickTally[] tallies = handler.closed.take();
      double seconds = Streams.secondsSince(start);
      for (int publisher = 0; publisher < producers; publisher++) {
        int share = shareOf(events, publisher, producers);
        tallies[publisher].check(share, 0, "the consumer for producer " + publisher);
      }
      return seconds;
    }).toJson(wait);
  }

  private static int shareOf(int events, int publisher, int producers) {
    return events / producers + (publisher < events % producers ? 1 : 0);
  }

  private static void publishAs(int publisher, RingBuffer<Tick> ring, int count, int symbols, int drop) {
    for (int at = 0; at < count; at++) {
      if (at == drop) continue;
      long sequence = ring.next();
      try {
        Tick tick = ring.get(sequence);
        tick.make(at, symbols);
        tick.publisher = publisher;
      } finally {
        ring.publish(sequence);
      }
    }
    Streams.publishEnd(ring, publisher);
  }

  /** A tally for each publisher, until all of them have ended their streams. */
  private static final class PublishersHandler implements EventHandler<Tick> {
    final BlockingQueue<TickTally[]> closed = new ArrayBlockingQueue<>(1);
    private final int publishers;
    private final int[] symbolLengths;
    private TickTally[] tallies;
    private int ended;

    PublishersHandler(int publishers, int[] symbolLengths) {
      this.publishers = publishers;
      this.symbolLengths = symbolLengths;
      begin();
    }

    private void begin() {
      tallies = new TickTally[publishers];
      for (int at = 0; at < publishers; at++) tallies[at] = new TickTally(symbolLengths);
      ended = 0;
    }

    @Override
    public void onEvent(Tick tick, long sequence, boolean isEndOfBatch) throws InterruptedException {
      if (tick.symbol != Tick.END) {
        tallies[tick.publisher].take(tick);
      } else if (++ended == publishers) {
        TickTally[] all = tallies;
        begin();
        closed.put(all);
      }
    }
  }
}
