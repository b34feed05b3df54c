//! A small image with all parts of a real one, for tests.

use std::fs;
use std::path::{Path, PathBuf};

use sovereign_model::Bytes;
use sovereign_model::medium::{
    BASE_PATH, GUEST_PATH, GuestRole, Guests, LIVE_PATH, Manifest, TARGET_PATH, guest_role_path,
};

use crate::edition::Edition;
use crate::iso::{ELTORITO_PATH, Stage};

/// Length of the one large file: more than any cut a test makes.
const BASE_BYTES: usize = 12 << 20;

/// The rehearsal edition.
pub fn rehearsal() -> Edition {
    Edition::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("editions/rehearsal.toml")).unwrap()
}

/// Bytes that repeat nowhere near.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        // Numerical Recipes' constants.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}

/// Writes an image to `folder` and gives its path.
pub fn image(folder: &Path) -> PathBuf {
    let (root, scratch) = (folder.join("medium"), folder.join("scratch"));
    fs::create_dir_all(root.join("sovereign")).unwrap();
    fs::create_dir_all(root.join("boot/grub/i386-pc")).unwrap();
    fs::create_dir_all(&scratch).unwrap();
    let stage = Stage { root: &root, scratch: &scratch, epoch: 1_700_000_000 };
    fs::write(root.join(ELTORITO_PATH), noise(30_000, 1)).unwrap();
    fs::write(root.join("boot/vmlinuz"), noise(50_001, 2)).unwrap();
    fs::write(root.join(BASE_PATH), noise(BASE_BYTES, 3)).unwrap();
    fs::write(root.join(TARGET_PATH), noise(5000, 4)).unwrap();
    fs::write(root.join(LIVE_PATH), noise(5000, 5)).unwrap();
    fs::write(root.join(GUEST_PATH), noise(6000, 8)).unwrap();
    fs::write(root.join(guest_role_path("edge")), noise(4000, 9)).unwrap();
    let (esp, mbr) = (scratch.join("esp.img"), scratch.join("boot_hybrid.img"));
    fs::write(&esp, noise(1 << 20, 6)).unwrap();
    fs::write(&mbr, noise(512, 7)).unwrap();
    stage.record(&esp, &mbr).unwrap();
    let manifest = Manifest {
        schema: 1,
        version: "1".to_owned(),
        edition: "test".to_owned(),
        edition_label: "a test".to_owned(),
        build_id: "c3ab8ff1-3720-8e8a-8d9b-0123456789ab".to_owned(),
        epoch: stage.epoch,
        suite: "trixie".to_owned(),
        kernel: "6".to_owned(),
        unpacked: Bytes(1),
        guests: Some(Guests {
            kernel: "6-cloud".to_owned(),
            unpacked: Bytes(2),
            roles: vec![GuestRole { name: "edge".to_owned(), unpacked: Bytes(3) }],
            workloads: Vec::new(),
        }),
        files: stage.files().unwrap(),
    };
    let image = folder.join("x.iso");
    stage.write(&manifest, &esp, &mbr, &folder.join(".x.iso.partial"), &image).unwrap();
    fs::remove_dir_all(&root).unwrap();
    fs::remove_dir_all(&scratch).unwrap();
    image
}

/// Changes one bit of a file.
pub fn flip(path: &Path, offset: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}
