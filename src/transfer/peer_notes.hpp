#pragma once
// What transfers tell of peers: whom they need, and who was good or bad to us.

#include <cstdint>
#include <utility>

#include "multiformats/peer_id.hpp"
#include "peers/reputation.hpp"

namespace warren::transfer {

/// Told on the core thread; must not call back into transfers.
class PeerNotes {
 public:
  virtual ~PeerNotes() = default;
  /// A transfer with the peer runs, in either direction, until as many transfer_ended(): its
  /// connection should stay.
  virtual void transfer_began(const PeerId& peer) = 0;
  virtual void transfer_ended(const PeerId& peer) = 0;
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
  TransferMark(PeerNotes* notes, PeerId peer) : notes_(notes), peer_(std::move(peer)) {
    if (notes_ != nullptr) notes_->transfer_began(peer_);
  }
  ~TransferMark() { end(); }
  TransferMark(TransferMark&& other) noexcept
      : notes_(std::exchange(other.notes_, nullptr)), peer_(std::move(other.peer_)) {}
  TransferMark& operator=(TransferMark&& other) noexcept {
    if (this == &other) return *this;
    end();
    notes_ = std::exchange(other.notes_, nullptr);
    peer_ = std::move(other.peer_);
    return *this;
  }

 private:
  void end() {
    if (auto* notes = std::exchange(notes_, nullptr)) notes->transfer_ended(peer_);
  }
  PeerNotes* notes_ = nullptr;
  PeerId peer_;
};

}  // namespace warren::transfer
