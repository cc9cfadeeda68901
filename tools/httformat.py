# SPDX-License-Identifier: MIT
"""The structures of the htt format as Python objects: bytes in, objects or Damage out.

Written from docs/format.md alone; section numbers in comments are those of it. No file is read
here and nothing is followed from page to page: httdump.py does that.
"""
import math
import struct

from xxh3 import xxh3_64, xxh3_128

MAGIC = bytes.fromhex("894854540d0a1a0a")
HEAD = 24                   # bytes of a page's head
RUN_HEAD = 40               # bytes of a run's head
ROOT_AT, ROOT_SIZE = 64, 128
LOG2_MIN, LOG2_MAX = 12, 16
KEY_MAX, VALUE_MAX = 1048576, 999000000
ANCESTORS_MAX, OWNER_MAX, DECLARATION_MAX = 64, 512, 2048
COLUMNS_MAX = 32767
RUNS_MAX = 8
M64 = 2**64 - 1
GOLDEN, MIX1, MIX2 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 0xC2B2AE3D27D4EB4F

INTEGER, REAL, TEXT, BLOB, NULL, ROW = 1, 2, 3, 4, 5, 6     # value types; keys: 1 to 4 and
NEGATIVE_ZERO, INTEGRAL = 5, 7                              # these (section 6)
NAMES = {INTEGER: "integer", REAL: "real", TEXT: "text", BLOB: "blob", NULL: "null", ROW: "row"}
KEY_CLASS = {INTEGER: 1, INTEGRAL: 1, NEGATIVE_ZERO: 1, REAL: 2, TEXT: 3, BLOB: 4}


class Damage(Exception):
    """Bytes that the format does not allow. page 0: none in particular."""

    def __init__(self, text, page=0):
        super().__init__(text)
        self.page = page

    def __str__(self):
        text = super().__str__()
        return f"page {self.page}: {text}" if self.page else text


def u16(data, at):
    return int.from_bytes(data[at:at + 2], "little")


def u32(data, at):
    return int.from_bytes(data[at:at + 4], "little")


def u64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def demand(condition, text):
    if not condition:
        raise Damage(text)


def varint(data, at, bound, what):
    """(number, offset behind it); section 1."""
    number = 0
    for count in range(10):
        demand(at < len(data), f"{what} is cut off")
        byte = data[at]
        at += 1
        number |= (byte & 0x7f) << 7 * count
        if byte < 0x80:
            demand(byte or not count, f"{what} is not the shortest varint")
            demand(number <= bound, f"{what} {number} is above {bound}")
            return number, at
    raise Damage(f"{what} is a varint of more than 10 bytes")


# ------------------------------------------------------------ values (11)

def integer_of(data):
    demand(len(data) <= 8, f"an integer of {len(data)} bytes")
    number = int.from_bytes(data, "little", signed=True)
    shorter = int.from_bytes(data[:-1], "little", signed=True)
    demand(not data or shorter != number, "an integer that is not the shortest")
    return number


def text_of(data):
    return bytes(data).decode("utf-8", "surrogateescape")


def value_of(kind, data):
    """What a value or column says, as JSON has it."""
    if kind == INTEGER:
        return integer_of(data)
    if kind == REAL:
        demand(len(data) == 8, f"a real of {len(data)} bytes")
        return struct.unpack("<d", data)[0]
    if kind == TEXT:
        return text_of(data)
    if kind == BLOB:
        return bytes(data).hex()
    if kind == NULL:
        demand(not data, "a null with bytes")
        return None
    demand(kind == ROW, f"value type {kind}")
    return columns_of(data)


def columns_of(data):
    count, at = varint(data, 0, COLUMNS_MAX, "the number of columns")
    heads = []
    for _ in range(count):
        head, at = varint(data, at, M64, "the head of a column")
        demand(INTEGER <= head & 7 <= NULL, f"column type {head & 7}")
        heads.append((head & 7, head >> 3))
    columns = []
    for kind, size in heads:
        demand(size <= len(data) - at, "a column behind the end of its row")
        columns.append([NAMES[kind], value_of(kind, data[at:at + size])])
        at += size
    demand(at == len(data), "bytes behind the last column")
    return columns


def key_of(kind, data):
    """(name of the type, what the key says)."""
    if kind == NEGATIVE_ZERO:
        demand(not data, "a negative zero with bytes")
        return "real", -0.0
    if kind == INTEGRAL:
        number = integer_of(data)
        demand(int(float(number)) == number, f"integral real {number} is no double")
        return "real", float(number)
    key = value_of(kind, data)
    if kind == REAL:
        demand(not math.isnan(key), "a NaN as key")
        integral = math.isfinite(key) and key == int(key) and -2**63 <= key < 2**63
        demand(not integral, f"real key {key} should be an integral real")
    return NAMES[kind], key


# ------------------------------------------------------------ hash (12)

def hash_of(data, seed, key_class):
    return xxh3_128(data, seed + key_class * GOLDEN & M64)


def mix(low, high, salt):
    x = (low ^ salt * GOLDEN & M64) * MIX1 & M64
    x ^= x >> 32
    return (x + high) * MIX2 % 2**64 >> 32


# ------------------------------------------------------------ meta pages and root record (3, 4)

class Root:
    def __init__(self, data):
        self.uuid = data[:16]
        self.seed, self.epoch, self.nonce = struct.unpack_from("<3Q", data, 16)
        self.parent = struct.unpack_from("<2Q", data, 40)
        self.keys, self.bytes = struct.unpack_from("<2Q", data, 64)
        self.page, self.page_count, self.free_page, self.free_pages = \
            struct.unpack_from("<4I", data, 80)
        self.page_checksum = u64(data, 96)
        self.log2 = data[104]
        self.check(data)

    def check(self, data):
        demand(u64(data, 120) == xxh3_64(data[:120]), "the root record's checksum is wrong")
        demand(LOG2_MIN <= self.log2 <= LOG2_MAX, f"root record: page size 2^{self.log2}")
        demand(self.epoch >= 1, "root record: epoch 0")
        demand(self.parent[0] < self.epoch, "root record: the parent is not older")
        demand(self.page_count >= 2, f"root record: page count {self.page_count}")
        for page in (self.page, self.free_page):
            demand(page == 0 or 2 <= page < self.page_count, f"root record: page {page}")
        demand(self.free_pages <= self.page_count - 2, "root record: too many free pages")
        demand((self.page == 0) == (self.keys == 0), "root record: keys without root page or so")
        demand(self.page or not (self.bytes or self.page_checksum), "root record: bytes, no rows")


class Meta:
    """One meta page. status: valid, newer, foreign or damaged; reason says why it is not valid."""

    def __init__(self, data, number, log2):
        self.number = number
        self.counter = 0
        self.boot = bytes(16)
        self.status, self.reason = "damaged", ""
        try:
            self.parse(data, log2)
        except Damage as damage:
            self.reason = str(damage)

    def parse(self, data, log2):
        if data[:8] != MAGIC:
            self.status = "foreign"
            raise Damage("no magic")
        demand(len(data) >= 2**LOG2_MIN, "cut off")
        demand(data[21] == log2, f"page size 2^{data[21]}")
        demand(len(data) == 2**log2, "cut off")
        demand(u64(data, 8) == xxh3_64(data[16:]), "its checksum is wrong")
        version, features = u16(data, 22), u32(data, 24)
        if version > 1 or version == 1 and features:
            self.status = "newer"
            raise Damage(f"format version {version}, features {features:#x}")
        demand(version == 1, "format version 0")
        demand(u32(data, 16) == self.number, f"its number is {u32(data, 16)}")
        demand(data[20:21] == b"M", f"its type is {data[20]:#x}")
        self.root = Root(data[ROOT_AT:ROOT_AT + ROOT_SIZE])
        demand(self.root.log2 == log2, "its root record has another page size")
        counts = struct.unpack_from("<3H", data, 200)
        for count, bound, what in zip(counts, (ANCESTORS_MAX, OWNER_MAX, DECLARATION_MAX),
                                      ("ancestors", "owner", "declaration")):
            demand(count <= bound, f"{count} as size of {what}")
        self.ancestors = list(struct.iter_unpack("<2Q", data[208:208 + 16 * counts[0]]))
        owner, declaration = data[1248:1248 + counts[1]], data[1760:1760 + counts[2]]
        demand(0 not in owner and 0 not in declaration, "a zero byte in owner or declaration")
        self.owner, self.declaration = text_of(owner), text_of(declaration)
        self.counter, self.boot = u64(data, 32), data[40:56]
        self.status = "valid"

    @property
    def weak(self):
        return any(self.boot)

    def counts(self, boot):
        return self.status == "valid" and (not self.weak or self.boot == boot)


# ------------------------------------------------------------ pages (5 to 10)

class Node:
    """Section 8. children: (first slot, slot behind the last, page, sub), in order of slots."""

    def __init__(self, data, log2):
        demand(len(data) >= 4, "a node is cut off")
        self.salt, k, count = data[0], data[1], u16(data, 2)
        demand(6 <= k <= log2 + 1, f"a node of 2^{k} slots")
        self.slots = 2**k
        blocks = self.slots // 512 if self.slots > 512 else 0
        starts_at = 4 + 2 * blocks
        children_at = starts_at + self.slots // 8
        self.size = children_at + 5 * count
        demand(1 <= count <= self.slots, f"a node of {count} children")
        demand(self.size <= len(data), "a node is cut off")
        bits = int.from_bytes(data[starts_at:children_at], "little")
        starts = [i for i, bit in enumerate(reversed(f"{bits:0{self.slots}b}")) if bit == "1"]
        demand(len(starts) == count, f"a node of {count} children has {len(starts)} starts")
        demand(starts[0] == 0, "slot 0 of a node begins no child")
        for block in range(blocks):
            below = bits & (1 << 512 * block) - 1
            demand(u16(data, 4 + 2 * block) == f"{below:b}".count("1"), f"rank {block} of a node")
        ends = starts[1:] + [self.slots]
        self.children = []
        for i in range(count):
            page, sub = struct.unpack_from("<IB", data, children_at + 5 * i)
            demand(page >= 2 or page == sub == 0, f"child {i} of a node is {page}, {sub}")
            self.children.append((starts[i], ends[i], page, sub))


def index_nodes(data, count, log2):
    """The nodes of an index page by their ids; section 9."""
    largest, content = data[HEAD], u16(data, HEAD + 2)
    demand(largest >= 1, "an index page without nodes")
    demand(data[HEAD + 1] == 0, "byte 25 is not zero")
    demand(28 + 2 * largest <= content < len(data), f"content begins at {content}")
    starts = {i + 1: u16(data, 28 + 2 * i) for i in range(largest) if u16(data, 28 + 2 * i)}
    demand(len(starts) == count, f"count is {count}, {len(starts)} ids are in use")
    demand(largest in starts, f"the largest id {largest} is not in use")
    nodes, behind = {}, content
    for sub, start in sorted(starts.items(), key=lambda item: item[1]):
        demand(start == behind, f"node {sub} is at {start}, not at {behind}")
        nodes[sub] = Node(data[start:], log2)
        behind = start + nodes[sub].size
    demand(behind == len(data), f"nodes end at {behind}")
    return nodes


class Record:
    """Section 6. Of a key or value that is not inline, `runs` names the runs of its bytes."""

    def __init__(self, data):
        self.key_type, self.value_type = data[0] & 7, data[0] >> 4 & 7
        self.external, overflow = data[0] & 8, data[0] & 0x80
        demand(self.key_type in KEY_CLASS, f"key type {self.key_type}")
        demand(self.value_type in NAMES, f"value type {self.value_type}")
        demand(overflow or not self.external, "an external key with an inline value")
        self.key_size, at = varint(data, 1, KEY_MAX, "the size of a key")
        stored = 16 if self.external else self.key_size
        demand(stored <= len(data) - at, "a key is longer than its record")
        self.key, self.value = data[at:at + stored], data[at + stored:]
        self.value_size, self.runs = len(self.value), []
        if overflow:
            self.parse_reference(self.value)

    def parse_reference(self, data):
        self.value_size, at = varint(data, 0, VALUE_MAX, "the size of a value")
        count = data[at] if at < len(data) else 0
        demand(1 <= count <= RUNS_MAX, f"{count} runs of a record")
        demand(len(data) == at + 1 + 8 * count, "a reference of another size than its record")
        self.runs = list(struct.iter_unpack("<II", data[at + 1:]))


def records_of(data, count):
    """(fingerprint, record) of a data page; section 6."""
    demand(count >= 1, "a data page without records")
    low = HEAD + 3 * count
    demand(low <= len(data), f"{count} records")
    end = len(data)
    for i in range(count):
        start = u16(data, HEAD + count + 2 * i)
        demand(low <= start <= end - 2, f"record {i} is at {start}, the one before at {end}")
        yield data[HEAD + i], Record(data[start:end])
        end = start
