# SPDX-License-Identifier: MIT
"""XXH3 in plain Python: the two hashes of the htt format (docs/format.md, section 12 and appendix).

    xxh3_64(data)          checksums; data of 17 bytes and more, nothing shorter is ever summed
    xxh3_128(data, seed)   keys; any size; gives (low, high)

Bytes come as bytes or memoryview. All arithmetic is modulo 2^64. Long inputs are summed block by
block with the lanes side by side: 64 KiB take a few milliseconds.
"""
import struct

M = 2**64 - 1
M32 = 2**32 - 1
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
A1, A2, A3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
B1, B2, B3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
B4, B5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
MUL = 0x9FB21C651E98DF25

STRIPE = struct.Struct("<8Q")
BLOCK = struct.Struct("<128Q")  # 16 stripes of 64 bytes


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def swap32(x):
    return int.from_bytes(x.to_bytes(4, "little"), "big")


def swap64(x):
    return int.from_bytes(x.to_bytes(8, "little"), "big")


def fold(a, b):
    """The 128 bits of a product, its halves XORed."""
    product = a * b
    return product & M ^ product >> 64


def avalanche(x):
    x ^= x >> 37
    x = x * 0x165667919E3779F9 & M
    return x ^ x >> 32


def avalanche_old(x):
    """The one of XXH64, for the shortest inputs."""
    x ^= x >> 33
    x = x * B2 & M
    x ^= x >> 29
    x = x * B3 & M
    return x ^ x >> 32


def mix16(data, at, secret, key, seed):
    return fold(u64(data, at) ^ u64(secret, key) + seed & M,
                u64(data, at + 8) ^ u64(secret, key + 8) - seed & M)


# ------------------------------------------------------------ more than 240 bytes

def add_stripes(lanes, words, keys):
    """Adds the u64 words of one or more stripes, each mixed with its key, to the 8 lanes."""
    mixed = [word ^ key for word, key in zip(words, keys)]
    products = [(x & M32) * (x >> 32) for x in mixed]
    for k in range(8):
        lanes[k] = lanes[k] + sum(products[k::8]) + sum(words[k ^ 1::8]) & M


def long_lanes(data, secret):
    words = struct.unpack("<24Q", secret)
    keys = [words[stripe + k] for stripe in range(16) for k in range(8)]
    lanes = [A3, B1, B2, B3, B4, A2, B5, A1]
    size = len(data)
    blocks = (size - 1) // 1024
    for n in range(blocks):
        add_stripes(lanes, BLOCK.unpack_from(data, 1024 * n), keys)
        lanes = [(lane ^ lane >> 47 ^ words[16 + k]) * A1 & M for k, lane in enumerate(lanes)]
    for n in range((size - 1 - 1024 * blocks) // 64):
        add_stripes(lanes, STRIPE.unpack_from(data, 1024 * blocks + 64 * n), keys[8 * n:])
    add_stripes(lanes, STRIPE.unpack_from(data, size - 64), STRIPE.unpack_from(secret, 121))
    return lanes


def merge(lanes, secret, key, x):
    for k in range(0, 8, 2):
        x += fold(lanes[k] ^ u64(secret, key + 8 * k), lanes[k + 1] ^ u64(secret, key + 8 * k + 8))
    return avalanche(x & M)


# ------------------------------------------------------------ 64 bits, no seed

def xxh3_64(data):
    size = len(data)
    assert size >= 17
    if size > 240:
        return merge(long_lanes(data, SECRET), SECRET, 11, size * B1 & M)
    x = size * B1
    if size <= 128:
        for k in range((size - 1) // 32 + 1):
            x += mix16(data, 16 * k, SECRET, 32 * k, 0)
            x += mix16(data, size - 16 - 16 * k, SECRET, 32 * k + 16, 0)
        return avalanche(x & M)
    for k in range(8):
        x += mix16(data, 16 * k, SECRET, 16 * k, 0)
    x = avalanche(x & M)
    for k in range(8, size // 16):
        x += mix16(data, 16 * k, SECRET, 16 * (k - 8) + 3, 0)
    return avalanche(x + mix16(data, size - 16, SECRET, 119, 0) & M)


# ------------------------------------------------------------ 128 bits, with a seed

def short_128(data, seed):
    """0 to 16 bytes."""
    size, s = len(data), SECRET
    if size == 0:
        return (avalanche_old(seed ^ u64(s, 64) ^ u64(s, 72)),
                avalanche_old(seed ^ u64(s, 80) ^ u64(s, 88)))
    if size <= 3:
        low = data[0] << 16 | data[size >> 1] << 24 | data[size - 1] | size << 8
        high = swap32(low)
        high = (high << 13 | high >> 19) & M32
        return (avalanche_old(low ^ (u32(s, 0) ^ u32(s, 4)) + seed & M),
                avalanche_old(high ^ (u32(s, 8) ^ u32(s, 12)) - seed & M))
    if size <= 8:
        seed ^= swap32(seed & M32) << 32
        x = u32(data, 0) | u32(data, size - 4) << 32
        x = (x ^ (u64(s, 16) ^ u64(s, 24)) + seed & M) * (B1 + 4 * size)
        low, high = x & M, x >> 64
        high = high + 2 * low & M
        low ^= high >> 3
        low = (low ^ low >> 35) * MUL & M
        return low ^ low >> 28, avalanche(high)
    last = u64(data, size - 8)
    x = (u64(data, 0) ^ last ^ (u64(s, 32) ^ u64(s, 40)) - seed & M) * B1
    low, high = (x & M) + ((size - 1) << 54) & M, x >> 64
    last ^= (u64(s, 48) ^ u64(s, 56)) + seed & M
    high = high + last + (last & M32) * (A2 - 1) & M
    low ^= swap64(high)
    x = low * B2
    return avalanche(x & M), avalanche((x >> 64) + high * B2 & M)


def middle_128(data, seed):
    """17 to 240 bytes."""
    size, s = len(data), SECRET
    if size <= 128:
        steps = [(16 * k, size - 16 - 16 * k, 32 * k, seed)
                 for k in reversed(range((size - 1) // 32 + 1))]
    else:
        steps = [(32 * k, 32 * k + 16, 32 * k if k < 4 else 32 * (k - 4) + 3, seed)
                 for k in range(size // 32)]
        steps.append((size - 16, size - 32, 103, -seed & M))
    low, high = size * B1 & M, 0
    for number, (i, j, key, step_seed) in enumerate(steps):
        if size > 128 and number == 4:
            low, high = avalanche(low), avalanche(high)
        low = low + mix16(data, i, s, key, step_seed) & M
        low ^= u64(data, j) + u64(data, j + 8) & M
        high = high + mix16(data, j, s, key + 16, step_seed) & M
        high ^= u64(data, i) + u64(data, i + 8) & M
    return (avalanche(low + high & M),
            -avalanche(low * B1 + high * B4 + (size - seed) * B2 & M) & M)


def xxh3_128(data, seed):
    size = len(data)
    if size <= 16:
        return short_128(data, seed)
    if size <= 240:
        return middle_128(data, seed)
    secret = b"".join(struct.pack("<QQ", u64(SECRET, i) + seed & M, u64(SECRET, i + 8) - seed & M)
                      for i in range(0, 192, 16))
    lanes = long_lanes(data, secret)
    return merge(lanes, secret, 11, size * B1 & M), merge(lanes, secret, 117, ~(size * B2) & M)
