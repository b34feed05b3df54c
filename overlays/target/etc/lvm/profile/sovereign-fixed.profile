# The thin pool beside the host's root volume. It never grows by itself: what its group leaves unallocated is a reserve that a
# person hands out.
activation {
    thin_pool_autoextend_threshold = 100
    thin_pool_autoextend_percent = 5
}
