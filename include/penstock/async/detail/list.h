#pragma once

// An intrusive, doubly linked list. Invariant: a hook is in at most one list, and leaves it when destroyed, so a
// list never points to a dead element. Neither list nor hook allocates.

namespace penstock::detail {

struct list_hook {
  list_hook() noexcept = default;
  list_hook(const list_hook&) = delete;
  list_hook& operator=(const list_hook&) = delete;
  ~list_hook() { unlink(); }

  bool linked() const noexcept { return next != nullptr; }
  void unlink() noexcept {
    if (next == nullptr) return;
    previous->next = next;
    next->previous = previous;
    next = previous = nullptr;
  }

  list_hook* next = nullptr;
  list_hook* previous = nullptr;
};

/// A list of T, which derives from Hook, which derives from list_hook. Hooks apart allow several lists for one T.
template <class T, class Hook = list_hook>
class list {
 public:
  list() noexcept { head_.next = head_.previous = &head_; }
  list(const list&) = delete;
  list& operator=(const list&) = delete;
  ~list() {
    while (!empty()) head_.next->unlink();
    head_.next = head_.previous = nullptr;
  }

  bool empty() const noexcept { return head_.next == &head_; }
  T& front() noexcept { return element(head_.next); }
  void push_back(T& value) noexcept {
    list_hook& hook = static_cast<Hook&>(value);
    hook.previous = head_.previous;
    hook.next = &head_;
    head_.previous->next = &hook;
    head_.previous = &hook;
  }
  /// The element behind another of this list; null behind the last.
  T* after(T& value) noexcept {
    list_hook* next = static_cast<Hook&>(value).next;
    return next == &head_ ? nullptr : &element(next);
  }
  T& pop_front() noexcept {
    T& value = front();
    static_cast<Hook&>(value).unlink();
    return value;
  }
  /// Takes all elements of another list, behind the present ones.
  void splice_back(list& other) noexcept {
    while (!other.empty()) push_back(other.pop_front());
  }
  template <class Visit>
  void for_each(Visit visit) {
    for (list_hook* hook = head_.next; hook != &head_;) {
      T& value = element(hook);
      hook = hook->next;
      visit(value);
    }
  }

 private:
  static T& element(list_hook* hook) noexcept { return static_cast<T&>(static_cast<Hook&>(*hook)); }

  list_hook head_;
};

}  // namespace penstock::detail
