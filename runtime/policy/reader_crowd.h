// ReaderCrowd: whether several threads wait for reads at a time. Then the disk has enough to do,
// and what the shard's thread does is what they wait for next.
#ifndef USERPAGER_POLICY_READER_CROWD_H_
#define USERPAGER_POLICY_READER_CROWD_H_

namespace userpager {

class ReaderCrowd {
 public:
  // A read that somebody waits for has begun, or has ended.
  void OnBegun() {
    ++under_way_;
    average_ += under_way_ - average_ / kAveraged;
  }
  void OnEnded() { --under_way_; }

  // On the average of the last reads, as their number changes all the time.
  bool is_there() const { return average_ >= kMany * kAveraged; }

 private:
  static constexpr unsigned kMany = 3;
  static constexpr unsigned kAveraged = 16;

  unsigned under_way_ = 0;
  unsigned average_ = 0;  // times kAveraged
};

}  // namespace userpager

#endif  // USERPAGER_POLICY_READER_CROWD_H_
