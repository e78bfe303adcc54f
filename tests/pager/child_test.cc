// Forked children that page on their own: Pager's part of it, without the preload library. The
// children are of a process whose transfers can be held under way, and each looks at all that it
// has got.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "gtest/gtest.h"
#include "runtime/platform/address_map.h"
#include "tests/support/corrupt_slot.h"
#include "tests/support/eventually.h"
#include "tests/support/gated_pager.h"

namespace userpager {
namespace {

class Child : public GatedPager {
 protected:
  static constexpr uint64_t kPages = 32;
  static constexpr PageCount kSlots{1024};  // of a child's own file
  using Life = std::function<std::string()>;

  enum class Kind { kPaged, kPlain };

  struct Forked {
    pid_t id = -1;
    int told = -1;  // what is wrong with it, until it ends
  };

  static void SetUpTestSuite() { LetChildrenInherit(); }

  // Forks. The child does `too_early` while it has no pager yet, then lives, and ends.
  Forked Fork(const Life& life, Kind kind = Kind::kPaged,
              const std::function<void()>& too_early = [] {}) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    std::unique_lock hold(pager_->tree_lock());
    EXPECT_EQ((*pager_)->Freeze(), 0);
    const bool had_failed = HasFailure();
    const pid_t id = fork();
    if (id == 0) {
      signal(SIGPIPE, SIG_IGN);
      dup2(ends[1], STDERR_FILENO);
      // Its parent's ends with its parent.
      if (tells_ >= 0) close(tells_);
      tells_ = ends[1];
      too_early();
      std::string problem = kind == Kind::kPaged ? GoOn() : FillAll();
      hold.unlock();
      if (problem.empty()) problem = life();
      if (problem.empty() && HasFailure() && !had_failed) problem = "an expectation was not met";
      (void)!write(ends[1], problem.data(), problem.size());
      _exit(problem.empty() ? 0 : 1);
    }
    (*pager_)->Thaw();
    close(ends[1]);
    return {id, ends[0]};
  }

  // Waits for its end. What it has told, and how it ended where not by itself.
  static std::string EndOf(const Forked& child) {
    std::string told;
    char part[1024];
    for (ssize_t got; (got = read(child.told, part, sizeof part)) > 0;) {
      told.append(part, static_cast<size_t>(got));
    }
    close(child.told);
    int status = 0;
    if (waitpid(child.id, &status, 0) != child.id) return told + " (no child)";
    if (WIFSIGNALED(status)) told += " (signal " + std::to_string(WTERMSIG(status)) + ")";
    return told;
  }

  static std::string WhatIsWrong(const Vad* vad, uint64_t first_word = 0) {
    for (uint64_t i = 0; i < kPages; ++i) {
      const PageIndex page = vad->range.begin + PageCount(i);
      const bool right = first_word == 0 ? IsFilled(page) : IsFilledBut(page, first_word);
      if (!right) return "page " + std::to_string(i) + " is wrong";
    }
    return "";
  }
  static void Change(const Vad* vad, uint64_t first_word) {
    for (uint64_t i = 0; i < kPages; ++i) FirstWord(vad->range.begin + PageCount(i)) = first_word;
  }
  void ReleaseAll() {
    while (!pager_->vads().empty()) pager_->Release(pager_->vads().back());
  }

 private:
  int tells_ = -1;  // of a child: where it tells

  // In a child, with the lock of the tree: as Runtime and Reservations do it.
  std::string GoOn() {
    Pager& pager = **pager_;
    LogLine error;
    pager.BeginInChild();
    Errno failed = pager.OpenInChild(&error);
    gate_->ForgetInChild();
    for (Vad* vad : pager_->vads()) {
      if (failed == 0) failed = pager.AdoptInChild(*vad, PageRange(), &error);
    }
    if (failed == 0) failed = pager.FinishInChild(&error);
    if (failed != 0) return std::string("not adopted: ") + error.c_str();
    pager.ThawInChild();
    if (pager.GrowPageFile(kSlots) != 0) return "no room for its page file";
    if (pager.StartInChild(nullptr, &error) != 0) return error.c_str();
    return "";
  }

  std::string FillAll() {
    Pager& pager = **pager_;
    pager.BeginInChild();
    pager.CloseInChild();
    for (Vad* vad : pager_->vads()) {
      if (!pager.FillChild(*vad, vad->range)) return "not filled";
    }
    pager.EndInChild();
    return "";
  }
};

// Pages wherever they can be: in the file, parked, in use, never touched.
TEST_P(Child, HasWhatItsParentHad) {
  Vad* out = ReserveFilled(kPages);
  ASSERT_TRUE(pager_->PushOut(*out));
  Vad* parked = ReserveFilled(kPages);
  Trim(parked);
  Vad* used = ReserveFilled(kPages);
  Vad* fresh = pager_->Reserve(kPages);
  for (const Kind kind : {Kind::kPaged, Kind::kPlain}) {
    const Forked child = Fork([&]() -> std::string {
      for (const Vad* vad : {out, parked, used}) {
        if (const std::string wrong = WhatIsWrong(vad); !wrong.empty()) return wrong;
      }
      for (uint64_t i = 0; i < kPages; ++i) {
        if (FirstWord(fresh->range.begin + PageCount(i)) != 0) return "no zeros";
      }
      for (const Vad* vad : {out, parked, used}) Change(vad, 1);
      for (Vad* vad : {out, parked, used}) {
        if (kind == Kind::kPaged && !pager_->PushOut(*vad)) return "pages stay";
        if (const std::string wrong = WhatIsWrong(vad, 1); !wrong.empty()) return wrong;
      }
      if (kind == Kind::kPlain) return "";
      if ((*pager_)->frames().peak().value() > kLimitPages) return "the limit was passed";
      return IsSound() ? "" : "it is inconsistent";
    }, kind);
    Change(used, 2);
    EXPECT_EQ(EndOf(child), "");
    for (const Vad* vad : {out, parked}) EXPECT_EQ(WhatIsWrong(vad), "");
    EXPECT_EQ(WhatIsWrong(used, 2), "");
    EXPECT_TRUE(IsSound());
    // As they were.
    for (const Vad* vad : {out, parked, used}) {
      for (uint64_t i = 0; i < kPages; ++i) Fill(vad->range.begin + PageCount(i));
    }
    ASSERT_TRUE(pager_->PushOut(*out));
    Trim(parked);
  }
}

TEST_P(Child, HasWhatIsBeingRead) {
  Vad* vad = ReserveFilled();
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  const Forked child = Fork([&]() -> std::string {
    if (StateOf(vad) != PageState::kPagedOut) return "it is not in the file";
    if (!IsFilled(vad->range.begin)) return "it is wrong";
    return IsSound() ? "" : "it is inconsistent";
  });
  EXPECT_EQ(EndOf(child), "");
  EXPECT_FALSE(reader->done()) << "it was the parent's read";
  OpenGates();
  EXPECT_EQ(reader->Join().signal, 0);
  EXPECT_TRUE(IsFilled(vad->range.begin));
  EXPECT_TRUE(IsSound());
}

// The page is gone, so the child does not keep the slot for it either, nor the file.
TEST_P(Child, KeepsNothingOfWhatIsBeingReadForNobody) {
  Vad* vad = ReserveFilled();
  std::unique_ptr<PendingAccess> reader;
  ASSERT_TRUE(HoldReadOf(vad, &reader));
  Decommit(vad);
  EXPECT_EQ(reader->Join().signal, SIGSEGV);
  int stay[2];
  ASSERT_EQ(pipe2(stay, O_CLOEXEC), 0);
  const Forked child = Fork([&]() -> std::string {
    close(stay[1]);
    Commit(vad);
    if (FirstWord(vad->range.begin) != 0) return "no zeros";
    if (!IsSound()) return "it is inconsistent";
    ReleaseAll();
    char nothing;
    return read(stay[0], &nothing, 1) == 0 ? "" : "not told to end";
  });
  OpenGates();
  ReleaseAll();
  EXPECT_TRUE(Eventually([&] { return (*pager_)->page_file().used() == PageCount(0); }))
      << "the child lives on and has nothing";
  for (const int end : stay) close(end);
  EXPECT_EQ(EndOf(child), "");
}

TEST_P(Child, HasWhatIsBeingWritten) {
  Vad* vad = ReserveFilled();
  ASSERT_TRUE(HoldWriteOf(vad));
  const Forked child = Fork([&]() -> std::string {
    const PageState state = StateOf(vad);
    if (state == PageState::kWriting || state == PageState::kWritingInPlace) {
      return "it waits for the parent's write";
    }
    if (!IsFilled(vad->range.begin)) return "it is wrong";
    if (!pager_->PushOut(*vad)) return "it stays";
    if (!IsFilled(vad->range.begin)) return "it is wrong, read back";
    return IsSound() ? "" : "it is inconsistent";
  });
  EXPECT_EQ(EndOf(child), "");
  const Forked plain = Fork([&]() -> std::string {
    return IsFilled(vad->range.begin) ? "" : "it is wrong, in plain memory";
  }, Kind::kPlain);
  EXPECT_EQ(EndOf(plain), "");
  OpenGates();
  EXPECT_TRUE(IsFilled(vad->range.begin));
  EXPECT_TRUE(IsSound());
}

// The kernel has answered with zeros, as nobody else was there to answer.
TEST_P(Child, IsStoppedWhereAPageWasTouchedTooEarly) {
  Vad* vads[] = {ReserveFilled(kPages), ReserveFilled(kPages)};
  ASSERT_TRUE(pager_->PushOut(*vads[0]));
  Trim(vads[1]);
  for (const Vad* vad : vads) {
    const PageIndex page = vad->range.begin + PageCount(kPages / 2);
    if (vad->Load(page).mapped()) continue;  // without UFFDIO_MOVE nothing is parked
    const std::string end = EndOf(Fork([] { return "it goes on"; }, Kind::kPaged, [page] {
      if (FirstWord(page) != 0) _exit(2);
    }));
    EXPECT_NE(end.find("a page was touched between fork and the pager's handler in the child"),
              std::string::npos)
        << end;
    EXPECT_NE(end.find("(signal " + std::to_string(SIGABRT) + ")"), std::string::npos) << end;
    EXPECT_EQ(WhatIsWrong(vad), "") << "of the parent";
  }
  EXPECT_TRUE(IsSound());
}

// Plain memory, wherever the pages are that it is filled from, and whatever may touch them.
TEST_P(Child, HasWhatNobodyMayTouchInPlainMemory) {
  Vad* vad = ReserveFilled(kPages);
  ASSERT_TRUE(pager_->PushOut(*vad));
  Protect(vad, kNoAccess);
  // One of them is in the kernel's hands, between others that are read from the file together.
  EXPECT_EQ(TryRead(PointerTo(vad->range.begin + PageCount(kPages / 2))).signal, SIGSEGV);
  // With room in memory, so that what is offered is not given up.
  ASSERT_EQ((*pager_)->SetMemoryLimit(PageCount(2 * kLimitPages)), 0);
  Vad* offered = ReserveFilled(kPages);
  {
    std::lock_guard hold(pager_->tree_lock());
    ASSERT_EQ((*pager_)->OfferPages(*offered, offered->range, 1), 0);
  }
  const bool is_offered = StateOf(offered) == PageState::kOffered;
  const Forked child = Fork([&]() -> std::string {
    const std::string wrong = WhatIsWrong(vad);
    return wrong.empty() && is_offered ? WhatIsWrong(offered) : wrong;
  }, Kind::kPlain);
  EXPECT_EQ(EndOf(child), "");
  Protect(vad, kReadWrite);
  EXPECT_EQ(WhatIsWrong(vad), "");
  EXPECT_TRUE(IsSound());
}

// In memory that the program has locked no guard is installed, and access is taken away instead.
// The child has that as it was, although nothing is locked there until the child locks it itself.
TEST_P(Child, GetsBackWhatWasRefusedInLockedMemory) {
  Vad* vad = pager_->Reserve(kPages, kReadWrite, false);
  const auto page = [&](uint64_t i) { return vad->range.begin + PageCount(i); };
  const auto lock = [&] {
    // The kernel's own call: the sanitizers' does nothing.
    return syscall(SYS_mlock2, PointerTo(page(0)), BytesOf(vad->range.count()), MLOCK_ONFAULT) == 0;
  };
  const auto is_refused = [&](uint64_t i) { return TryRead(PointerTo(page(i))).signal == SIGSEGV; };
  const auto commit = [&](PageRange range) {
    std::lock_guard hold(pager_->tree_lock());
    return (*pager_)->Commit(*vad, range, kReadWrite) == 0;
  };
  const auto use_all = [&]() -> std::string {
    if (!commit(vad->range)) return "not committed";
    for (uint64_t i = 0; i < kPages; ++i) {
      if (TryWrite(PointerTo(page(i)), i).signal != 0) return "page " + std::to_string(i);
    }
    return IsSound() ? "" : "it is inconsistent";
  };
  // The kernel asks the pager only beside pages that may be accessed.
  ASSERT_TRUE(commit(PageRange(page(kPages - 1), PageCount(1))));
  if (!lock()) GTEST_SKIP() << "mlock2 is not allowed here: " << strerror(errno);
  EXPECT_TRUE(is_refused(0));
  for (const bool locks : {false, true}) {
    EXPECT_EQ(EndOf(Fork([&]() -> std::string {
                if (locks && !lock()) return "not locked";
                if (!is_refused(0) || !is_refused(1)) return "not refused";
                return use_all();
              })),
              "")
        << locks;
  }
  EXPECT_TRUE(is_refused(0));
  EXPECT_EQ(use_all(), "");
  EXPECT_EQ(syscall(SYS_munlock, PointerTo(page(0)), BytesOf(vad->range.count())), 0);
}

// The file has lost what one of the pages held: the child is not to go on with something else.
TEST_P(Child, IsNotFilledFromAFileThatHoldsSomethingElse) {
  Vad* vad = ReserveFilled(kPages);
  ASSERT_TRUE(pager_->PushOut(*vad));
  const PageFile& file = (*pager_)->page_file();
  const SlotIndex slot = vad->Load(vad->range.begin + PageCount(kPages / 2)).slot();
  ASSERT_NO_FATAL_FAILURE(CorruptSlot(file, slot));
  const std::string end = EndOf(Fork([] { return "it goes on"; }, Kind::kPlain));
  EXPECT_NE(end.find("does not hold what was written"), std::string::npos) << end;
  EXPECT_NE(end.find("not filled"), std::string::npos) << end;
  ASSERT_NO_FATAL_FAILURE(CorruptSlot(file, slot));
  EXPECT_EQ(WhatIsWrong(vad), "");
  EXPECT_TRUE(IsSound());
}

// A child that reads from its parent's file loses what that has lost, and nothing else of it.
TEST_P(Child, LosesThePageAloneThatItsParentsFileHasLost) {
  Vad* vad = ReserveFilled(kPages);
  ASSERT_TRUE(pager_->PushOut(*vad));
  const PageIndex lost = vad->range.begin + PageCount(kPages / 2);
  const SlotIndex slot = vad->Load(lost).slot();
  const PageFile& file = (*pager_)->page_file();
  ASSERT_NO_FATAL_FAILURE(CorruptSlot(file, slot));
  const std::string end = EndOf(Fork([&]() -> std::string {
    if (TryRead(PointerTo(lost)).signal != SIGBUS) return "it has something else";
    for (PageIndex page = vad->range.begin; page < vad->range.end; ++page) {
      if (page != lost && !IsFilled(page)) return "another page is wrong";
    }
    return IsSound() ? "all others are right" : "it is inconsistent";
  }));
  EXPECT_NE(end.find("lost the page"), std::string::npos) << end;
  EXPECT_NE(end.find("all others are right"), std::string::npos) << end;
  ASSERT_NO_FATAL_FAILURE(CorruptSlot(file, slot));
  EXPECT_EQ(WhatIsWrong(vad), "");
  EXPECT_TRUE(IsSound());
}

// Where the program has mapped something of its own, the child has that, and a pager of the rest.
TEST_P(Child, HasWhatTheProgramHasMappedOverSomePages) {
  constexpr uint64_t kWhole = kGranularityPages;
  Vad* vad = ReserveFilled(kWhole);
  const PageRange ends[] = {PageRange(vad->range.begin, PageCount(2)),
                            PageRange(vad->range.end - PageCount(3), PageCount(3))};
  for (const PageRange end : ends) {
    std::lock_guard hold(pager_->tree_lock());
    (*pager_)->Decommit(*vad, end);
    (*pager_)->GiveUp(*vad, end);
    ASSERT_NE(mmap(PointerTo(end.begin), BytesOf(end.count()), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
              MAP_FAILED);
    FirstWord(end.begin) = 5;
  }
  const auto look = [&]() -> std::string {
    for (const PageRange end : ends) {
      if (FirstWord(end.begin) != 5) return "what was mapped over it has gone";
    }
    for (PageIndex page = ends[0].end; page < ends[1].begin; ++page) {
      if (!IsFilled(page)) return "a page is wrong";
    }
    return IsSound() ? "" : "it is inconsistent";
  };
  EXPECT_EQ(EndOf(Fork([&]() -> std::string {
              if (const std::string wrong = look(); !wrong.empty()) return wrong;
              return pager_->PushOut(*vad, PageRange(ends[0].end, ends[1].begin)) ? look()
                                                                                  : "pages stay";
            })),
            "");
  EXPECT_EQ(look(), "");
  for (const PageRange end : ends) {
    std::lock_guard hold(pager_->tree_lock());
    ASSERT_EQ((*pager_)->TakeBack(*vad, end), 0);
  }
  EXPECT_TRUE(IsSound());
}

// A process whose parent has ended reads the files of its grandparent and of its parent, and is
// what keeps the slots of both. Its own child reads a third.
TEST_P(Child, ReadsTheFilesOfAllItsAncestorsWhenItsParentHasGone) {
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  Vad* vads[] = {ReserveFilled(kPages), ReserveFilled(kPages), ReserveFilled(kPages)};
  for (Vad* vad : vads) ASSERT_TRUE(pager_->PushOut(*vad));
  int go[2];
  int word[2];
  ASSERT_EQ(pipe2(go, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(word, O_CLOEXEC), 0);
  const auto look = [&](uint64_t second, uint64_t third) -> std::string {
    std::string wrong = WhatIsWrong(vads[0]);
    if (wrong.empty()) wrong = WhatIsWrong(vads[1], second);
    if (wrong.empty()) wrong = WhatIsWrong(vads[2], third);
    return wrong;
  };
  const auto live_on = [&]() -> std::string {
    char nothing;
    if (read(go[0], &nothing, 1) != 0) return "not told to go on";
    if (const std::string wrong = look(1, 1); !wrong.empty()) return wrong;
    Change(vads[2], 2);
    if (!pager_->PushOut(*vads[2])) return "pages stay";
    const std::string of_child = EndOf(Fork([&] { return look(1, 2); }));
    return of_child.empty() ? look(1, 2) : "its child: " + of_child;
  };
  const Forked middle = Fork([&]() -> std::string {
    close(go[1]);
    for (Vad* vad : {vads[1], vads[2]}) {
      Change(vad, 1);
      if (!pager_->PushOut(*vad)) return "pages stay";
    }
    const Forked last = Fork([&] {
      const std::string problem = live_on();
      (void)!write(word[1], problem.data(), problem.size());
      return problem;
    });
    (void)!write(word[1], &last.id, sizeof last.id);
    return "";
  });
  close(word[1]);
  EXPECT_EQ(EndOf(middle), "");
  Forked last;
  ASSERT_EQ(read(word[0], &last.id, sizeof last.id), static_cast<ssize_t>(sizeof last.id));
  last.told = word[0];
  ReleaseAll();
  EXPECT_GE((*pager_)->page_file().used().value(), kPages) << "somebody still reads them";
  close(go[1]);
  close(go[0]);
  EXPECT_EQ(EndOf(last), "");
  EXPECT_TRUE(Eventually([&] { return (*pager_)->page_file().used() == PageCount(0); }))
      << (*pager_)->page_file().used().value() << " slots have not come back";
  EXPECT_TRUE(IsSound());
  EXPECT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Roads, Child,
    testing::Values(Road{true, IoEngineKind::kUring, 1}, Road{true, IoEngineKind::kThreads, 1},
                    Road{false, IoEngineKind::kUring, 1},
                    Road{.move = true, .io = IoEngineKind::kUring, .shards = 1, .encrypt = true}),
    [](const auto& tested) { return tested.param.Name(); });

}  // namespace
}  // namespace userpager
