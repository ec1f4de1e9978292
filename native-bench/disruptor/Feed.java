import com.lmax.disruptor.EventHandler;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.WaitStrategy;
import com.lmax.disruptor.YieldingWaitStrategy;
import com.lmax.disruptor.dsl.Disruptor;
import com.lmax.disruptor.dsl.ProducerType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/** A file of ticks, read into memory and sent from there as fast as it goes. */
final class Feed {
  private static final int ROW_BYTES = 64;

  private Feed() {}

  /** Producer → consumer. A stream of more events than there are rows begins with the first row again. */
  static Json run(Parameters parameters, String path) throws Exception {
    if (path.isEmpty()) return new Json().add("absent", "it needs the rows of a day: --rows FILE");
    Tick[] rows = readRows(path);
    int drop = parameters.drop();
    WaitStrategy wait = new YieldingWaitStrategy();
    RowHandler handler = new RowHandler();
    Disruptor<Tick> disruptor = Streams.disruptor(parameters, ProducerType.SINGLE, wait);
    disruptor.handleEventsWith(handler);
    RingBuffer<Tick> ring = disruptor.start();
    return Streams.measureThroughput(parameters, events -> {
      long start = System.nanoTime();
      publishRows(ring, rows, events, drop);
      RowSums found = handler.closed.take();
      double seconds = Streams.secondsSince(start);
      RowSums expected = new RowSums();
      for (int at = 0; at < events; at++) expected.take(rows[at % rows.length]);
      String after = " after " + events + " rows";
      Check.equal("the consumer's count", found.count(), expected.count(), after);
      Check.equal("the consumer's sizeSum", found.sizeSum, expected.sizeSum, after);
      Check.equal("the consumer's tradedVolume", found.tradedVolume, expected.tradedVolume, after);
      Check.equal("the consumer's notional", found.notional, expected.notional, after);
      Check.equal("the consumer's order", found.order, expected.order, after);
      return seconds;
    }).toJson(wait);
  }

  private static void publishRows(RingBuffer<Tick> ring, Tick[] rows, int events, int drop) {
    int row = 0;
    for (int at = 0; at < events; at++) {
      if (at != drop) {
        long sequence = ring.next();
        try {
          ring.get(sequence).copyFrom(rows[row]);
        } finally {
          ring.publish(sequence);
        }
      }
      if (++row == rows.length) row = 0;
    }
    Streams.publishEnd(ring);
  }

  private static Tick[] readRows(String path) throws IOException {
    byte[] bytes = Files.readAllBytes(Path.of(path));
    if (bytes.length == 0 || bytes.length % ROW_BYTES != 0) {
      throw new IOException(path + " has " + bytes.length + " bytes, expected records of " + ROW_BYTES + " bytes");
    }
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    Tick[] rows = new Tick[bytes.length / ROW_BYTES];
    for (int at = 0; at < rows.length; at++) rows[at] = readRow(buffer);
    return rows;
  }

  private static Tick readRow(ByteBuffer buffer) {
    Tick row = new Tick();
    row.symbol = buffer.getInt();
    row.size = buffer.getInt();
    row.price = buffer.getDouble();
    row.bid = buffer.getDouble();
    row.ask = buffer.getDouble();
    row.bidSize = buffer.getDouble();
    row.askSize = buffer.getDouble();
    row.exchangeTime = buffer.getDouble();
    row.sequence = buffer.getDouble();
    return row;
  }

  /** The sums of bench/feed.ts, from where `writeRows` has put what they are made of. */
  private static final class RowSums {
    private static final int TRADE = 4;

    /** A, C, F, M, T. */
    final long[] actions = new long[TRADE + 1];
    long sizeSum;
    long tradedVolume;
    double notional;
    /** Depends on the order of the rows. */
    int order;

    void take(Tick row) {
      int action = Math.min((int) row.bid, TRADE);
      actions[action]++;
      sizeSum += row.size;
      if (action == TRADE) {
        tradedVolume += row.size;
        notional += row.size * row.price;
      }
      order = order * 31 + (int) row.sequence + (int) ((long) row.askSize % 65_521);
    }

    long count() {
      return Arrays.stream(actions).sum();
    }
  }

  private static final class RowHandler implements EventHandler<Tick> {
    final BlockingQueue<RowSums> closed = new ArrayBlockingQueue<>(1);
    private RowSums sums = new RowSums();

    @Override
    public void onEvent(Tick row, long sequence, boolean isEndOfBatch) throws InterruptedException {
      if (row.symbol == Tick.END) {
        closed.put(sums);
        sums = new RowSums();
      } else {
        sums.take(row);
      }
    }
  }
}
