//! unsquashfs 4.6: unpacking a layer.

use std::path::Path;
use std::time::Duration;

use crate::runner::{Cmd, RunError, Runner};

/// Slow virtual media of a BMC deliver about 1 MB/s.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Unpacks the whole of `image` over the folder `target`; `progress` gets per cent.
///
/// # Errors
/// [`RunError`].
pub fn unpack(runner: &dyn Runner, image: &Path, target: &Path, progress: &mut dyn FnMut(u8)) -> Result<(), RunError> {
    let (image, target) = (image.to_string_lossy(), target.to_string_lossy());
    let cmd = Cmd::new("unsquashfs", ["-force", "-percentage", "-dest", &target, &image]).timeout(TIMEOUT);
    let mut last = None;
    let output = runner.status(&cmd, &mut |piece| {
        if let Ok(percent) = piece.trim().parse::<u8>()
            && last != Some(percent)
        {
            last = Some(percent);
            progress(percent.min(100));
        }
    })?;
    if output.code == 0 {
        return Ok(());
    }
    Err(RunError::Failed { line: cmd.line(), code: output.code, stdout: output.stdout, stderr: output.stderr })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn percentages_are_passed_on_once() {
        let runner = Recorder::new().prints("unsquashfs", "created 3 files\n0\n7\n7\n100\n");
        let mut seen = Vec::new();
        unpack(&runner, Path::new("/m/base.squashfs"), Path::new("/target"), &mut |p| seen.push(p)).unwrap();
        assert_eq!(seen, [0, 7, 100]);
        assert_eq!(runner.lines(), ["unsquashfs -force -percentage -dest /target /m/base.squashfs"]);
    }
}
