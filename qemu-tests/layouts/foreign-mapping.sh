# A container on a disk that is not chosen is open under the name that the product's own gets.
# disks: 0 + 1
# outcome: stopped
# says: a mapping luks-ssd exists already
# undo: cryptsetup close luks-ssd && wipefs -qa "$K1"
luks 2 "$K1" luks-ssd
