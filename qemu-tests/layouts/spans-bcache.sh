# A disk that is chosen, with a cache that is not.
# disks: 1 + 1
# outcome: spans
# says: bcache
bcache backing "$D1" 2 && bcache cache "$K1" 2
