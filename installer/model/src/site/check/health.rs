//! `[storage.health]`.

use std::collections::BTreeSet;

use super::Checker;
use crate::site::health::MAX_WEAR_PERCENT;

impl Checker<'_, '_, '_, '_> {
    pub(super) fn health(&mut self) {
        let path = ["storage", "health", "max_wear_percent"];
        if let Some((_, span)) = self.number(&path).filter(|(percent, _)| !MAX_WEAR_PERCENT.contains(percent)) {
            let what =
                "is out of range: write 1 to 100; a disk that is worn out further can be named in storage.health.allow";
            self.wrong(&span, &path, what);
        }
        let path = ["storage", "health", "allow"];
        let mut seen = BTreeSet::new();
        for (name, span) in self.texts(&path) {
            if name.trim().is_empty() || name != name.trim() {
                let what = "has an entry that is empty or begins or ends with a blank: copy it from `sovereign-installer probe`";
                self.wrong(&span, &path, what);
            } else if !seen.insert(name) {
                self.wrong(&span, &path, "names the same disk twice: remove one");
            }
        }
    }
}
