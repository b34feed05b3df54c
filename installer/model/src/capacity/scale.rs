//! One quantity shared among roles: each has its figure of the reference machine times a common scale, within its floor and ceiling.
//!
//! The scale is the largest one whose sum fits. No figure falls when the scale rises, and the scale does not fall when there is more
//! to share: so more of a thing never gives a role less of it.

use crate::role::Amount;

/// What decides one role's figure, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The site's word.
    Pinned(u64),
    /// The same on every machine.
    Fixed(u64),
    /// The scale, between two limits.
    Elastic {
        /// At scale 1.
        reference: u64,
        /// At least this much.
        floor: u64,
        /// At most this much.
        ceiling: u64,
    },
}

/// Where between its limits a figure came to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Pinned,
    Fixed,
    Reference,
    Floor,
    Ceiling,
    Scaled,
}

impl Rule {
    /// The role's own rule, or the site's word.
    pub(super) fn of(amount: &Amount, pin: Option<u64>) -> Self {
        match (pin, amount.growth) {
            (Some(bytes), _) => Self::Pinned(bytes),
            (None, None) => Self::Fixed(amount.reference.0),
            (None, Some(growth)) => {
                Self::Elastic { reference: amount.reference.0, floor: growth.floor.0, ceiling: growth.ceiling.0 }
            }
        }
    }

    /// Bytes at the scale `n / unit`.
    pub(super) fn at(self, n: u64, unit: u64) -> u64 {
        match self {
            Self::Pinned(bytes) | Self::Fixed(bytes) => bytes,
            Self::Elastic { reference, floor, ceiling } => {
                let scaled = u128::from(reference) * u128::from(n) / u128::from(unit);
                u64::try_from(scaled).unwrap_or(u64::MAX).clamp(floor, ceiling)
            }
        }
    }

    /// Which of its limits decides at the scale `n / unit`.
    pub(super) fn place(self, n: u64, unit: u64) -> Place {
        match self {
            Self::Pinned(_) => Place::Pinned,
            Self::Fixed(_) => Place::Fixed,
            Self::Elastic { reference, floor, ceiling } => match self.at(n, unit) {
                bytes if bytes == reference => Place::Reference,
                bytes if bytes == floor => Place::Floor,
                bytes if bytes == ceiling => Place::Ceiling,
                _ => Place::Scaled,
            },
        }
    }

    /// The least `n` from which on nothing changes any more.
    fn most(self, unit: u64) -> u64 {
        match self {
            Self::Pinned(_) | Self::Fixed(_) => 0,
            Self::Elastic { reference, ceiling, .. } => {
                let n = (u128::from(ceiling) * u128::from(unit)).div_ceil(u128::from(reference.max(1)));
                u64::try_from(n).unwrap_or(u64::MAX)
            }
        }
    }
}

/// The largest `n` for which `fits(n)`, where all figures are at scale `n / unit`; `None` where not even their floors fit. `fits` must
/// not become true again once it is false.
pub(super) fn largest(rules: &[Rule], unit: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    if !fits(0) {
        return None;
    }
    let (mut good, mut end) = (0, rules.iter().map(|rule| rule.most(unit)).max().unwrap_or(0));
    while good < end {
        let middle = good + (end - good).div_ceil(2);
        if fits(middle) {
            good = middle;
        } else {
            end = middle - 1;
        }
    }
    Some(good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EDGE: Rule = Rule::Elastic { reference: 2, floor: 1, ceiling: 10 };
    const CORE: Rule = Rule::Elastic { reference: 12, floor: 4, ceiling: 100 };

    fn share(budget: u64, rules: &[Rule]) -> Option<Vec<u64>> {
        let at = |n| rules.iter().map(|rule| rule.at(n, 16)).collect::<Vec<_>>();
        largest(rules, 16, |n| at(n).iter().sum::<u64>() <= budget).map(at)
    }

    #[test]
    fn a_scale_is_found_between_floors_and_ceilings() {
        assert_eq!(share(4, &[EDGE, CORE]), None);
        assert_eq!(share(5, &[EDGE, CORE]), Some(vec![1, 4]));
        assert_eq!(share(14, &[EDGE, CORE]), Some(vec![2, 12]));
        assert_eq!(share(1000, &[EDGE, CORE]), Some(vec![10, 100]));
        assert_eq!(share(14, &[Rule::Pinned(8), CORE]), Some(vec![8, 6]));
        assert_eq!(share(14, &[Rule::Fixed(15)]), None);
        assert_eq!(share(3, &[]), Some(vec![]));
        assert_eq!((EDGE.place(16, 16), EDGE.place(0, 16)), (Place::Reference, Place::Floor));
        assert_eq!((EDGE.place(999, 16), CORE.place(24, 16)), (Place::Ceiling, Place::Scaled));
    }

    fn rule() -> impl Strategy<Value = Rule> {
        let elastic = (1..1u64 << 50, 1..1u64 << 50, 1..1u64 << 50).prop_map(|(a, b, c)| {
            let mut sorted = [a, b, c];
            sorted.sort_unstable();
            Rule::Elastic { floor: sorted[0], reference: sorted[1], ceiling: sorted[2] }
        });
        prop_oneof![4 => elastic, 1 => (0..1u64 << 50).prop_map(Rule::Pinned), 1 => (0..1u64 << 50).prop_map(Rule::Fixed)]
    }

    proptest! {
        #[test]
        fn the_scale_found_fits_and_the_next_one_does_not(
            rules in prop::collection::vec(rule(), 0..6), budget in 0..1u64 << 54,
        ) {
            let sum = |n| rules.iter().map(|rule| rule.at(n, 256)).sum::<u64>();
            match largest(&rules, 256, |n| sum(n) <= budget) {
                Some(n) => {
                    prop_assert!(sum(n) <= budget);
                    prop_assert!(sum(n + 1) > budget || sum(n + 1) == sum(u64::MAX));
                }
                None => prop_assert!(sum(0) > budget),
            }
        }

        #[test]
        fn more_to_share_gives_nobody_less(
            rules in prop::collection::vec(rule(), 1..6), budget in 0..1u64 << 53, more in 0..1u64 << 53,
        ) {
            if let Some(before) = share(budget, &rules) {
                let after = share(budget + more, &rules).unwrap();
                prop_assert!(before.iter().zip(&after).all(|(before, after)| before <= after));
            }
        }
    }
}
