//! Registries, asked through skopeo: it knows their protocols, the host's logins, proxies and mirrors.

use std::path::Path;

use super::error::WorkloadError;
use super::lock::Locked;
use super::manifest::{self, Answer, Digest, Manifest, ManifestError};
use crate::tool::{Call, Tool, ToolError};

/// How long one question may take.
const QUESTION_TIMEOUT: &str = "60s";
/// ... and a whole image, over a slow line.
const DOWNLOAD_TIMEOUT: &str = "2h";

/// Where images are fetched from.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    mirror: Option<Mirror>,
}

/// One registry that has every image, below the image's own full name.
#[derive(Debug, Clone)]
struct Mirror {
    /// Host, port, and perhaps a path.
    base: String,
    /// Whether it speaks HTTP without TLS.
    is_plain: bool,
}

/// An image that is asked for, and who wants it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Role and name of the workload.
    pub workload: &'a str,
    /// Registry and path: `docker.io/library/traefik`.
    pub repository: &'a str,
    /// Tag or digest, with the sign before it: `:v3.5`, `@sha256:...`.
    pub version: &'a str,
}

impl Wanted<'_> {
    /// The whole name.
    pub fn image(&self) -> String {
        format!("{}{}", self.repository, self.version)
    }

    /// The error of an image that cannot be used.
    pub fn unusable(&self, problem: ManifestError) -> WorkloadError {
        WorkloadError::Image { workload: self.workload.to_owned(), image: self.image(), problem }
    }

    /// The error of something that is not what its digest says.
    pub fn mismatch(&self, reason: String) -> WorkloadError {
        WorkloadError::Mismatch { workload: self.workload.to_owned(), image: self.image(), reason }
    }
}

/// An address, as opposed to `ARCHIVE=URL`.
fn is_address(option: &str) -> bool {
    option.starts_with("http://") || option.starts_with("https://")
}

/// Of a build's options `--mirror` the registry's, the last one, and those of package archives.
pub fn mirrors(options: &[String]) -> (Option<&str>, Vec<String>) {
    let (registries, archives): (Vec<&String>, Vec<&String>) = options.iter().partition(|option| is_address(option));
    (registries.last().map(|option| option.as_str()), archives.into_iter().cloned().collect())
}

impl Registry {
    /// Every image from its own registry, or all from the one at this address.
    pub fn new(mirror: Option<&str>) -> Result<Self, WorkloadError> {
        let Some(option) = mirror else { return Ok(Self::default()) };
        let wrong = || WorkloadError::Mirror { option: option.to_owned() };
        let (scheme, rest) = option.split_once("://").ok_or_else(wrong)?;
        let base = rest.trim_end_matches('/');
        let good = |c: char| c.is_ascii_alphanumeric() || ".-_:/[]".contains(c);
        if !is_address(option) || base.is_empty() || base.starts_with(['/', ':']) || !base.chars().all(good) {
            return Err(wrong());
        }
        Ok(Self { mirror: Some(Mirror { base: base.to_owned(), is_plain: scheme == "http" }) })
    }

    /// skopeo's name of an image.
    fn address(&self, wanted: &Wanted<'_>) -> String {
        let base = self.mirror.as_ref().map(|mirror| format!("{}/", mirror.base)).unwrap_or_default();
        format!("docker://{base}{}", wanted.image())
    }

    /// A call of skopeo, with the option for TLS named `tls`.
    fn skopeo(&self, command: &[&str], tls: &str) -> Call {
        let call = Call::new(Tool::Skopeo).args(command);
        let is_plain = self.mirror.as_ref().is_some_and(|mirror| mirror.is_plain);
        if is_plain { call.arg(format!("{tls}=false")) } else { call }
    }

    /// What the registry sends for one question.
    fn ask(&self, wanted: &Wanted<'_>, options: &[&str]) -> Result<Vec<u8>, WorkloadError> {
        let command = ["--command-timeout", QUESTION_TIMEOUT, "inspect", "--raw"];
        let call = self.skopeo(&command, "--tls-verify").args(options).arg(self.address(wanted));
        Ok(call.run().map_err(|error| explain(wanted, error))?.stdout)
    }

    /// Digest, and bytes with all blobs, of the image for the guests' processors that a tag leads to now.
    pub fn resolve(&self, workload: &str, repository: &str, tag: &str) -> Result<(Digest, u64), WorkloadError> {
        let version = format!(":{tag}");
        let tagged = Wanted { workload, repository, version: &version };
        let data = self.ask(&tagged, &[])?;
        let (digest, manifest, own) = match Answer::parse(&data).map_err(|problem| tagged.unusable(problem))? {
            Answer::Image(manifest) => (Digest::of(&data), *manifest, data.len()),
            Answer::Index(digest) => {
                let (manifest, own) = self.manifest(workload, repository, &digest)?;
                (digest, manifest, own)
            }
        };
        let version = format!("@{digest}");
        let wanted = Wanted { workload, repository, version: &version };
        let config = self.ask(&wanted, &["--config"])?;
        if Digest::of(&config) != manifest.config().digest {
            return Err(wanted.mismatch(format!("the configuration has the digest {}", Digest::of(&config))));
        }
        manifest::check_config(&config).map_err(|problem| tagged.unusable(problem))?;
        Ok((digest, manifest.total_bytes(own)))
    }

    /// The manifest with this digest, and its length in bytes.
    fn manifest(&self, workload: &str, repository: &str, digest: &Digest) -> Result<(Manifest, usize), WorkloadError> {
        let version = format!("@{digest}");
        let wanted = Wanted { workload, repository, version: &version };
        let data = self.ask(&wanted, &[])?;
        if Digest::of(&data) != *digest {
            return Err(wanted.mismatch(format!("the manifest has the digest {}", Digest::of(&data))));
        }
        match Answer::parse(&data).map_err(|problem| wanted.unusable(problem))? {
            Answer::Image(manifest) => Ok((*manifest, data.len())),
            Answer::Index(_) => Err(wanted.unusable(ManifestError::Kind("a list inside a list".to_owned()))),
        }
    }

    /// Fetches an image by digest into a new folder, as it is: `manifest.json`, and blobs that are called by the digits of their digests.
    pub fn fetch(&self, locked: &Locked, folder: &Path) -> Result<(), WorkloadError> {
        let (workload, version) = (locked.folder(), format!("@{}", locked.digest));
        let wanted = Wanted { workload: &workload, repository: locked.image.repository(), version: &version };
        // skopeo's folders, not its OCI layouts: those cannot hold Docker's manifests, which it then replaces by others.
        let call = self
            .skopeo(&["--command-timeout", DOWNLOAD_TIMEOUT, "copy", "--quiet"], "--src-tls-verify")
            .arg(self.address(&wanted))
            .arg(format!("dir:{}", folder.display()));
        call.run().map(drop).map_err(|error| explain(&wanted, error))
    }
}

/// What skopeo's error means. The words are those of skopeo 1.9.3 and of registries (OCI Distribution Specification 1.1, "Error
/// codes").
fn explain(wanted: &Wanted<'_>, error: ToolError) -> WorkloadError {
    let (workload, image) = (wanted.workload.to_owned(), wanted.image());
    let ToolError::Failed { output, .. } = &error else {
        return WorkloadError::Skopeo { workload, image, source: error };
    };
    let said = message(output);
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let source = Box::new(error);
    if has(&["toomanyrequests", "429 (Too Many Requests)"]) {
        return WorkloadError::TooMany { workload, image, source };
    }
    // What the host's own files deny is not the registry's doing.
    let is_denied = said.replace("permission denied", "").contains("denied");
    if is_denied || has(&["unauthorized", "authentication required", "401 (Unauthorized)", "403 (Forbidden)"]) {
        return WorkloadError::Unauthorised { workload, image, source };
    }
    if has(&["Digest did not match", "does not match"]) {
        return WorkloadError::Mismatch { workload, image, reason: said };
    }
    if has(&["reading blob", "fetching blob", "reading config blob", "blob unknown"]) && has(&["404", "unknown"]) {
        return WorkloadError::Missing { workload, image, reason: said, source };
    }
    if has(&["manifest unknown", "name unknown", "404 (Not Found)"]) {
        let by_digest = wanted.version.starts_with('@');
        return if by_digest {
            WorkloadError::Gone { workload, image, source }
        } else {
            WorkloadError::NoTag { workload, image, source }
        };
    }
    if has(&[
        "pinging container registry",
        "dial tcp",
        "no such host",
        "timeout",
        "deadline exceeded",
        "connection re",
        "EOF",
    ]) || has(&["HTTP status: 5", "status code from registry 5", "x509: "])
    {
        // What is before it names the image and the step, which is said already.
        let reason = said.rsplit_once("pinging container registry ").map_or(said.as_str(), |(_, reason)| reason);
        return WorkloadError::Unreachable { workload, image, reason: reason.to_owned(), source };
    }
    WorkloadError::Skopeo { workload, image, source: *source }
}

/// The text of the last line of skopeo's log: `time="..." level=fatal msg="..."`.
fn message(output: &str) -> String {
    let line = output.lines().rev().find(|line| line.contains("level=fatal")).unwrap_or(output);
    let text = line.split_once("msg=\"").map_or(line, |(_, text)| text.trim_end().trim_end_matches('"'));
    text.replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_model::exit::ExitCode;

    const TAG: Wanted<'_> =
        Wanted { workload: "edge/traefik", repository: "docker.io/library/traefik", version: ":v3.5" };

    fn explained(wanted: &Wanted<'_>, message: &str) -> WorkloadError {
        let output = format!("\ntime=\"2026-11-26T15:03:29Z\" level=fatal msg=\"{message}\"");
        let failed = ToolError::Failed { command: "skopeo".to_owned(), status: "exit status: 1".to_owned(), output };
        explain(wanted, failed)
    }

    #[test]
    fn a_mirror_has_images_below_their_full_names() {
        let address = |mirror: Option<&str>| Registry::new(mirror).unwrap().address(&TAG);
        assert_eq!(address(None), "docker://docker.io/library/traefik:v3.5");
        assert_eq!(address(Some("http://127.0.0.1:5000/")), "docker://127.0.0.1:5000/docker.io/library/traefik:v3.5");
        assert_eq!(address(Some("https://r.test/a")), "docker://r.test/a/docker.io/library/traefik:v3.5");
        let line = |mirror| Registry::new(mirror).unwrap().skopeo(&["copy"], "--src-tls-verify").line();
        assert_eq!(line(Some("http://r.test")), "skopeo copy --src-tls-verify=false");
        // Only an address that says so goes without TLS.
        assert_eq!([line(None), line(Some("https://r.test"))], ["skopeo copy", "skopeo copy"]);
        let options = ["debian=http://m.test/debian", "http://r.test"].map(str::to_owned);
        assert_eq!(mirrors(&options), (Some("http://r.test"), vec!["debian=http://m.test/debian".to_owned()]));
        for wrong in
            ["r.test", "ftp://r.test", "http://", "http://user:secret@r.test", "https://r.test/?a", "http:///x"]
        {
            let said = Registry::new(Some(wrong)).unwrap_err();
            assert!(matches!(said, WorkloadError::Mirror { .. }), "{wrong}");
        }
    }

    #[test]
    fn what_skopeo_says_is_understood() {
        // skopeo 1.9.3, against docker-registry 2.8.2 unless it says otherwise.
        let digest = format!("@sha256:{}", "7".repeat(64));
        let locked = Wanted { version: &digest, ..TAG };
        let unknown = "reading manifest v3.5 in r.test/docker.io/library/traefik: manifest unknown: manifest unknown";
        assert!(matches!(explained(&TAG, unknown), WorkloadError::NoTag { .. }));
        assert!(matches!(explained(&locked, unknown), WorkloadError::Gone { .. }));
        let refused = "Error parsing image name \\\"docker://127.0.0.1:9/x:2\\\": pinging container registry 127.0.0.1:9: Get \
                       \\\"http://127.0.0.1:9/v2/\\\": dial tcp 127.0.0.1:9: connect: connection refused";
        let error = explained(&TAG, refused);
        let reason = "127.0.0.1:9: Get \"http://127.0.0.1:9/v2/\": dial tcp 127.0.0.1:9: connect: connection refused";
        assert!(matches!(&error, WorkloadError::Unreachable { reason: found, .. } if found == reason), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Internal);
        for silence in [
            "pinging container registry r.test: Get \\\"https://r.test/v2/\\\": http: server gave HTTP response to HTTPS client",
            "pinging container registry r.test: Get \\\"https://r.test/v2/\\\": dial tcp: lookup r.test on 10.0.0.1:53: no such host",
            "reading manifest 1 in r.test/x: received unexpected HTTP status: 503 Service Unavailable",
        ] {
            assert!(matches!(explained(&TAG, silence), WorkloadError::Unreachable { .. }), "{silence}");
        }
        let login = "reading manifest 1 in r.test/x: unauthorized: authentication required";
        assert!(matches!(explained(&locked, login), WorkloadError::Unauthorised { .. }));
        let hidden = "reading manifest 1 in ghcr.io/x: denied";
        assert!(matches!(explained(&TAG, hidden), WorkloadError::Unauthorised { .. }));
        let own = "open /run/containers/0/auth.json: permission denied";
        assert!(matches!(explained(&TAG, own), WorkloadError::Skopeo { .. }));
        // Docker Hub, as of its documentation.
        let limit = "reading manifest 1 in r.test/x: toomanyrequests: You have reached your pull rate limit.";
        assert!(matches!(explained(&TAG, limit), WorkloadError::TooMany { .. }));
        for altered in [
            "writing blob: happened during read: Digest did not match, expected sha256:2d, got sha256:dd",
            "reading config blob sha256:66: Download config.json digest sha256:fd does not match expected sha256:66",
            "determining manifest MIME type for docker://r.test/x@sha256:78: Manifest does not match provided manifest digest sha256:78",
        ] {
            assert!(matches!(explained(&locked, altered), WorkloadError::Mismatch { .. }), "{altered}");
        }
        let missing = "reading blob sha256:2d: Error fetching blob: invalid status code from registry 404 (Not Found)";
        let error = explained(&locked, missing);
        assert!(matches!(error, WorkloadError::Missing { .. }), "{error}");
        assert_eq!(error.exit_code(), ExitCode::BadSource);
        assert!(matches!(explained(&TAG, "something else"), WorkloadError::Skopeo { .. }));
    }
}
