#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A model of the overlay: what one connection keeps in memory of the outbox, and for how long.

The state of a table in a snapshot is its root and the outbox rows past it. A connection keeps that
in memory and brings it up to date when it reads. It may be told too little for that: a transaction
that dropped the table after it wrote gets no xRollback, and one that only writes other tables gets
no xBegin. All orders of events of one connection (A) and everybody else (B) are tried, and every
read is compared with the snapshot.

    token  a row is taken for the one that was applied only if its random token is the same
    dirty  what was made in a write transaction is dropped at xBegin, xRollback, xRollbackTo, and
           when the connection reads outside a write transaction

Either of the two would do if every callback arrived. Run by ctest; prints the states searched.
"""
import sys
from collections import deque, namedtuple

ROWS_MAX = 5   # rows inserted in all
FOLDS_MAX = 2  # folds in all
BEGINS_MAX = 3  # write transactions of A

# What one version of the host says: root id, seq folded, tokens in the root, rows (seq, token).
View = namedtuple("View", "root seq folded rows")
# What A remembers: root id, tokens, last row applied (None if it has none), made while writing.
Cache = namedtuple("Cache", "root tokens last dirty")
State = namedtuple("State", "committed view saved cache rows folds begins")


def content(view):
    return view.folded | {token for seq, token in view.rows if seq > view.seq}


def insert(view, token):
    seq = max([view.seq] + [row[0] for row in view.rows]) + 1
    return view._replace(rows=view.rows + ((seq, token),)), (seq, token)


def fold(view, root):
    """Everything goes into the root; the newest row stays, so that no seq comes twice."""
    newest = view.rows[-1]
    return View(root, newest[0], frozenset(content(view)), (newest,))


class Model:
    def __init__(self, token=True, dirty=True, all_calls=False):
        self.token, self.dirty, self.all_calls = token, dirty, all_calls

    def refreshed(self, cache, view, writing):
        """The cache as the connection brings it up to the view."""
        if cache and self.dirty and cache.dirty and not writing:
            cache = None
        if cache and cache.root == view.root and self.row_is_there(cache.last, view):
            last, tokens = cache.last, set(cache.tokens)
            for row in view.rows:
                if row[0] > (last[0] if last else view.seq):
                    tokens.add(row[1])
                    last = row
            dirty = cache.dirty or writing
        else:
            tokens = content(view)
            past = [row for row in view.rows if row[0] > view.seq]
            last, dirty = (past[-1] if past else None), writing
        return Cache(view.root, frozenset(tokens), last, dirty)

    def row_is_there(self, last, view):
        if last is None:
            return True
        if self.token:
            return last in view.rows
        return last[0] in [row[0] for row in view.rows]

    def told(self, state):
        """A callback that says that something began or was undone: the dirty state goes."""
        if self.dirty and state.cache and state.cache.dirty:
            return state._replace(cache=None)
        return state

    def maybe_told(self, label, state):
        yield label, self.told(state)
        if not self.all_calls:
            yield label + ", which the table is not told", state

    def steps(self, s):
        writing = s.view is not None
        seen = s.view if writing else s.committed
        yield "A reads", s._replace(cache=self.refreshed(s.cache, seen, writing))
        if not writing:
            if s.begins < BEGINS_MAX:
                yield from self.maybe_told(
                    "A begins to write", s._replace(view=s.committed, begins=s.begins + 1))
            if s.rows < ROWS_MAX:
                yield "B commits a row", s._replace(
                    committed=insert(s.committed, s.rows)[0], rows=s.rows + 1)
            if s.folds < FOLDS_MAX and s.committed.rows:
                yield "B folds", s._replace(
                    committed=fold(s.committed, s.folds + 1), folds=s.folds + 1)
            return
        if s.rows < ROWS_MAX:
            cache = self.refreshed(s.cache, s.view, True)
            view, row = insert(s.view, s.rows)
            cache = Cache(cache.root, cache.tokens | {s.rows}, row, True)
            yield "A inserts", s._replace(view=view, cache=cache, rows=s.rows + 1)
        if s.folds < FOLDS_MAX and s.view.rows:
            yield "A folds", s._replace(view=fold(s.view, s.folds + 1), folds=s.folds + 1)
        if s.saved is None:
            yield "A sets a savepoint", s._replace(saved=s.view)
        else:
            yield from self.maybe_told("A rolls back to it", s._replace(view=s.saved))
        yield "A commits", s._replace(committed=s.view, view=None, saved=None)
        yield from self.maybe_told("A rolls back", s._replace(view=None, saved=None))

    def run(self):
        """The number of states, and the trace of a wrong read or None."""
        start = State(View(0, 0, frozenset(), ()), None, None, None, 0, 0, 0)
        parents, queue = {start: None}, deque([start])
        while queue:
            state = queue.popleft()
            for label, after in self.steps(state):
                wrong = label == "A reads" and after.cache.tokens != content(
                    after.committed if after.view is None else after.view)
                if wrong:
                    trace = [label]
                    while parents[state]:
                        state, label = parents[state]
                        trace.append(label)
                    return len(parents), trace[::-1]
                if after not in parents:
                    parents[after] = (state, label)
                    queue.append(after)
        return len(parents), None


def main():
    failed = False
    for name, model, right in [
            ("both rules", Model(), True),
            ("token alone", Model(dirty=False), True),
            ("dirty alone, every callback arrives", Model(token=False, all_calls=True), True),
            ("dirty alone", Model(token=False), False),
            ("neither, every callback arrives", Model(False, False, True), False)]:
        states, trace = model.run()
        print(f"{name}: {states} states, " + ("no wrong read" if trace is None else "wrong read"))
        for number, label in enumerate(trace or [], 1):
            print(f"  {number:2}. {label}")
        if (trace is None) != right:
            print("FAILED: expected the opposite")
            failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main())
