/**
 * A ring of slots for one producer and one reader or several, each of which sees every record.
 *
 * Sequences only ever grow; a mask turns one into the index of its slot. Each side keeps the other's last known position
 * and looks again only when that one is not enough, as in E. Rigtorp's SPSCQueue: the line of a position crosses the cores
 * once for many records.
 *
 * Publication: P1 must stay above P2. Reuse of a slot: R1 must stay above R2.
 *   producer                              reader
 *   P1 write slots (plain)                C1 acquire cursor_, sees P2
 *   P2 release cursor_                    C2 read slots (plain): no record is seen half-written
 *   P3 acquire gating_, sees R2           R1 read slots (plain)
 *   P4 write the slots again (plain)      R2 release gating_: no record is overwritten while it is read
 * A stale known position only makes the ring look fuller to the producer, and emptier to a reader, than it is.
 */
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

/** Two lines: processors fetch a line's neighbour along with it. */
constexpr std::size_t APART_BYTES = 128;
/** A reader gives slots back at least so often; a whole ring at once would make the two sides take turns. */
constexpr std::uint64_t MAX_POLLED = 256;

template <typename Record>
class Ring {
 public:
  class alignas(APART_BYTES) Reader {
   public:
    /** Calls `handle` with each record that is visible, up to MAX_POLLED. Waits for none. @returns How many there were. */
    template <typename Handle>
    std::uint64_t poll(Handle&& handle) {
      const std::uint64_t count = std::min(visible(), MAX_POLLED);
      for (std::uint64_t offset = 0; offset < count; offset++) handle(ring_->at(position_ + offset));
      if (count > 0) release(count);
      return count;
    }

    std::uint64_t visible() {
      if (knownCursor_ == position_) knownCursor_ = ring_->cursor_.load(std::memory_order_acquire);
      return knownCursor_ - position_;
    }

    /** Of those that are visible, the oldest. */
    Record& front() { return ring_->at(position_); }

    void release(std::uint64_t count) {
      position_ += count;
      gating_.store(position_, std::memory_order_release);
    }

   private:
    friend class Ring;
    /** Written by the reader, read by the producer. */
    std::atomic<std::uint64_t> gating_{0};
    /** The reader's own. */
    alignas(APART_BYTES) std::uint64_t position_ = 0;
    std::uint64_t knownCursor_ = 0;
    Ring* ring_ = nullptr;
  };

  explicit Ring(std::size_t capacity, std::size_t readers = 1)
      : slots_(checkedCapacity(capacity)), readers_(readers), mask_(capacity - 1) {
    for (Reader& reader : readers_) reader.ring_ = this;
  }

  std::size_t capacity() const { return slots_.size(); }
  Reader& reader(std::size_t index = 0) { return readers_[index]; }

  /** Whether so many records may be written; the slowest reader decides. */
  bool hasRoom(std::uint64_t count = 1) {
    if (committed_ + count - knownGating_ <= slots_.size()) return true;
    return hasRoomByNow(count);
  }

  /** The slot of the record that is `offset` after the next one to be committed. */
  Record& claimed(std::uint64_t offset = 0) { return at(committed_ + offset); }

  void commit(std::uint64_t count = 1) {
    committed_ += count;
    cursor_.store(committed_, std::memory_order_release);
  }

 private:
  static std::size_t checkedCapacity(std::size_t capacity) {
    if (std::has_single_bit(capacity)) return capacity;
    throw std::invalid_argument("capacity is " + std::to_string(capacity) + ", expected a power of two");
  }

  Record& at(std::uint64_t sequence) { return slots_[sequence & mask_]; }

  bool hasRoomByNow(std::uint64_t count) {
    knownGating_ = committed_;
    for (const Reader& reader : readers_) {
      knownGating_ = std::min(knownGating_, reader.gating_.load(std::memory_order_acquire));
    }
    return committed_ + count - knownGating_ <= slots_.size();
  }

  /** Written by the producer, read by all. */
  alignas(APART_BYTES) std::atomic<std::uint64_t> cursor_{0};
  /** The producer's own. */
  alignas(APART_BYTES) std::uint64_t committed_ = 0;
  std::uint64_t knownGating_ = 0;
  /** Set once. */
  alignas(APART_BYTES) std::vector<Record> slots_;
  std::vector<Reader> readers_;
  const std::uint64_t mask_;
};
