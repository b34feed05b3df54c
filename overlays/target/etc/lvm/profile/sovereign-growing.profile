# The thin pool of bulk data: from 80 % on it grows by a twentieth at a time, where its group has something left.
activation {
    thin_pool_autoextend_threshold = 80
    thin_pool_autoextend_percent = 5
}
