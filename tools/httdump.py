#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Reads .htt files: a second reader of the format, written from docs/format.md alone.

    httdump.py [--rows | --pages | --check] [--after-reboot] FILE

    (nothing)       a summary of the newest state
    --rows          every row as a line ["key type", key, "value type", value]; blobs in hex, a row
                    value as a list of ["type", value]; text that is not UTF-8 in surrogate escapes
    --pages         a line for each page: what it is and what it holds
    --check         a line for each problem, or "ok"
    --after-reboot  takes the system as started anew: weak meta pages do not count

Exit status: 0; 1 when there are problems (without --check they are told on stderr); 2 when FILE
cannot be read as an htt file. It takes no lock: while others write, it may ask to be started again.

Everything is checked whatever is asked for: checksums, the structure of each page, that each page
is used once, that records stand where their hash leads, and the counts of the root record. Section
numbers in comments are those of docs/format.md. httformat.py knows the bytes of each structure;
here is what follows from page to page.
"""
import argparse
import json
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from httformat import (  # noqa: E402
    HEAD, KEY_CLASS, LOG2_MAX, LOG2_MIN, MAGIC, NAMES, RUN_HEAD, Damage, Meta, Node, demand,
    hash_of, index_nodes, key_of, mix, records_of, u16, u32, u64, value_of)
from xxh3 import xxh3_64  # noqa: E402

NODES_ON_PATH_MAX = 40


class Unreadable(Exception):
    """Not an htt file, or one that must not be read."""


# ------------------------------------------------------------ opening (3)

def boot_id():
    """16 bytes; zeros where the system has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return bytes.fromhex(file.read().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)


def read_metas(file):
    """Both meta pages. The first tells where the second is; else every page size is tried."""
    data = os.pread(file, 2**LOG2_MAX, 0)
    log2 = data[21] if len(data) > 21 and data[:8] == MAGIC else 0
    first = Meta(data[:2**log2] if LOG2_MIN <= log2 <= LOG2_MAX else data, 0,
                 log2 if LOG2_MIN <= log2 <= LOG2_MAX else LOG2_MIN)
    if first.status in ("valid", "newer"):
        return first, Meta(os.pread(file, 2**log2, 2**log2), 1, log2)
    tries = [Meta(os.pread(file, 2**n, 2**n), 1, n) for n in range(LOG2_MIN, LOG2_MAX + 1)]
    for status in ("valid", "newer", "damaged"):
        for second in tries:
            if second.status == status:
                return first, second
    return first, tries[0]


def cut_short(data):
    """Of a file without a valid meta page: is it a creation that was cut short?"""
    if not data:
        return True
    log2 = LOG2_MIN
    while 2 * 2**log2 < len(data):
        log2 += 1
    second = data[2**log2:]
    if not second or log2 > LOG2_MAX or any(data[:2**log2]):
        return False
    begun = second[:8] == MAGIC and (len(second) < 2**LOG2_MIN or second[21] == log2)
    return (begun or not any(second[:8])) and not any(second[208:1760] + second[3808:])


def choose_meta(file, boot):
    """(the meta page that holds, the other)."""
    metas = read_metas(file)
    for meta in metas:
        if meta.status == "newer":
            raise Unreadable(f"page {meta.number}: {meta.reason}: a newer library is needed")
    count = sorted((m for m in metas if m.counts(boot)), key=lambda meta: -meta.counter)
    if count:
        return count[0], metas[1 - count[0].number]
    if cut_short(os.pread(file, 2 * 2**LOG2_MAX + 1, 0)):
        raise Unreadable("nothing is in it: its creation was cut short")
    first, second = metas
    if first.status == second.status == "foreign":
        raise Unreadable("not an htt file")
    reasons = "; ".join(f"page {m.number}: {m.reason or 'weak, of another start of the system'}"
                        for m in metas)
    raise Unreadable(f"damaged: no meta page counts ({reasons})")


# ------------------------------------------------------------ the walk (13, 14)

class Walk:
    """Everything that one root names. problems: texts; uses: what each page is."""

    def __init__(self, file, meta):
        self.file, self.meta, self.root = file, meta, meta.root
        self.log2 = meta.root.log2
        self.page_size = 2**self.log2
        self.problems, self.uses = [], {}
        self.index_pages = {}       # page: (parent, its nodes by id, ids that a child named)
        self.keys = self.bytes = self.free_pages = 0
        self.record_bytes = self.nodes = self.depth_sum = self.depth_max = 0

    def problem(self, damage, page=0):
        if isinstance(damage, Damage):
            damage.page = damage.page or page
        self.problems.append(str(damage))

    def claim(self, first, pages, kind, text=""):
        """Notes that pages are used; Damage when they cannot be or are already."""
        if first < 2 or first + pages > self.root.page_count:
            raise Damage(f"pages {first} to {first + pages - 1} are not in the store ({kind})")
        for page in range(first, first + pages):
            if page in self.uses:
                raise Damage(f"used twice, as {self.uses[page]} and as {kind}", page)
        for page in range(first, first + pages):
            self.uses[page] = f"{kind} {text if page == first else f'of {first}'}".strip()

    def check_head(self, data, page, kinds):
        demand(u64(data, 0) == xxh3_64(data[8:]), "its checksum is wrong")
        demand(u32(data, 16) == page, f"its number is {u32(data, 16)}")
        demand(u64(data, 8) <= self.root.epoch, f"its stamp {u64(data, 8)} is above the epoch")
        kind = chr(data[20])
        demand(kind in kinds, f"its type is {data[20]:#x} instead of {' or '.join(kinds)}")
        demand(data[21] == 0, "byte 21 is not zero")
        return kind

    def read(self, page, kinds):
        """A page with its head checked, and its type; section 5."""
        data = os.pread(self.file, self.page_size, page * self.page_size)
        demand(len(data) == self.page_size, "behind the end of the file")
        return data, self.check_head(data, page, kinds)

    def rows(self):
        """Every row: (key type, key, value type, value) as they are printed."""
        size = os.fstat(self.file).st_size
        if self.root.page_count * self.page_size > size:
            self.problem(f"the file has {size} bytes, its state {self.root.page_count} pages")
            return
        try:
            self.walk_free_list()
        except Damage as damage:
            self.problem(damage, self.root.free_page)
        # (page, sub, nodes above it as (salt, slots, first slot, slot behind), parent)
        work = [(self.root.page, 0, (), None)] if self.root.page else []
        while work:
            page, sub, path, parent = work.pop()
            try:
                data, node = self.visit(page, sub, path, parent)
                if node:
                    work += reversed(self.below(node, path, (page, sub)))
                else:
                    yield from self.data_page(page, data, path)
            except Damage as damage:
                self.problem(damage, page)
        self.check_sums()

    def visit(self, page, sub, path, parent):
        """(bytes, None) of a data page, (None, node) of a node."""
        if sub:
            return None, self.visit_sub(page, sub, parent)
        self.claim(page, 1, "damaged tree page")
        data, kind = self.read(page, "DN")
        if not path:
            demand(data[:8] == self.root.page_checksum.to_bytes(8, "little"),
                   "not the root page's checksum that the root record has")
        count = u16(data, 22)
        if kind == "D":
            self.uses[page] = f"D stamp {u64(data, 8)} records {count} depth {len(path)}"
            return data, None
        demand(count == 0, f"count of a node page is {count}")
        node = Node(data[HEAD:], self.log2)
        self.uses[page] = (f"N stamp {u64(data, 8)} salt {node.salt} slots {node.slots} "
                           f"children {len(node.children)} depth {len(path)}")
        return None, node

    def visit_sub(self, page, sub, parent):
        """The node with that id of an index page, which may have been read before."""
        if page not in self.index_pages:
            if self.uses.get(page) == "damaged index page":
                raise Damage("named again, and damaged")
            self.claim(page, 1, "damaged index page")
            data, _ = self.read(page, "I")
            nodes = index_nodes(data, u16(data, 22), self.log2)
            self.uses[page] = f"I stamp {u64(data, 8)} nodes {len(nodes)}"
            self.index_pages[page] = parent, nodes, set()
        owner, nodes, named = self.index_pages[page]
        demand(owner == parent, f"its nodes have two parents, {owner} and {parent}")
        demand(sub in nodes, f"it has no node {sub}")
        demand(sub not in named, f"its node {sub} is named twice")
        named.add(sub)
        return nodes[sub]

    def below(self, node, path, name):
        """Work for all children of a node; section 13."""
        self.nodes += 1
        demand(len(path) < NODES_ON_PATH_MAX, "more than 40 nodes on a path")
        demand(node.salt not in (salt for salt, *_ in path), f"salt {node.salt} twice on a path")
        return [(page, sub, path + ((node.salt, node.slots, first, behind),), name)
                for first, behind, page, sub in node.children if page]

    def data_page(self, page, data, path):
        seen = set()
        self.depth_max = max(self.depth_max, len(path))
        for number, (fingerprint, record) in enumerate(records_of(data, u16(data, 22))):
            self.keys += 1
            self.depth_sum += len(path)
            self.bytes += record.key_size + record.value_size
            try:
                yield self.row(record, fingerprint, path, seen)
            except Damage as damage:
                damage.args = (f"record {number}: {damage}",)
                self.problem(damage, page)
        self.record_bytes += len(data) - u16(data, HEAD + 3 * u16(data, 22) - 2)

    def row(self, record, fingerprint, path, seen):
        """Checks a record, with its runs, and gives its row."""
        key, value = record.key, record.value
        if record.runs:
            size = record.value_size + (record.key_size if record.external else 0)
            payload = self.payload(record.runs, size)
            value = payload[len(payload) - record.value_size:]
            if record.external:
                key = payload[:record.key_size]
        low, high = hash_of(key, self.root.seed, KEY_CLASS[record.key_type])
        if record.external:
            demand(record.key == struct.pack("<QQ", low, high), "the hash of its key is wrong")
        demand(fingerprint == high >> 56, f"its fingerprint is {fingerprint:#x}")
        for depth, (salt, slots, first, behind) in enumerate(path):
            slot = mix(low, high, salt) * slots >> 32
            demand(first <= slot < behind, f"its slot {slot} at depth {depth} leads elsewhere")
        same = (KEY_CLASS[record.key_type], key)
        demand(same not in seen, "its key is in the page twice")
        seen.add(same)
        return *key_of(record.key_type, key), NAMES[record.value_type], \
            value_of(record.value_type, value)

    def payload(self, runs, size):
        """The bytes in the runs of a record; section 7."""
        parts = []
        for first, pages in runs:
            demand(pages >= 1, "a run of no pages")
            self.claim(first, pages, "O", f"pages {pages}")
            try:
                parts.append(self.run(first, pages))
            except Damage as damage:
                damage.page = first
                raise
        total = sum(len(part) for part in parts)
        demand(total == size, f"its runs hold {total} bytes instead of {size}")
        return b"".join(parts)

    def run(self, first, pages):
        data = os.pread(self.file, pages * self.page_size, first * self.page_size)
        while len(data) < pages * self.page_size:   # one call reads 2 GiB at most
            more = os.pread(self.file, pages * self.page_size - len(data),
                            first * self.page_size + len(data))
            demand(more, "a run behind the end of the file")
            data += more
        length = u64(data, 32)
        demand(length >= 1, "a run without payload")
        demand((RUN_HEAD + length + self.page_size - 1) // self.page_size == pages,
               f"a run of {pages} pages has {length} bytes of payload")
        self.check_head(memoryview(data)[:RUN_HEAD + length], first, "O")
        demand(not any(data[22:24]) and not any(data[28:32]), "a zero field of a run is not zero")
        demand(u32(data, 24) == pages, f"a run says it has {u32(data, 24)} pages, not {pages}")
        self.uses[first] = f"O stamp {u64(data, 8)} pages {pages} payload {length}"
        return data[RUN_HEAD:RUN_HEAD + length]

    def walk_free_list(self):
        """Section 10. Damage ends the walk: what is behind is not known."""
        page, oldest_before = self.root.free_page, 0
        while page:
            self.claim(page, 1, "damaged free list page")   # finds a cycle, too
            data, _ = self.read(page, "F")
            stamp, count, following = u64(data, 8), u16(data, 22), u32(data, HEAD)
            oldest = u64(data, 32)
            demand(count <= (self.page_size - 40) // 16, f"{count} entries in the free list")
            demand(not any(data[28:32]), "bytes 28 to 31 are not zero")
            self.uses[page] = f"F stamp {stamp} entries {count}"
            oldest_before = max(oldest, oldest_before)
            for first, pages, died in struct.iter_unpack("<IIQ", data[40:40 + 16 * count]):
                self.free_pages += pages
                demand(pages >= 1, "an entry of no pages")
                demand(died <= stamp, f"pages from {first} died at {died}, after the stamp")
                demand(died >= oldest_before,
                       f"pages from {first} died at {died}, before `oldest` {oldest_before}")
                self.claim(first, pages, "free", f"died {died} pages {pages}")
            page = following

    def check_sums(self):
        """What can be said only at the end."""
        root, count = self.root, self.root.page_count
        for page, (_, nodes, named) in self.index_pages.items():
            for sub in nodes.keys() - named:
                self.problem(Damage(f"no child names node {sub}", page))
        for what, found, said in (("rows", self.keys, root.keys), ("bytes", self.bytes, root.bytes),
                                  ("free pages", self.free_pages, root.free_pages)):
            if found != said:
                self.problem(f"{found} {what} are there, the root record says {said}")
        lost = [page for page in range(2, count) if page not in self.uses]
        if lost:
            shown = ", ".join(map(str, lost[:10])) + (", ..." if len(lost) > 10 else "")
            self.problem(f"{len(lost)} pages are neither used nor free: {shown}")


def check_metas(holds, other, problems):
    """Rules about the meta pages that do not decide which one holds; section 3."""
    if other.status != "valid":
        problems.append(f"page {other.number} is no valid meta page: {other.reason}")
    else:
        if other.counter == holds.counter:
            problems.append(f"both meta pages have the counter {holds.counter}")
        if (other.root.uuid, other.root.seed) != (holds.root.uuid, holds.root.seed):
            problems.append("the meta pages have different uuids or seeds")
    if holds.ancestors and holds.ancestors[0] != holds.root.parent:
        problems.append(f"page {holds.number}: the first ancestor is not the parent")
    epochs = [epoch for epoch, _ in holds.ancestors]
    if any(newer <= older for newer, older in zip(epochs, epochs[1:])):
        problems.append(f"page {holds.number}: the ancestors are not in order")


# ------------------------------------------------------------ output

def print_summary(path, walk, other):
    meta, root = walk.meta, walk.root
    kinds = [use[0] for use in walk.uses.values()]
    data_pages, size = kinds.count("D"), os.fstat(walk.file).st_size
    filled = data_pages * (walk.page_size - HEAD)
    heads = 3 * walk.keys
    lines = [
        ("file", f"{path}, {size} bytes"),
        ("uuid", root.uuid.hex()),
        ("page size", walk.page_size),
        ("meta page", f"{meta.number}, {'weak' if meta.weak else 'steady'}, counter "
                      f"{meta.counter}; the other is {other.status}, counter {other.counter}"),
        ("state", f"epoch {root.epoch}, nonce {root.nonce:016x}, {len(meta.ancestors)} ancestors"),
        ("owner", json.dumps(meta.owner) if meta.owner else "none: standalone"),
        ("declaration", json.dumps(meta.declaration)),
        ("rows", f"{walk.keys}, payload {walk.bytes} bytes"),
        ("pages", f"{root.page_count}: 2 meta, {data_pages} data, {kinds.count('N')} node, "
                  f"{kinds.count('I')} index, {kinds.count('O')} overflow, "
                  f"{kinds.count('F')} free list, {kinds.count('f')} free"),
        ("index nodes", f"{walk.nodes}, depth {walk.depth_sum / max(1, walk.keys):.2f} on average, "
                        f"{walk.depth_max} at most"),
        ("data pages", f"{100 * (walk.record_bytes + heads) / max(1, filled):.1f} % filled"),
    ]
    for name, text in lines:
        print(f"{name + ':':13}{text}")


def print_pages(walk):
    for number in (0, 1):
        print(f"{number} M{' holds' if number == walk.meta.number else ''}")
    there = os.fstat(walk.file).st_size // walk.page_size
    for page in range(2, min(walk.root.page_count, there)):    # a damaged count may be billions
        print(f"{page} {walk.uses.get(page, '? not used')}")


def dump(path, options):
    """The exit status."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return dump_file(file, path, options)
    finally:
        os.close(file)


def dump_file(file, path, options):
    boot = bytes(16) if options.after_reboot else boot_id()
    meta, other = choose_meta(file, boot)
    walk = Walk(file, meta)
    check_metas(meta, other, walk.problems)
    for row in walk.rows():
        if options.rows:
            print(json.dumps(row))
    # Others may have written meanwhile, and reused the pages of this state.
    if walk.problems and choose_meta(file, boot)[0].counter != meta.counter:
        raise Unreadable("it was written to while it was read; try again")
    if options.check:
        print("\n".join(walk.problems or ["ok"]))
    elif options.pages:
        print_pages(walk)
    elif not options.rows:
        print_summary(path, walk, other)
    if walk.problems and not options.check:
        print("\n".join(f"{path}: {problem}" for problem in walk.problems), file=sys.stderr)
    return 1 if walk.problems else 0


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Reads and checks .htt files.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rows", action="store_true", help="every row")
    what.add_argument("--pages", action="store_true", help="a line for each page")
    what.add_argument("--check", action="store_true", help="a line for each problem, or ok")
    parser.add_argument("--after-reboot", action="store_true", help="weak meta pages do not count")
    parser.add_argument("file")
    options = parser.parse_args(arguments)
    try:
        return dump(options.file, options)
    except (Unreadable, OSError) as error:
        text = error.strerror if isinstance(error, OSError) else error
        print(f"{options.file}: {text}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
