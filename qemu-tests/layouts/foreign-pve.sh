# The disk of a former node, not chosen, whose group has the name that the product's own gets: two of them would not boot.
# disks: 0 + 1
# outcome: stopped
# says: a volume group pve exists already
# undo: vgremove -qqffy pve && pvremove -qqffy "$K1"
pvcreate -qqy "$K1" && vgcreate -qq pve "$K1" && lvcreate -qqy -L 32M -n root pve
