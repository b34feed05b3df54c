"""Writes the labels of ZFS, Btrfs and bcache, for which the medium has no tools, as libblkid and the kernel read them."""

import os
import struct
import sys

KIB = 1024


def crc(data, polynomial, bits, seed, reflected):
    """A checksum, a bit at a time."""
    value = seed
    for byte in data:
        if reflected:
            value ^= byte
            for _ in range(8):
                value = value >> 1 ^ (polynomial if value & 1 else 0)
        else:
            value ^= byte << bits - 8
            for _ in range(8):
                value = (value << 1 ^ (polynomial if value >> bits - 1 else 0)) & (1 << bits) - 1
    return value


def write(device, pieces):
    """Writes (offset, bytes) to a device."""
    with open(device, "r+b", buffering=0) as file:
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)
        os.fsync(file.fileno())


def size(device):
    with open(device, "rb") as file:
        return file.seek(0, os.SEEK_END)


def uuid(kind, number):
    return kind.encode().ljust(15, b"\0") + bytes([int(number)])


def pair(name, kind, value):
    """One name and value of ZFS, in XDR: sizes, name, type, one element of it."""
    name = name.encode()
    body = struct.pack(">I", len(name)) + name.ljust(-len(name) % 4 + len(name), b"\0") + struct.pack(">II", kind, 1) + value
    return struct.pack(">II", len(body) + 8, len(body) + 24) + body


def zfs(device):
    """Four labels of 256 KiB, two at each end (vdev_impl.h): names and values from 16 KiB on, uberblocks from 128 KiB on in each.
    libblkid 2.41 goes by the former, older ones by the latter."""
    numbers = [("version", 5000), ("state", 0), ("txg", 4), ("pool_guid", 0x5AFE), ("guid", size(device))]
    pairs = [pair(name, 8, struct.pack(">Q", value)) for name, value in numbers]
    pairs.append(pair("name", 9, struct.pack(">I", 4) + b"tank"))
    label = bytes([1, 1, 0, 0]) + struct.pack(">II", 0, 1) + b"".join(pairs) + bytes(8)
    label = label.ljust(112 * KIB, b"\0") + struct.pack("<QQ", 0x00BAB10C, 5000).ljust(KIB, b"\0") * 128
    last = size(device) // (256 * KIB) - 1
    write(device, [(number * 256 * KIB + 16 * KIB, label) for number in (0, 1, last - 1, last)])


def btrfs(number, *devices):
    """A super block at 64 KiB (btrfs_tree.h): UUID, own offset, magic, size of sectors, devices; the checksum is CRC-32C."""
    for index, device in enumerate(devices, 1):
        block = bytearray(4 * KIB)
        block[0x20:0x30] = uuid("btrfs", number)
        struct.pack_into("<QQ8s", block, 0x30, 64 * KIB, 1, b"_BHRfS_M")
        struct.pack_into("<QQ", block, 0x70, size(device), 4 * KIB)
        struct.pack_into("<QIIII", block, 0x88, len(devices), 4 * KIB, 16 * KIB, 16 * KIB, 4 * KIB)
        struct.pack_into("<Q", block, 0xC9, index)
        struct.pack_into("<I", block, 0, crc(block[0x20:], 0x82F63B78, 32, 0xFFFFFFFF, True) ^ 0xFFFFFFFF)
        write(device, [(64 * KIB, bytes(block))])


def bcache(kind, device, number):
    """A super block in sector 8 (bcache_ondisk.h), of a cache (version 0) or of what is cached (1), in blocks of a page."""
    cache, bucket = kind == "cache", 1024
    block = bytearray(208)
    struct.pack_into("<QQ", block, 8, 8, 0 if cache else 1)
    block[24:40] = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
    block[40:56] = uuid(kind, number)
    block[56:72] = uuid("set", number)
    struct.pack_into("<QHHHH", block, 184, size(device) // 512 // bucket if cache else 16, 8, bucket, 1, 0)
    struct.pack_into("<H", block, 204, 1 if cache else 0)
    ones = (1 << 64) - 1
    struct.pack_into("<Q", block, 0, crc(block[8:], 0x42F0E1EBA9EA3693, 64, ones, False) ^ ones)
    write(device, [(4 * KIB, bytes(block))])


{"zfs": zfs, "btrfs": btrfs, "bcache": bcache}[sys.argv[1]](*sys.argv[2:])
