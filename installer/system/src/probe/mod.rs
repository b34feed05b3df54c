//! Reading the machine: raw captures, and the pure parsers that turn them into an `Inventory`.
