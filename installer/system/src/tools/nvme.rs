//! nvme-cli 2.13: drives that erase themselves.

use std::time::Duration;

use serde::Deserialize;
use sovereign_model::erase::{SanitizeAction, SelfErase};

use crate::runner::{Cmd, RunError, Runner};

/// What a controller offers (NVM Express Base Specification 1.4, figure 247, Identify Controller).
#[derive(Deserialize)]
struct Controller {
    /// Optional Admin Command Support.
    oacs: u32,
    /// Format NVM Attributes.
    #[serde(default)]
    fna: u32,
    /// Sanitize Capabilities.
    #[serde(default)]
    sanicap: u32,
}

/// OACS: the drive has Format NVM.
const OACS_FORMAT: u32 = 1 << 1;
/// FNA: a secure erase is of all namespaces.
const FNA_ERASES_ALL: u32 = 1 << 1;
/// SANICAP: the drive has the cryptographic erase.
const SANICAP_CRYPTO: u32 = 1 << 0;
/// SANICAP: the drive has the block erase.
const SANICAP_BLOCK: u32 = 1 << 1;
/// Secure Erase Settings of Format NVM: user data erase. The drive may do that by forgetting a key, where all data is encrypted.
const SES_USER_DATA: u8 = 1;
/// What a drive says of a time that it does not know.
const NO_TIME: u32 = u32::MAX;

/// What the sanitize status log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SanitizeLog {
    /// How far a running operation is, in 65536ths.
    pub progress: u32,
    /// How the last operation ended, or that one is running.
    pub state: SanitizeState,
    /// Seconds a block erase takes.
    pub block_seconds: Option<u32>,
    /// Seconds a cryptographic erase takes.
    pub crypto_seconds: Option<u32>,
}

/// The last sanitize operation of a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SanitizeState {
    /// There was none.
    Never,
    /// It is complete.
    Done,
    /// It goes on; after a power cut it goes on by itself.
    Running,
    /// It failed.
    Failed,
}

/// How the drive whose `nvme id-ctrl --output-format=json` is `id_ctrl` erases itself; `log` is its `nvme sanitize-log`, where it has one.
///
/// # Errors
/// What is wrong with `id_ctrl`.
pub fn parse_self_erase(id_ctrl: &str, log: Option<&str>) -> Result<SelfErase, String> {
    let controller: Controller = serde_json::from_str(id_ctrl).map_err(|e| e.to_string())?;
    let log = log.and_then(|text| parse_sanitize_log(text).ok());
    // What touches least comes first: a format may be of one namespace, a sanitize operation is of the whole drive.
    Ok(if controller.oacs & OACS_FORMAT != 0 {
        SelfErase::NvmeFormat { whole_drive: controller.fna & FNA_ERASES_ALL != 0 }
    } else if controller.sanicap & SANICAP_BLOCK != 0 {
        SelfErase::NvmeSanitize { action: SanitizeAction::BlockErase, seconds: log.and_then(|log| log.block_seconds) }
    } else if controller.sanicap & SANICAP_CRYPTO != 0 {
        SelfErase::NvmeSanitize { action: SanitizeAction::CryptoErase, seconds: log.and_then(|log| log.crypto_seconds) }
    } else {
        SelfErase::Unable { why: "the drive has neither Format nor Sanitize".to_owned() }
    })
}

/// Reads `nvme sanitize-log --output-format=json`.
///
/// # Errors
/// What is missing.
pub fn parse_sanitize_log(text: &str) -> Result<SanitizeLog, String> {
    let whole: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    // One object, under the device's name.
    let log = whole.as_object().and_then(|drives| drives.values().next()).ok_or("it has no drive")?;
    let number = |key: &str| log[key].as_u64().and_then(|n| u32::try_from(n).ok());
    // `(1) Most Recent Sanitize Command Completed Successfully.`, under a key that differs between versions.
    let mut states = log["sstat"].as_object().into_iter().flat_map(|state| state.values());
    let code = states
        .find_map(|value| value.as_str()?.strip_prefix('(')?.split(')').next()?.parse::<u32>().ok())
        .ok_or("it has no state")?;
    let state = match code {
        0 => SanitizeState::Never,
        // 4: as 1, but some blocks were not deallocated.
        1 | 4 => SanitizeState::Done,
        2 => SanitizeState::Running,
        _ => SanitizeState::Failed,
    };
    let seconds = |key| number(key).filter(|seconds| *seconds != NO_TIME);
    Ok(SanitizeLog {
        progress: number("sprog").ok_or("it has no sprog")?,
        state,
        block_seconds: seconds("time_block_erase"),
        crypto_seconds: seconds("time_crypto_erase"),
    })
}

/// Formats a namespace with a user data erase, and waits for it.
///
/// # Errors
/// [`RunError`].
pub fn format(runner: &dyn Runner, device: &str, timeout: Duration) -> Result<(), RunError> {
    let (erase, patience) = (format!("--ses={SES_USER_DATA}"), format!("--timeout={}", timeout.as_millis()));
    // nvme has a timeout of its own, which must be the first to end it: the drive goes on either way.
    let cmd = Cmd::new("nvme", ["format", device, &erase, &patience, "--force"]);
    runner.run(&cmd.timeout(timeout + Duration::from_secs(60))).map(drop)
}

/// Starts a sanitize operation of a whole drive; `controller` is its node (`/dev/nvme0`).
///
/// # Errors
/// [`RunError`].
pub fn sanitize(runner: &dyn Runner, controller: &str, action: SanitizeAction) -> Result<(), RunError> {
    // Sanitize Action: 2 is the block erase, 4 the cryptographic one.
    let action = match action {
        SanitizeAction::BlockErase => "--sanact=2",
        SanitizeAction::CryptoErase => "--sanact=4",
    };
    runner.run(&Cmd::new("nvme", ["sanitize", controller, action])).map(drop)
}

/// How far a sanitize operation is.
///
/// # Errors
/// [`RunError`].
pub fn sanitize_log(runner: &dyn Runner, controller: &str) -> Result<SanitizeLog, RunError> {
    let cmd = Cmd::new("nvme", ["sanitize-log", controller, "--output-format=json"]);
    let output = runner.run(&cmd)?;
    parse_sanitize_log(&output.stdout).map_err(|reason| RunError::Unexpected { line: cmd.line(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    /// nvme-cli 2.13, `nvme sanitize-log /dev/nvme0 --output-format=json`, from its source: no drive at hand has the command.
    fn log(state: &str, progress: u32) -> String {
        format!(
            r#"{{"nvme0":{{"sprog":{progress},"sstat":{{"media_verification_canceled":0,"global_erased":1,"no_cmplted_passes":0,
               "status":"{state}"}},"cdw10_info":2,"time_over_write":4294967295,"time_block_erase":30,"time_crypto_erase":4294967295}}}}"#
        )
    }

    #[test]
    fn a_drive_formats_one_namespace_if_it_can() {
        let parse = |oacs: u32, fna: u32, sanicap: u32| {
            // nvme-cli 2.13, `nvme id-ctrl /dev/nvme0n1 --output-format=json`, shortened; QEMU 7.2 says 0x10a, 0 and 0.
            let text =
                format!(r#"{{"vid":6966,"sn":"NVME0001","oacs":{oacs},"fna":{fna},"sanicap":{sanicap},"nn":256}}"#);
            parse_self_erase(&text, Some(&log("(0) Never", 65_535))).unwrap()
        };
        assert_eq!(parse(0x10a, 0, 0), SelfErase::NvmeFormat { whole_drive: false });
        assert_eq!(parse(0x17, 0b110, 0b111), SelfErase::NvmeFormat { whole_drive: true });
        let block = SelfErase::NvmeSanitize { action: SanitizeAction::BlockErase, seconds: Some(30) };
        assert_eq!(parse(0x15, 0, 0b011), block);
        let crypto = SelfErase::NvmeSanitize { action: SanitizeAction::CryptoErase, seconds: None };
        assert_eq!(parse(0x15, 0, 0b001), crypto);
        assert!(matches!(parse(0x15, 0, 0b100), SelfErase::Unable { .. }));
        assert!(parse_self_erase("{}", None).is_err());
    }

    #[test]
    fn a_sanitize_operation_says_how_far_it_is() {
        let running = parse_sanitize_log(&log("(2) Sanitize in Progress.", 32_768)).unwrap();
        assert_eq!((running.state, running.progress), (SanitizeState::Running, 32_768));
        for (text, state) in [
            ("(0) NVM Subsystem has never been sanitized.", SanitizeState::Never),
            ("(1) Most Recent Sanitize Command Completed Successfully.", SanitizeState::Done),
            ("(4) Most Recent Sanitize Command (No-Deallocate After Sanitize requested) ...", SanitizeState::Done),
            ("(3) Most Recent Sanitize Command Failed.", SanitizeState::Failed),
        ] {
            assert_eq!(parse_sanitize_log(&log(text, 65_535)).unwrap().state, state);
        }
        assert_eq!(parse_sanitize_log("{}").unwrap_err(), "it has no drive");
    }

    #[test]
    fn whole_commands() {
        let runner = Recorder::new().prints("nvme sanitize-log", &log("(1) done", 65_535));
        format(&runner, "/dev/nvme0n1", Duration::from_secs(7200)).unwrap();
        sanitize(&runner, "/dev/nvme0", SanitizeAction::BlockErase).unwrap();
        sanitize(&runner, "/dev/nvme0", SanitizeAction::CryptoErase).unwrap();
        assert_eq!(sanitize_log(&runner, "/dev/nvme0").unwrap().state, SanitizeState::Done);
        assert_eq!(
            runner.lines(),
            [
                "nvme format /dev/nvme0n1 --ses=1 --timeout=7200000 --force",
                "nvme sanitize /dev/nvme0 --sanact=2",
                "nvme sanitize /dev/nvme0 --sanact=4",
                "nvme sanitize-log /dev/nvme0 --output-format=json",
            ]
        );
    }
}
