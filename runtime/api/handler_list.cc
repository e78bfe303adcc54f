#include "runtime/api/handler_list.h"

#include "runtime/base/arena.h"

namespace userpager {

HandlerList::Item* HandlerList::Add(bool first, PVECTORED_EXCEPTION_HANDLER handler) {
  Item* entry = ArenaNew<Item>();
  if (entry == nullptr) return nullptr;
  entry->handler = handler;
  LockHolder hold(lock_);
  Item** link = &first_;
  while (!first && *link != nullptr) link = &(*link)->next;
  entry->next = *link;
  *link = entry;
  return entry;
}

bool HandlerList::Remove(const void* handle) {
  Item* unused = nullptr;
  {
    LockHolder hold(lock_);
    Item* entry = *LinkTo(handle);
    if (entry == nullptr || entry->removed) return false;
    entry->removed = true;
    unused = TakeIfUnused(entry);
  }
  ArenaDelete(unused);
  return true;
}

HandlerList::Item* HandlerList::Advance(Item* from) {
  Item* next = nullptr;
  Item* unused = nullptr;
  {
    LockHolder hold(lock_);
    next = from == nullptr ? first_ : from->next;
    while (next != nullptr && next->removed) next = next->next;
    if (next != nullptr) ++next->users;
    if (from != nullptr) {
      --from->users;
      unused = TakeIfUnused(from);
    }
  }
  ArenaDelete(unused);
  return next;
}

void HandlerList::Leave(Item* entry) {
  Item* unused = nullptr;
  {
    LockHolder hold(lock_);
    --entry->users;
    unused = TakeIfUnused(entry);
  }
  ArenaDelete(unused);
}

HandlerList::Item** HandlerList::LinkTo(const void* entry) {
  Item** link = &first_;
  while (*link != nullptr && *link != entry) link = &(*link)->next;
  return link;
}

HandlerList::Item* HandlerList::TakeIfUnused(Item* entry) {
  if (!entry->removed || entry->users != 0) return nullptr;
  *LinkTo(entry) = entry->next;
  return entry;
}

}  // namespace userpager
