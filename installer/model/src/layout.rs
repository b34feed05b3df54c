//! Constants and arithmetic of the storage stack, each with its source: partitions, md, LUKS2, LVM.
