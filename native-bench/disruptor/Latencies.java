import com.lmax.disruptor.BlockingWaitStrategy;
import com.lmax.disruptor.BatchEventProcessor;
import com.lmax.disruptor.BusySpinWaitStrategy;
import com.lmax.disruptor.EventHandler;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.Sequence;
import com.lmax.disruptor.SequenceBarrier;
import com.lmax.disruptor.WaitStrategy;
import com.lmax.disruptor.YieldingWaitStrategy;
import com.lmax.disruptor.dsl.Disruptor;
import com.lmax.disruptor.dsl.ProducerType;
import java.util.ArrayList;
import java.util.List;
import org.HdrHistogram.Histogram;

/** How long an event takes: there and back, behind a flood, at a fixed rate. */
final class Latencies {
  private static final int DIGITS = 3;

  private Latencies() {}

  private static double microsAt(Histogram histogram, double percentile) {
    return histogram.getValueAtPercentile(percentile) / 1e3;
  }

  private static Json toJson(Histogram histogram) {
    return new Json()
        .add("p50", microsAt(histogram, 50))
        .add("p99", microsAt(histogram, 99))
        .add("p999", microsAt(histogram, 99.9))
        .add("max", histogram.getMaxValue() / 1e3);
  }

  /** Main thread → echo → main thread, one tick at a time. `wait` 0: both spin; 1: both sleep until they are woken. */
  static Json pingPong(Parameters parameters) throws Exception {
    final int capacity = 1_024;
    int warmup = parameters.count("warmup", 10_000);
    int total = warmup + parameters.count("events", 100_000);
    int symbols = parameters.count("symbols", 16);
    int drop = parameters.drop();
    boolean parks = parameters.count("wait", 0) == 1;
    RingBuffer<Tick> there = RingBuffer.createSingleProducer(Tick::new, capacity, pingPongWait(parks));
    RingBuffer<Tick> back = RingBuffer.createSingleProducer(Tick::new, capacity, pingPongWait(parks));

    EventHandler<Tick> echo = (ping, sequence, isEndOfBatch) -> {
      long next = back.next();
      back.get(next).copyFrom(ping);
      back.publish(next);
    };
    BatchEventProcessor<Tick> processor = new BatchEventProcessor<>(there, there.newBarrier(), echo);
    there.addGatingSequences(processor.getSequence());
    Thread thread = new Thread(processor);
    thread.setDaemon(true);
    thread.start();

    SequenceBarrier barrier = back.newBarrier();
    Sequence taken = new Sequence();
    back.addGatingSequences(taken);
    Histogram histogram = new Histogram(DIGITS);
    int returned = 0;
    boolean inOrder = true;
    for (int at = 0; at < total; at++) {
      if (at == drop) continue;
      long sentAt = System.nanoTime();
      Streams.publish(there, at, symbols);
      long sequence = taken.get() + 1;
      barrier.waitFor(sequence);
      Tick pong = back.get(sequence);
      long returnedAt = System.nanoTime();
      if (pong.sequence != at) inOrder = false;
      taken.set(sequence);
      returned++;
      if (at >= warmup) histogram.recordValue(returnedAt - sentAt);
    }
    Check.equal("round trips: their count", returned, total);
    Check.equal("round trips: inOrder", inOrder, true);
    return new Json()
        .add("value", microsAt(histogram, 50))
        .add("latency", toJson(histogram))
        .add("details", new Json().add("wait", Streams.nameOf(pingPongWait(parks))));
  }

  private static WaitStrategy pingPongWait(boolean parks) {
    return parks ? new BlockingWaitStrategy() : new BusySpinWaitStrategy();
  }

  /**
   * A ring of the Disruptor has no priorities: a halt stands in line behind the flood. The producer floods the ring and puts
   * a halt into it every `everyMicros`. A tick's work makes the consumer the slower one.
   */
  static Json haltOvertakes(Parameters parameters) throws Exception {
    // Ticks between two looks at the clock, which costs more than a tick.
    final int ticksALook = 32;
    int symbols = parameters.count("symbols", 16);
    int drop = parameters.drop();
    int warmup = parameters.count("warmup", 200);
    int total = warmup + parameters.positive("events", 1_000);
    long everyNanos = parameters.count("everyMicros", 1_000) * 1_000L;
    int workSteps = parameters.count("workSteps", 0);
    WaitStrategy wait = new YieldingWaitStrategy();
    HaltHandler handler = new HaltHandler(new TallyHandler(TickTally.symbolLengths(symbols)), warmup, workSteps);
    Disruptor<Tick> disruptor = Streams.disruptor(parameters, ProducerType.SINGLE, wait);
    disruptor.handleEventsWith(handler);
    RingBuffer<Tick> ring = disruptor.start();

    int flooded = 0;
    long start = System.nanoTime();
    long dueAt = start + everyNanos;
    for (int published = 0; published < total; ) {
      for (int tick = 0; tick < ticksALook && ring.hasAvailableCapacity(1); tick++, flooded++) {
        if (flooded != drop) Streams.publish(ring, flooded, symbols);
      }
      if (!ring.hasAvailableCapacity(1)) Thread.yield();
      if (System.nanoTime() < dueAt) continue;
      // It happens before there is room for it: that it waits for room is part of what is measured.
      long happenedAt = System.nanoTime();
      long sequence = ring.next();
      Tick halt = ring.get(sequence);
      halt.symbol = Tick.HALT;
      halt.sequence = published;
      halt.exchangeTime = happenedAt - handler.epoch;
      ring.publish(sequence);
      published++;
      dueAt = System.nanoTime() + everyNanos;
    }
    Streams.publishEnd(ring);
    TickTally tally = handler.ticks.close();
    double seconds = Streams.secondsSince(start);
    tally.check(flooded);
    Check.equal("the consumer's workSum", handler.workSum, flooded * Work.burn(workSteps));
    Check.equal("the consumer's halts", handler.halts, total);
    Check.equal("the consumer's halts: inOrder", handler.inOrder, true);
    Json details = new Json()
        .add("wait", Streams.nameOf(wait))
        .add("priorities", "none: a halt stands in line behind the flood")
        .add("ticks", flooded)
        .add("floodPerSecond", flooded / seconds);
    return new Json()
        .add("value", microsAt(handler.histogram, 99))
        .add("latency", toJson(handler.histogram))
        .add("details", details);
  }

  private static final class HaltHandler implements EventHandler<Tick> {
    /** A halt's exchangeTime is the ns from here to when it was to be published. */
    final long epoch = System.nanoTime();
    final Histogram histogram = new Histogram(DIGITS);
    final TallyHandler ticks;
    final int warmup;
    final int workSteps;
    int workSum;
    int halts;
    boolean inOrder = true;

    HaltHandler(TallyHandler ticks, int warmup, int workSteps) {
      this.ticks = ticks;
      this.warmup = warmup;
      this.workSteps = workSteps;
    }

    @Override
    public void onEvent(Tick tick, long sequence, boolean isEndOfBatch) throws InterruptedException {
      if (tick.symbol == Tick.HALT) {
        long nanos = System.nanoTime() - epoch - (long) tick.exchangeTime;
        if (tick.sequence != halts) inOrder = false;
        if (halts++ >= warmup) histogram.recordValue(nanos);
        return;
      }
      if (tick.symbol != Tick.END) workSum += Work.burn(workSteps);
      ticks.onEvent(tick, sequence, isEndOfBatch);
    }
  }

  /**
   * Producer → consumer at 10, 50 and 90 % of the rate that this machine has just reached. The latency is from when an event
   * was to be sent, which is never later than when it was, to its handler's start.
   */
  static Json openLoad(Parameters parameters) throws Exception {
    final int[] levels = {10, 50, 90};
    final int valueLevel = 50;
    int symbols = parameters.count("symbols", 16);
    int drop = parameters.drop();
    double settleSeconds = parameters.number("settleMs", 100) / 1_000;
    double levelSeconds = parameters.number("levelMs", 1_000) / 1_000;
    WaitStrategy wait = new YieldingWaitStrategy();
    TimedHandler handler = new TimedHandler(new TallyHandler(TickTally.symbolLengths(symbols)));
    Disruptor<Tick> disruptor = Streams.disruptor(parameters, ProducerType.SINGLE, wait);
    disruptor.handleEventsWith(handler);
    RingBuffer<Tick> ring = disruptor.start();

    double most = Streams.measureThroughput(parameters, events -> {
      long start = System.nanoTime();
      Streams.publishStream(ring, events, symbols, drop);
      TickTally tally = handler.ticks.close();
      double seconds = Streams.secondsSince(start);
      tally.check(events);
      return seconds;
    }).median();

    Json details = new Json().add("wait", Streams.nameOf(wait)).add("mostPerSecond", most);
    Json latency = new Json();
    double value = 0;
    for (int level : levels) {
      double perSecond = most * level / 100;
      sendPaced(ring, handler, perSecond, settleSeconds, symbols, drop);
      double sentPerSecond = sendPaced(ring, handler, perSecond, levelSeconds, symbols, drop);
      Histogram histogram = handler.histogram;
      String place = " at " + level + " %";
      details
          .add("p50" + place, microsAt(histogram, 50))
          .add("p99" + place, microsAt(histogram, 99))
          .add("p999" + place, microsAt(histogram, 99.9))
          .add("max" + place, histogram.getMaxValue() / 1e3)
          .add("rate" + place, sentPerSecond)
          .add("timed" + place, histogram.getTotalCount());
      if (level != valueLevel) continue;
      latency = toJson(histogram);
      value = microsAt(histogram, 99);
    }
    return new Json().add("value", value).add("latency", latency).add("details", details);
  }

  /** Sends events at this rate, whatever becomes of them. Returns the rate that it was; the handler has the latencies. */
  private static double sendPaced(
      RingBuffer<Tick> ring, TimedHandler handler, double perSecond, double seconds, int symbols, int drop)
      throws Exception {
    int events = (int) Math.ceil(perSecond * seconds);
    double intervalNanos = 1e9 / perSecond;
    long start = handler.begin(perSecond);
    for (int at = 0; at < events; ) {
      // The first event is due at once.
      double due = Math.min(Math.floor((System.nanoTime() - start) / intervalNanos) + 1, events);
      for (; at < due; at++) {
        if (at != drop) Streams.publish(ring, at, symbols);
      }
    }
    double sentPerSecond = events / Streams.secondsSince(start);
    Streams.publishEnd(ring);
    handler.ticks.close().check(events);
    handler.end();
    return sentPerSecond;
  }

  /** Its fields are set while no stream runs: publishing the next one makes them visible to its thread. */
  private static final class TimedHandler implements EventHandler<Tick> {
    /** Reading the clock takes as long as an event or longer, so no more events are timed than this. */
    private static final double MAX_TIMED_PER_SECOND = 1e6;

    final TallyHandler ticks;
    Histogram histogram = new Histogram(DIGITS);
    private boolean isTiming;
    private long start;
    private double intervalNanos;
    private int timedEvery;
    private int untilTimed;

    TimedHandler(TallyHandler ticks) {
      this.ticks = ticks;
    }

    long begin(double perSecond) {
      histogram = new Histogram(DIGITS);
      isTiming = true;
      intervalNanos = 1e9 / perSecond;
      timedEvery = (int) Math.ceil(perSecond / MAX_TIMED_PER_SECOND);
      untilTimed = 1;
      start = System.nanoTime();
      return start;
    }

    void end() {
      isTiming = false;
    }

    @Override
    public void onEvent(Tick tick, long sequence, boolean isEndOfBatch) throws InterruptedException {
      if (isTiming && tick.symbol != Tick.END && --untilTimed == 0) {
        untilTimed = timedEvery;
        histogram.recordValue(Math.max(0, System.nanoTime() - start - (long) (tick.sequence * intervalNanos)));
      }
      ticks.onEvent(tick, sequence, isEndOfBatch);
    }
  }
}
