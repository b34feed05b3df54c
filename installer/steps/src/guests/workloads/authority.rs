//! The appliance's own certificate authority (RFC 5280): its key lies on the target's encrypted root and nowhere else, and it may sign for the
//! site's names alone.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use sovereign_engine::StepError;
use sovereign_model::workload::Facts;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::fail::OrStep;
use crate::files::{self, PRIVATE, PUBLIC};

/// Folder on the target, for root alone.
pub(super) const FOLDER: &str = "/etc/sovereign/ca";
/// How long people trust it before they have to trust another, days.
const AUTHORITY_DAYS: i64 = 3650;
/// The longest that Apple's systems accept of a service (support article 103214), less five days, days.
const SERVICE_DAYS: i64 = 820;

/// See the module.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    started: OffsetDateTime,
}

/// A certificate with its key, both PEM.
pub(super) struct Signed {
    pub(super) certificate: String,
    pub(super) key: Zeroizing<String>,
}

impl Authority {
    /// The authority of this installation; made where it is asked for the first time.
    ///
    /// # Errors
    /// The kernel gives no random bytes, or the file system refuses.
    pub(super) fn open(context: &Context, facts: &Facts<'_>) -> Result<Self, StepError> {
        // A clock that has lost its time is behind; nothing is installed before its medium was made.
        let seconds = i64::try_from(context.started.max(context.manifest.epoch)).unwrap_or_default();
        let started = OffsetDateTime::from_unix_timestamp(seconds).or_step("the clock is not set")?;
        let params = params(context, facts, started).or_step(ATTEMPTED)?;
        let folder = context.on_target(FOLDER);
        let (key, certificate) = (folder.join("ca.key"), folder.join("ca.pem"));
        let (key, certificate) = if certificate.exists() {
            read(&key, &certificate)?
        } else {
            files::folder(&context.on_target("/etc/sovereign"), 0o700)?;
            files::folder(&folder, 0o700)?;
            let made = KeyPair::generate().or_step(ATTEMPTED)?;
            let text = params.self_signed(&made).or_step(ATTEMPTED)?.pem();
            files::write(&key, Zeroizing::new(made.serialize_pem()).as_bytes(), PRIVATE)?;
            files::write(&certificate, text.as_bytes(), PUBLIC)?;
            (made, text)
        };
        Ok(Self { issuer: Issuer::new(params, key), certificate, started })
    }

    /// Its own certificate, PEM.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for these host names.
    ///
    /// # Errors
    /// The kernel gives no random bytes, or a name is none.
    pub(super) fn sign(&self, hosts: Vec<String>) -> Result<Signed, StepError> {
        let attempt = || -> Result<Signed, Error> {
            let mut params = CertificateParams::new(hosts)?;
            params.distinguished_name = named("Sovereign Appliance, services".to_owned());
            (params.not_before, params.not_after) = validity(self.started, SERVICE_DAYS);
            params.use_authority_key_identifier_extension = true;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &self.issuer)?.pem();
            Ok(Signed { certificate, key: Zeroizing::new(key.serialize_pem()) })
        };
        attempt().or_step(ATTEMPTED)
    }
}

const ATTEMPTED: &str = "cannot make the certificates of services";

fn params(context: &Context, facts: &Facts<'_>, started: OffsetDateTime) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    // Two installations of one site are two authorities.
    let install: String = context.install_id.chars().take(8).collect();
    params.distinguished_name = named(format!("Sovereign Appliance, authority {install}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = validity(started, AUTHORITY_DAYS);
    let below = format!(".{}", facts.domain);
    let elsewhere = facts.hosts.values().filter(|host| !host.ends_with(&below)).cloned();
    let names = std::iter::once(facts.domain.clone()).chain(elsewhere);
    let permitted_subtrees = names.map(GeneralSubtree::DnsName).collect();
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    Ok(params)
}

fn named(name: String) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// From a day before, as clocks of others may be late.
fn validity(started: OffsetDateTime, days: i64) -> (OffsetDateTime, OffsetDateTime) {
    (started - Duration::days(1), started + Duration::days(days))
}

fn read(key: &Path, certificate: &Path) -> Result<(KeyPair, String), StepError> {
    let text = Zeroizing::new(files::read(key)?);
    let key = KeyPair::from_pem(&text).or_step(&format!("cannot use {}", key.display()))?;
    Ok((key, files::read(certificate)?))
}
