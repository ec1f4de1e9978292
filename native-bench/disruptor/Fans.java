import com.lmax.disruptor.EventHandler;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.SleepingWaitStrategy;
import com.lmax.disruptor.WaitStrategy;
import com.lmax.disruptor.dsl.Disruptor;
import com.lmax.disruptor.dsl.ProducerType;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/** One producer, many consumers: each sees all ticks, or those of its keys. */
final class Fans {
  private Fans() {}

  /** Each of the consumers sees every tick; the slowest one holds the producer back. */
  static Json fanOut(Parameters parameters) throws Exception {
    int symbols = parameters.count("symbols", 16);
    int drop = parameters.drop();
    int consumers = parameters.positive("consumers", 4);
    int[] symbolLengths = TickTally.symbolLengths(symbols);
    WaitStrategy wait = new SleepingWaitStrategy();
    Disruptor<Tick> disruptor = Streams.disruptor(parameters, ProducerType.SINGLE, wait);
    List<TallyHandler> handlers = new ArrayList<>();
    for (int index = 0; index < consumers; index++) handlers.add(new TallyHandler(symbolLengths));
    disruptor.handleEventsWith(handlers.toArray(new TallyHandler[0]));
    RingBuffer<Tick> ring = disruptor.start();
    return Streams.measureThroughput(parameters, events -> {
      long start = System.nanoTime();
      Streams.publishStream(ring, events, symbols, drop);
      List<TickTally> tallies = new ArrayList<>();
      for (TallyHandler handler : handlers) tallies.add(handler.close());
      double seconds = Streams.secondsSince(start);
      for (int index = 0; index < consumers; index++) tallies.get(index).check(events, 0, "consumer " + index);
      return seconds;
    }).toJson(wait);
  }

  /** One ring: every consumer passes over the ticks whose key, modulo the threads, is not its own. */
  static Json fanOutKeyed(Parameters parameters) throws Exception {
    int keys = parameters.positive("symbols", 1_000);
    int drop = parameters.drop();
    int threads = parameters.positive("threads", 2);
    int steps = parameters.count("workSteps", 0);
    WaitStrategy wait = new SleepingWaitStrategy();
    Disruptor<Tick> disruptor = Streams.disruptor(parameters, ProducerType.SINGLE, wait);
    List<KeyedHandler> handlers = new ArrayList<>();
    for (int index = 0; index < threads; index++) handlers.add(new KeyedHandler(index, threads, steps, keys));
    disruptor.handleEventsWith(handlers.toArray(new KeyedHandler[0]));
    RingBuffer<Tick> ring = disruptor.start();
    return Streams.measureThroughput(parameters, events -> {
      long start = System.nanoTime();
      Streams.publishStream(ring, events, keys, drop);
      List<KeyedWork> works = new ArrayList<>();
      for (KeyedHandler handler : handlers) works.add(handler.closed.take());
      double seconds = Streams.secondsSince(start);
      KeyedWork.check(works, events);
      return seconds;
    }).toJson(wait);
  }

  private static final class KeyedHandler implements EventHandler<Tick> {
    final BlockingQueue<KeyedWork> closed = new ArrayBlockingQueue<>(1);
    private final int index;
    private final int threads;
    private final int steps;
    private final int keys;
    private KeyedWork work;

    KeyedHandler(int index, int threads, int steps, int keys) {
      this.index = index;
      this.threads = threads;
      this.steps = steps;
      this.keys = keys;
      work = new KeyedWork(steps, keys);
    }

    @Override
    public void onEvent(Tick tick, long sequence, boolean isEndOfBatch) throws InterruptedException {
      if (tick.symbol == Tick.END) {
        closed.put(work);
        work = new KeyedWork(steps, keys);
      } else if (tick.symbol % threads == index) {
        work.take(tick);
      }
    }
  }
}
