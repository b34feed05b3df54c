//! What holds for the shares of every machine, whatever the site pins: they fit, they stay between floor and ceiling, and more
//! hardware never gives a role less.

// Clippy knows test functions, not the functions they share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use sovereign_model::bytes::{Bytes, MIB};
use sovereign_model::capacity::{Machine, Refusal, SMALL_VOLUMES, Shares, Wishes, share};
use sovereign_model::plan::Pool;
use sovereign_model::role::{Amount, Catalogue};
use sovereign_model::site::{GuestRole, Size};

/// Each role's figures: vCPUs, weight, MiB of RAM, extents of SSD and HDD.
fn figures(shares: &Shares<'_>) -> Vec<[u64; 5]> {
    let each = shares.roles.iter().map(|share| {
        let small = [u64::from(share.vcpus.value), u64::from(share.cpu_weight.value)];
        [small[0], small[1], share.memory_mib.value, share.ssd.value, share.hdd.value]
    });
    each.collect()
}

fn machines() -> impl Strategy<Value = Machine> {
    // Where rules change is between 64 GB and 1 TB of SSD; beyond it they do not any more.
    let ssd = prop_oneof![4 => 10_000u64..250_000, 1 => 250_000u64..6_000_000];
    let hdd = prop_oneof![1 => Just(None), 3 => (0u64..40_000_000).prop_map(Some)];
    (1u32..300, 0u64..2_000_000, ssd, hdd).prop_map(|(threads, mib, ssd, hdd)| Machine {
        threads,
        memory: Bytes::mib(mib),
        ssd,
        hdd,
    })
}

/// More by a little or by much, or not at all.
fn more() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0u64), 1u64..40, 1u64..20_000, 1u64..3_000_000]
}

fn pins() -> impl Strategy<Value = BTreeMap<String, GuestRole>> {
    let size = |most: u64| prop::option::weighted(0.15, (1u64..most).prop_map(|bytes| Size::Absolute(Bytes(bytes))));
    let number = |most: u32| prop::option::weighted(0.15, 1..most);
    let role = (number(64), number(10_000), size(30_000_000_000), size(300_000_000_000), size(8_000_000_000_000))
        .prop_map(|(vcpus, cpu_weight, memory, ssd, hdd)| GuestRole {
            vcpus,
            cpu_weight,
            memory,
            ssd,
            hdd,
            ..GuestRole::default()
        });
    prop::collection::btree_map(
        prop::sample::select(vec!["edge".to_owned(), "core".into(), "storage".into()]),
        role,
        0..4,
    )
}

fn within(amount: &Amount, bytes: u64, step: u64) -> bool {
    match amount.growth {
        None => bytes.abs_diff(amount.reference.0) < step,
        Some(growth) => bytes + step > growth.floor.0 && bytes < growth.ceiling.0 + step,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn shares_fit_the_machine_and_stay_between_floor_and_ceiling(
        machine in machines(), accepted: Option<bool>, pins in pins(),
    ) {
        let catalogue = Catalogue::shipped().unwrap();
        match share(catalogue, &machine, &Wishes { ssd_overcommit: accepted, roles: &pins }) {
            Err(refusals) => {
                prop_assert!(!refusals.is_empty());
                for refusal in refusals {
                    let missing = match &refusal {
                        Refusal::Threads { needed, there, .. } => needed > there,
                        Refusal::PinnedThreads { pinned, there, .. } => pinned > there,
                        Refusal::Memory { needed, there, .. }
                        | Refusal::Space { needed, there, .. }
                        | Refusal::Overcommitted { needed, there, .. } => needed > there,
                        Refusal::PinTooSmall { pinned, least, .. } => pinned < least,
                        Refusal::ThickSsd => false,
                    };
                    prop_assert!(missing, "{}", refusal);
                }
            }
            Ok(shares) => {
                let sum = |figure: usize| figures(&shares).iter().map(|row| row[figure]).sum::<u64>();
                prop_assert!((sum(2) + shares.qemu_mib) * MIB <= machine.memory.0);
                prop_assert_eq!(shares.ssd_used, sum(3) + SMALL_VOLUMES * 3);
                let most = if accepted == Some(true) { machine.ssd * 11 / 10 } else { machine.ssd };
                prop_assert!(shares.ssd_used <= most);
                prop_assert!(sum(4) == shares.hdd_used && sum(4) <= machine.hdd.unwrap_or(0));
                for share in &shares.roles {
                    let (capacity, pin) = (&share.role.capacity, pins.get(share.role.name.as_str()));
                    prop_assert!(share.vcpus.value <= machine.threads);
                    let pinned = |is: fn(&GuestRole) -> bool| pin.is_some_and(is);
                    let vcpus = capacity.vcpus.floor..=capacity.vcpus.ceiling;
                    prop_assert!(pinned(|p| p.vcpus.is_some()) || vcpus.contains(&share.vcpus.value));
                    prop_assert!(pinned(|p| p.memory.is_some()) || within(&capacity.memory, share.memory_mib.value * MIB, MIB));
                    prop_assert!(pinned(|p| p.ssd.is_some()) || within(&capacity.ssd, share.ssd.value * 4 * MIB, 4 * MIB));
                    if let (Some(hdd), Some(_)) = (&capacity.hdd, machine.hdd) {
                        prop_assert!(pinned(|p| p.hdd.is_some()) || within(hdd, share.hdd.value * 4 * MIB, 4 * MIB));
                    }
                }
            }
        }
    }

    #[test]
    fn more_hardware_never_gives_a_role_less(
        small in machines(), more in [more(), more(), more(), more()], alone in 0usize..6, accepted: bool, pins in pins(),
    ) {
        let catalogue = Catalogue::shipped().unwrap();
        // One thing more, or all four.
        let more: Vec<u64> = more.iter().enumerate().map(|(n, more)| if alone > 3 || alone == n { *more } else { 0 }).collect();
        // A machine without HDDs may get some.
        let hdd = match small.hdd {
            None if more[3] > 0 && alone != 5 => Some(more[3] * 10),
            hdd => hdd.map(|hdd| hdd + more[3]),
        };
        let large = Machine {
            threads: small.threads + u32::try_from(more[0] % 200).unwrap(),
            memory: Bytes::mib(small.memory.0 / MIB + more[1]),
            ssd: small.ssd + more[2],
            hdd,
        };
        let wishes = Wishes { ssd_overcommit: Some(accepted), roles: &pins };
        let (before, after) = (share(catalogue, &small, &wishes), share(catalogue, &large, &wishes));
        match (before, after) {
            (Ok(before), Ok(after)) => {
                for (before, after) in figures(&before).iter().zip(figures(&after)) {
                    prop_assert!(before.iter().zip(after).all(|(before, after)| *before <= after), "{:?} {:?}", before, after);
                }
            }
            // HDDs that were not there before may be too small for what is asked of them; nothing else turns a plan into none.
            (Ok(_), Err(refusals)) => {
                let about_hdds = |refusal: &Refusal| {
                    matches!(refusal, Refusal::Space { pool: Pool::Hdd, .. } | Refusal::PinTooSmall { key: "hdd", .. })
                };
                prop_assert!(small.hdd.is_none() && hdd.is_some() && refusals.iter().all(about_hdds), "{:?}", refusals);
            }
            (Err(_), _) => {}
        }
    }
}

#[test]
fn the_random_machines_do_have_shares() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let catalogue = Catalogue::shipped().unwrap();
    let fits = (0..600).filter(|_| {
        let (machine, pins) = (machines(), pins()).new_tree(&mut runner).unwrap().current();
        share(catalogue, &machine, &Wishes { ssd_overcommit: Some(true), roles: &pins }).is_ok()
    });
    let count = fits.count();
    assert!(count > 150, "only {count} of 600 machines have shares: the properties are tested on too few");
}
