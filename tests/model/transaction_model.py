#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A model of one write transaction that puts several roots into its row.

A large transaction writes pages as it goes: a private tree in memory's sight only, published when
its root is put into the row. Savepoints, and a COMMIT that SQLite answers with BUSY, make the row
go back to roots put there earlier. All orders of four operations, two savepoints, ROLLBACK TO and
failed COMMITs are tried; the tree is one page that holds the list of operations.

    immutable  a page that a root in the row has named is not rewritten in this transaction
    savepoint  the private tree is published at every savepoint
    compare    it is published after every statement, and a row that is not what was put there last
               says that it was rolled back: begin again from the row. Needed where xRollbackTo does
               not arrive, as for a table created in the same transaction

Run by ctest; prints the states searched.
"""
import sys
from collections import deque, namedtuple

PAGES = 9
OPERATIONS = 4
SAVEPOINTS = 2

# A tree: the operations that it holds, and the page that should say so.
Tree = namedtuple("Tree", "operations page")
# The row and the outbox, as SQLite keeps and restores them.
View = namedtuple("View", "tree rows")
# truth: the operations that the transaction consists of; saved: (view, truth) per savepoint; tree:
# the private one; put: the tree put into the row last; own: pages written; named: published ones.
State = namedtuple("State", "pages view truth saved tree put own named next")


class Model:
    def __init__(self, immutable=True, savepoint=True, compare=False, told=True):
        self.immutable, self.savepoint = immutable, savepoint
        self.compare, self.told = compare, told

    def publish(self, s):
        return s._replace(view=View(s.tree, tuple(
            row for row in s.view.rows if row not in s.tree.operations)),
            put=s.tree, named=s.named | {s.tree.page})

    def current(self, s):
        """The state as the next statement takes it."""
        if self.compare and s.view.tree != s.put:
            return s._replace(tree=s.view.tree, put=s.view.tree)
        return s

    def into_tree(self, s):
        """One more operation, and the rows of the outbox, go into the private tree; or None."""
        operations = s.tree.operations + tuple(
            row for row in s.view.rows if row not in s.tree.operations) + (s.next,)
        page = s.tree.page
        if page not in s.own or (self.immutable and page in s.named):
            free = [i for i, held in enumerate(s.pages) if held is None]
            if not free:
                return None
            page = free[0]
        pages = s.pages[:page] + (operations,) + s.pages[page + 1:]
        return s._replace(pages=pages, tree=Tree(operations, page), own=s.own | {page},
                          truth=s.truth + (s.next,), next=s.next + 1)

    def steps(self, s):
        s = self.current(s)
        if s.next < OPERATIONS:
            yield "operation into the outbox", s._replace(
                view=s.view._replace(rows=s.view.rows + (s.next,)), truth=s.truth + (s.next,),
                next=s.next + 1)
            after = self.into_tree(s)
            if after:
                yield "operation into the private tree", (
                    self.publish(after) if self.compare else after)
        if len(s.saved) < SAVEPOINTS:
            after = self.publish(s) if self.savepoint else s
            yield f"SAVEPOINT s{len(s.saved)}", after._replace(
                saved=after.saved + ((after.view, after.truth),))
        for i, (view, truth) in enumerate(s.saved):
            yield f"ROLLBACK TO s{i}", s._replace(
                view=view, truth=truth, saved=s.saved[:i + 1],
                tree=view.tree if self.told else s.tree)
        yield "COMMIT publishes the root, is BUSY", self.publish(s)

    def wrong(self, s):
        """What is wrong with the state, or None."""
        for view in [s.view] + [view for view, _ in s.saved]:
            if s.pages[view.tree.page] != view.tree.operations:
                return "a root in the row names a page that was rewritten"
        s = self.current(s)
        if set(s.tree.operations) | set(s.view.rows) != set(s.truth):
            return "the table is not what the transaction says"
        return None

    def run(self):
        empty = Tree((), 0)
        start = State(((),) + (None,) * (PAGES - 1), View(empty, ()), (), (), empty, empty,
                      frozenset(), frozenset([0]), 0)
        parents, queue = {start: None}, deque([start])
        while queue:
            state = queue.popleft()
            for label, after in self.steps(state):
                if after in parents:
                    continue
                parents[after] = (state, label)
                if self.wrong(after):
                    return len(parents), self.wrong(after), self.trace(parents, after)
                queue.append(after)
        return len(parents), None, []

    @staticmethod
    def trace(parents, state):
        labels = []
        while parents[state]:
            state, label = parents[state]
            labels.append(label)
        return labels[::-1]


def main():
    failed = False
    for name, model, right in [
            ("immutable and savepoint", Model(), True),
            ("compare, rollbacks not told", Model(compare=True, told=False), True),
            ("pages rewritten in place", Model(immutable=False), False),
            ("not published at savepoints", Model(savepoint=False), False),
            ("rollbacks not told, no compare", Model(told=False), False)]:
        states, wrong, trace = model.run()
        print(f"{name}: {states} states, {wrong or 'nothing wrong'}")
        for number, label in enumerate(trace, 1):
            print(f"  {number:2}. {label}")
        if (wrong is None) != right:
            print("FAILED: expected the opposite")
            failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main())
