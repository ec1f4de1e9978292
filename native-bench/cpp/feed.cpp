/** A file of ticks, read into memory and sent from there as fast as it goes. */
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "scenarios.hpp"
#include "streams.hpp"

static_assert(std::endian::native == std::endian::little, "the records of a file are read as they lie there");

namespace {

/** The sums of bench/feed.ts, from where `writeRows` has put what they are made of. */
struct RowSums {
  /** A, C, F, M, T. */
  std::array<std::uint64_t, 5> actions{};
  std::uint64_t sizeSum = 0;
  std::uint64_t tradedVolume = 0;
  double notional = 0;
  /** Depends on the order of the rows. */
  std::uint32_t order = 0;

  void take(const Tick& row) {
    constexpr std::size_t TRADE = 4;
    const std::size_t action = std::min(static_cast<std::size_t>(row.bid), TRADE);
    const auto orderId = static_cast<std::uint64_t>(row.askSize);
    actions[action]++;
    sizeSum += row.size;
    if (action == TRADE) {
      tradedVolume += row.size;
      notional += row.size * row.price;
    }
    order = order * 31 + static_cast<std::uint32_t>(row.sequence) + static_cast<std::uint32_t>(orderId % 65'521);
  }

  std::uint64_t count() const { return std::accumulate(actions.begin(), actions.end(), std::uint64_t{0}); }
};

std::vector<Tick> readRows(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error("--rows: " + path + " cannot be read");
  const auto bytes = static_cast<std::size_t>(file.tellg());
  if (bytes == 0 || bytes % sizeof(Tick) != 0) {
    throw std::runtime_error("--rows: " + path + " has " + std::to_string(bytes) + " bytes, expected records of 64 bytes");
  }
  std::vector<Tick> rows(bytes / sizeof(Tick));
  file.seekg(0).read(reinterpret_cast<char*>(rows.data()), static_cast<std::streamsize>(bytes));
  if (!file) throw std::runtime_error("--rows: " + path + " cannot be read");
  return rows;
}

}  // namespace

/** Producer → consumer. A stream of more events than there are rows begins with the first row again. */
JsonObject feed(const Parameters& parameters, const std::string& path) {
  if (path.empty()) return JsonObject().add("absent", "it needs the rows of a day: --rows FILE");
  const std::vector<Tick> rows = readRows(path);
  const std::uint32_t drop = parameters.drop();
  TickRing ring(parameters.count("capacity", 65'536));
  return measureThroughput(parameters, [&](std::uint32_t events) {
    RowSums found;
    const Clock::time_point start = Clock::now();
    std::jthread consumer([&] {
      RowSums sums;
      consumeStream(ring.reader(), [&](const Tick& row) { sums.take(row); });
      found = sums;
    });
    const std::size_t length = rows.size();
    for (std::size_t at = 0, row = 0; at < events; at++, row = row + 1 == length ? 0 : row + 1) {
      if (at == drop) continue;
      publish(ring, [&](Tick& tick) { tick = rows[row]; });
    }
    publishEnd(ring);
    consumer.join();
    const double seconds = secondsSince(start);
    RowSums expected;
    for (std::size_t at = 0; at < events; at++) expected.take(rows[at % length]);
    const std::string after = " after " + std::to_string(events) + " rows";
    checkEqual("the consumer's count", found.count(), expected.count(), after);
    checkEqual("the consumer's sizeSum", found.sizeSum, expected.sizeSum, after);
    checkEqual("the consumer's tradedVolume", found.tradedVolume, expected.tradedVolume, after);
    checkEqual("the consumer's notional", found.notional, expected.notional, after);
    checkEqual("the consumer's order", found.order, expected.order, after);
    return seconds;
  }).toJson();
}
