#pragma once
// What transfers tell of peers: whom they need, and who was good or bad to us.

#include <cstdint>
#include <utility>

#include "multiformats/peer_id.hpp"
#include "peers/reputation.hpp"

namespace warren::transfer {

enum class TransferDirection : std::uint8_t {
  kFrom,  ///< We get what the peer has.
  kTo,    ///< The peer gets what we have.
};

/// Told on the core thread; must not call back into transfers.
class PeerNotes {
 public:
  virtual ~PeerNotes() = default;
  /// A transfer with the peer runs in this direction until as many transfer_ended(): its connection
  /// should stay.
  virtual void transfer_began(const PeerId& peer, TransferDirection direction) = 0;
  virtual void transfer_ended(const PeerId& peer, TransferDirection direction) = 0;
  /// It gave us `bytes` of chunks that verified.
  virtual void gave(const PeerId& peer, std::uint64_t bytes) = 0;
  /// We gave it `bytes` of chunks.
  virtual void took(const PeerId& peer, std::uint64_t bytes) = 0;
  virtual void noted(const PeerId& peer, peers::ReputationEvent event) = 0;
};

/// One running transfer with a peer, as long as it lives. May be empty.
class TransferMark {
 public:
  TransferMark() = default;
  TransferMark(PeerNotes* notes, PeerId peer, TransferDirection direction)
      : notes_(notes), peer_(std::move(peer)), direction_(direction) {
    if (notes_ != nullptr) notes_->transfer_began(peer_, direction_);
  }
  ~TransferMark() { end(); }
  TransferMark(TransferMark&& other) noexcept
      : notes_(std::exchange(other.notes_, nullptr)),
        peer_(std::move(other.peer_)),
        direction_(other.direction_) {}
  TransferMark& operator=(TransferMark&& other) noexcept {
    if (this == &other) return *this;
    end();
    notes_ = std::exchange(other.notes_, nullptr);
    peer_ = std::move(other.peer_);
    direction_ = other.direction_;
    return *this;
  }

 private:
  void end() {
    if (auto* notes = std::exchange(notes_, nullptr)) notes->transfer_ended(peer_, direction_);
  }
  PeerNotes* notes_ = nullptr;
  PeerId peer_;
  TransferDirection direction_ = TransferDirection::kFrom;
};

}  // namespace warren::transfer
