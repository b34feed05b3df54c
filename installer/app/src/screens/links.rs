//! Network cards, brought up to see which of them have a link: a card that is down does not know.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use sovereign_system::runner::{Cmd, Runner};

/// Where the kernel lists network interfaces.
pub const NET: &str = "/sys/class/net";
/// How long a card may take to agree with its other end on a speed.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is asked.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// Brings every card up, without an address of any kind, so that nothing is sent, and waits a moment for links. A card that does not come
/// up is one whose link is not known.
pub fn raise(runner: &dyn Runner, net: &Path) {
    let names: Vec<String> = fs::read_dir(net)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        // What has no hardware has no plug.
        .filter(|name| net.join(name).join("device").exists())
        .collect();
    for name in &names {
        let _ = runner.run(&Cmd::new("ip", ["link", "set", "dev", name, "addrgenmode", "none", "up"]));
    }
    let has_link =
        |name: &String| fs::read_to_string(net.join(name).join("carrier")).is_ok_and(|carrier| carrier.trim() == "1");
    let start = Instant::now();
    while start.elapsed() < PATIENCE && !names.iter().all(has_link) {
        thread::sleep(ASK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_system::testing::Recorder;

    #[test]
    fn cards_are_brought_up_and_nothing_else_is() {
        let net = tempfile::tempdir().unwrap();
        for folder in ["lo", "enp3s0/device"] {
            fs::create_dir_all(net.path().join(folder)).unwrap();
        }
        fs::write(net.path().join("enp3s0/carrier"), "1\n").unwrap();
        let runner = Recorder::new();
        raise(&runner, net.path());
        assert_eq!(runner.lines(), ["ip link set dev enp3s0 addrgenmode none up"]);
    }
}
