# SPDX-License-Identifier: MIT
"""The C interface of libhtt for tests in Python, by ctypes: engine/htt.h without SQLite.

A Store is an open file. Keys and values are Python's int, float, str, bytes, None and, for rows,
list; text that is not UTF-8 comes in surrogate escapes. A result that is not expected raises
AssertionError with the message of the library.
"""
import contextlib
import ctypes
import os

LIBRARY = os.environ.get("HTT_LIBRARY", "./libhtt")
INTEGER, REAL, TEXT, BLOB, NULL, ROW, INTEGRAL, NEGZERO = range(1, 9)
HTT_OK, HTT_NOTFOUND = 0, 1
SYNC_FULL, SYNC_NORMAL, SYNC_OFF = 0, 1, 2


class Datum(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_size_t), ("type", ctypes.c_uint8)]


class Found(ctypes.Structure):
    """A Datum that the library fills: its bytes may hold zeros."""
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("type", ctypes.c_uint8)]

    def get(self):
        return self.type, ctypes.string_at(self.data, self.size) if self.size else b""


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("flags", ctypes.c_uint), ("page_size", ctypes.c_uint32),
                ("sync", ctypes.c_int), ("cache_bytes", ctypes.c_uint64),
                ("write_budget", ctypes.c_uint64), ("busy_timeout_ms", ctypes.c_uint32),
                ("declaration", ctypes.c_char_p), ("expect_uuid", ctypes.c_char_p),
                ("env", ctypes.c_void_p)]


def load_library():
    library = ctypes.CDLL(os.path.abspath(LIBRARY + ".so"))
    library.htt_integer.restype = library.htt_real.restype = Found
    library.htt_integer.argtypes = [ctypes.c_int64, ctypes.c_char_p]
    library.htt_real.argtypes = library.htt_key_real.argtypes = [ctypes.c_double, ctypes.c_char_p]
    library.htt_key_real.argtypes = [ctypes.c_double, ctypes.c_char_p, ctypes.c_void_p]
    library.htt_row_size.restype = ctypes.c_size_t
    library.htt_txn_errmsg.restype = library.htt_errmsg.restype = ctypes.c_char_p
    library.htt_close.restype = library.htt_abort.restype = None
    library.htt_cursor_close.restype = library.htt_options_init.restype = None
    library.htt_row_encode.restype = None
    return library


lib = load_library()


def value(thing):
    """(type, bytes) of a Python value: int, float, str, bytes, None, or list = row."""
    scratch = ctypes.create_string_buffer(8)
    if isinstance(thing, int):
        return lib.htt_integer(thing, scratch).get()
    if isinstance(thing, float):
        return lib.htt_real(thing, scratch).get()
    if isinstance(thing, str):
        return TEXT, thing.encode("utf-8", "surrogateescape")
    if isinstance(thing, bytes):
        return BLOB, thing
    if thing is None:
        return NULL, b""
    columns = [value(column) for column in thing]
    array = (Datum * max(1, len(columns)))(*(Datum(d, len(d), t) for t, d in columns))
    out = ctypes.create_string_buffer(lib.htt_row_size(array, len(columns)))
    lib.htt_row_encode(array, len(columns), out)
    return ROW, out.raw


def key(thing):
    if not isinstance(thing, float):
        return value(thing)
    scratch, found = ctypes.create_string_buffer(8), Found()
    assert lib.htt_key_real(thing, scratch, ctypes.byref(found)) == HTT_OK
    return found.get()


class Store:
    """An open file with at most one transaction."""

    def __init__(self, path, page_size=0, sync=SYNC_OFF, declaration=None):
        self.handle, self.txn = ctypes.c_void_p(), ctypes.c_void_p()
        options = Options()
        lib.htt_options_init(ctypes.byref(options))
        options.page_size, options.sync, options.declaration = page_size, sync, declaration
        rc = lib.htt_open(path.encode(), ctypes.byref(options), ctypes.byref(self.handle), None)
        assert rc == HTT_OK, f"htt_open: {rc}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.htt_close(self.handle)

    def call(self, name, *args, also=()):
        rc = getattr(lib, name)(*args)
        if rc != HTT_OK and rc not in also:
            text = lib.htt_txn_errmsg(self.txn) if self.txn else lib.htt_errmsg(self.handle)
            raise AssertionError(f"{name}: {rc}: {text}")
        return rc

    @contextlib.contextmanager
    def write(self):
        self.call("htt_begin", self.handle, 1, ctypes.byref(self.txn))
        yield self
        txn, self.txn = self.txn, ctypes.c_void_p()
        self.call("htt_commit", txn)

    def put(self, k, v):
        (kt, kd), (vt, vd) = key(k), value(v)
        self.call("htt_put", self.txn, Datum(kd, len(kd), kt), Datum(vd, len(vd), vt), 0)

    def delete(self, k):
        kind, data = key(k)
        self.call("htt_del", self.txn, Datum(data, len(data), kind))

    def savepoint(self):
        number = ctypes.c_uint32()
        self.call("htt_savepoint", self.txn, ctypes.byref(number))
        return number

    def rollback_to(self, number):
        self.call("htt_rollback_to", self.txn, number)

    def vacuum(self):
        before, after = ctypes.c_uint64(), ctypes.c_uint64()
        self.call("htt_vacuum", self.handle, ctypes.byref(before), ctypes.byref(after))
        return before.value, after.value

    def backup(self, path):
        self.call("htt_begin", self.handle, 0, ctypes.byref(self.txn))
        self.call("htt_backup", self.txn, path.encode())
        lib.htt_abort(self.txn)
        self.txn = ctypes.c_void_p()

    def rows(self):
        """{key (type, bytes): value (type, bytes)}, as a cursor gives them."""
        rows, cursor, found = {}, ctypes.c_void_p(), Found()
        self.call("htt_begin", self.handle, 0, ctypes.byref(self.txn))
        self.call("htt_cursor_open", self.txn, ctypes.byref(cursor))
        while self.call("htt_cursor_next", cursor, ctypes.byref(found), also=[HTT_NOTFOUND]) == 0:
            k = found.get()
            self.call("htt_cursor_value", cursor, ctypes.byref(found))
            assert k not in rows
            rows[k] = found.get()
        lib.htt_cursor_close(cursor)
        lib.htt_abort(self.txn)
        self.txn = ctypes.c_void_p()
        return rows
