//! `[memory_encryption]`: words that a person signs with.

use super::Checker;
use crate::site::syntax;

impl Checker<'_, '_, '_, '_> {
    pub(super) fn memory_encryption(&mut self) {
        let path = ["memory_encryption", "attested"];
        self.syntax(&path, syntax::attestation);
        let policy = self.text(&["memory_encryption", "policy"]);
        if let (Some(("ignore", _)), Some((_, span))) = (policy, self.text(&path)) {
            let what = "is of no use with policy = \"ignore\": remove it, or change memory_encryption.policy";
            self.wrong(&span, &path, what);
        }
    }
}
